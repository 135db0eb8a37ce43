"""`asr train-lm` from the command line."""

from __future__ import annotations

import gzip
import lzma
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.cli.main import main
from asr.errors import DataError
from asr.lm.arpa import read_arpa
from asr.lm.binary import load_ngrams
from asr.lm.text_files import read_lines, read_vocabulary, read_words


@pytest.fixture
def texts(tmp_path: Path, training: list[str], held_out: list[str]) -> dict[str, Path]:
    paths = {name: tmp_path / name for name in ("a.txt", "b.txt.xz", "dev.txt", "words.tsv")}
    paths["a.txt"].write_text("\n".join(training[:600]) + "\n", encoding="utf-8-sig")
    paths["b.txt.xz"].write_bytes(lzma.compress("\n".join(training[600:]).encode()))
    paths["dev.txt"].write_text("\n".join(held_out), encoding="utf-8")
    paths["words.tsv"].write_text("가나다\t3\n라마\n\n", encoding="utf-8")
    return paths


def test_one_corpus_equals_the_library(
    texts: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arpa, output = tmp_path / "out" / "m.arpa", tmp_path / "m.lm"
    code = main(["train-lm", "--order", "3", "--text", str(texts["a.txt"]), str(texts["b.txt.xz"]),
                 "--arpa", str(arpa), "--output", str(output), "--licence", "CC0"])  # fmt: skip
    assert code == 0
    model, small = read_arpa(arpa), load_ngrams(output)
    assert model.size == small.size and small.licence == "CC0"
    assert len(model.vocabulary) >= 4703
    sizes = [len(table) for table in model.orders]
    assert sum(sizes) == small.size
    labelled = f"1-grams {sizes[0]}, 2-grams {sizes[1]}, 3-grams {sizes[2]}\n"
    assert capsys.readouterr().out == f"n-grams\ttotal {small.size}\t{labelled}"
    assert not [path for path in tmp_path.rglob("*") if ".tmp-" in path.name]


def test_dev_text_fits_the_mixture_and_is_scored(
    texts: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], held_out: list[str]
) -> None:
    output = tmp_path / "m.lm"
    code = main(["train-lm", "--order", "4", "--text", str(texts["a.txt"]), str(texts["b.txt.xz"]),
                 "--words", str(texts["words.tsv"]), "--dev", str(texts["dev.txt"]),
                 "--prune", "1e-6", "--output", str(output)])  # fmt: skip
    assert code == 0
    out = capsys.readouterr().out
    printed = re.search(r"dev.txt\tperplexity ([0-9.]+) a unit, ([0-9.]+) a jamo", out)
    assert printed is not None
    found = load_ngrams(output).perplexity(held_out)
    assert float(printed[1]) == pytest.approx(found.per_unit, abs=0.01)
    assert float(printed[2]) == pytest.approx(found.per_jamo, abs=0.001)


def test_weights_vocabulary_and_spoken_text(tmp_path: Path) -> None:
    text = tmp_path / "raw.txt"
    text.write_text("7월에 가자! 나는 3시에 가.\nunknowable Ж\n" * 5, encoding="utf-8")
    units = tmp_path / "units.txt"
    units.write_text("<s>\n▁칠\n월\n에\n▁가\n자\n", encoding="utf-8")
    arpa = tmp_path / "m.arpa"
    code = main(["train-lm", "--order", "2", "--spoken", "--text", str(text), "--vocab", str(units),
                 "--weights", "2", "--power", "1", "--arpa", str(arpa)])  # fmt: skip
    assert code == 0
    model = read_arpa(arpa)
    assert model.vocabulary.units == ("<unk>", "<s>", "</s>", "▁칠", "월", "에", "▁가", "자")
    assert model.score("칠월에 가자") > model.score("가자 칠월에")


def test_longer_units_and_a_size(texts: dict[str, Path], tmp_path: Path) -> None:
    vocab, output, again = tmp_path / "v.txt", tmp_path / "m.lm", tmp_path / "again.lm"
    common = ["train-lm", "--order", "3", "--text", str(texts["a.txt"]), "--size", "6000"]
    code = main([*common, "--units", "bpe", "--num-units", "200", "--write-vocab", str(vocab),
                 "--output", str(output)])  # fmt: skip
    assert code == 0
    model = load_ngrams(output)
    long = [unit for unit in model.vocabulary.units[3:] if len(unit.removeprefix("▁")) > 1]
    assert 100 < len(long) <= 200 and 5800 < model.size <= 6000
    assert main([*common, "--vocab", str(vocab), "--output", str(again)]) == 0
    assert again.read_bytes() == output.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--text", "{a}", "--output", "{o}", "--units", "word"], 2, "no units are called 'word'"),
        (["--text", "{a}", "--output", "{o}", "--num-units", "9"], 2, "is for longer units"),
        (["--text", "{a}", "--output", "{o}", "--vocab", "{a}", "--units", "bpe"], 2, "leave out"),
        (["--text", "{a}", "--output", "{o}", "--size", "0"], 2, "must be above 0"),
        (["--text", "{a}", "--output", "{o}", "--vocab", "{costs}"], 1, "gives '나' no cost"),
        (["--text", "{a}"], 2, "nothing to write"),
        (["--text", "{a}", "--output", "{o}", "--order", "9"], 2, "choose 1 to 8"),
        (["--text", "{a}", "--output", "{o}", "--weights", "1", "2"], 2, "2 corpus weights for 1"),
        (["--text", "{a}", "--output", "{o}", "--weights", "-1"], 2, "must not be negative"),
        (["--text", "{a}", "--output", "{o}", "--prune", "2"], 2, "below 1"),
        (["--text", "{a}", "--output", "{o}", "--min-counts", "2", "1"], 2, "must not fall"),
        (["--text", "none.txt", "--output", "{o}"], 1, "none.txt cannot be read: No such file"),
        (["--text", "{empty}", "--output", "{o}"], 1, "holds no sentence"),
        (["--text", "{cp949}", "--output", "{o}"], 1, "cp949 is not UTF-8 in line 1:"),
        (["--text", "{latin}", "--output", "{o}"], 1, "latin; use --spoken to read numbers and"),
        (["--text", "{latin}", "--output", "{o}", "--spoken"], 1, "latin holds no sentence that"),
        (["--text", "{a}", "--dev", "{empty}", "--output", "{o}"], 1, "empty holds no sentence"),
        (["--text", "{a}", "--dev", "{latin}", "--output", "{o}"], 1, "no Hangul in"),
        (["--text", "{a}", "--vocab", "{empty}", "--output", "{o}"], 1, "empty lists no unit"),
        (["--text", "{cut}", "--output", "{o}"], 1, "cut off"),
        (["--text", "{a}", "--words", "{bad}", "--output", "{o}"], 1, "line 2: expected a word"),
    ],
)
def test_mistakes_are_told_in_one_line(
    texts: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    paths = {"a": texts["a.txt"], "o": tmp_path / "o.lm"}
    contents = {
        "empty": b"",
        "costs": "▁가\t3\n나\n".encode(),
        "latin": b"thoughtful strengths\n" * 9,
        "cp949": "가나다\n".encode("cp949"),
        "cut": gzip.compress("가나다라\n".encode() * 99)[:-9],
        "bad": "가\t1\n나\t많이\n".encode(),
    }
    for name, content in contents.items():
        paths[name] = tmp_path / (name + (".gz" if name == "cut" else ""))
        paths[name].write_bytes(content)
    given = [argument.format(**paths) for argument in arguments]
    assert main(["train-lm", "--order", "2", *given]) == code
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("asr: error")]
    assert len(error) == 1 and message in error[0]
    assert not (tmp_path / "o.lm").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "{o}", "--order", "9"], "choose 1 to 8"),
        (["--output", "{o}", "--weights", "1", "2"], "2 corpus weights for 1"),
        (["--output", "{folder}"], "--output {folder} is not a plain file"),
        (["--output", "{file}/sub/m.lm"], "--output {file}/sub/m.lm cannot be written: Not a dir"),
        (["--output", "{o}", "--arpa", "{long}"], "--arpa {long} cannot be written: File name too"),
    ],
)
def test_mistakes_are_noticed_before_any_text_is_read(
    texts: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    (tmp_path / "folder").mkdir()
    paths = {"o": tmp_path / "new" / "o.lm", "folder": tmp_path / "folder",
             "file": texts["a.txt"], "long": tmp_path / ("x" * 300)}  # fmt: skip
    given = [option.format(**paths) for option in options]
    assert main(["train-lm", "--text", "missing.txt", *given]) in (1, 2)
    error = capsys.readouterr().err
    assert message.format(**paths) in error and error.count("\n") == 1
    assert ".tmp-" not in error and not (tmp_path / "new").exists()


def test_failed_writing_names_the_option(
    texts: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / ("x" * 250)  # short enough for itself, too long for the file beside it
    code = main(["train-lm", "--order", "1", "--text", str(texts["a.txt"]),
                 "--output", str(output)])  # fmt: skip
    error = capsys.readouterr().err
    assert code == 1 and f"error: --output {output} cannot be written: File name" in error
    assert ".tmp-" not in error


def test_mostly_unknown_text_is_warned_of(
    texts: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mixed = tmp_path / "mixed.txt"
    mixed.write_text("가나 strength\n", encoding="utf-8")
    code = main(["train-lm", "--order", "1", "--text", str(texts["a.txt"]), str(mixed),
                 "--output", str(tmp_path / "m.lm")])  # fmt: skip
    assert code == 0
    told = [record.getMessage() for record in caplog.records if "<unk>" in record.getMessage()]
    assert len(told) == 1 and f"{mixed}: 80% of the units are <unk>" in told[0]


def test_text_errors_tell_the_line(tmp_path: Path) -> None:
    path = tmp_path / "text"
    for before, number in ((b"", 1), (b"\xef\xbb\xbfa\n", 2), (b"a\rb\r\nc\n" * 5000, 15001)):
        path.write_bytes(before + b"d\xff\n" + b"e\n" * 9)
        with pytest.raises(DataError, match=rf"text is not UTF-8 in line {number}:"):
            list(read_lines(path))
    packed = tmp_path / "text.gz"
    for data in (gzip.compress(b"a b c\n", 0)[:18], gzip.compress(b"a\n")[:10] + b"\xff" * 9):
        packed.write_bytes(data)
        with pytest.raises(DataError, match=r"text.gz is cut off or damaged in line 1;"):
            list(read_lines(packed))


@given(st.text(alphabet="가a\r\n \ufeff\x0b\u2028", max_size=12))
@settings(derandomize=True, deadline=None, max_examples=150)
def test_lines_end_as_in_any_text_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes(text.encode())
    with open(path, encoding="utf-8-sig") as file:
        assert list(read_lines(path)) == [line.rstrip("\n") for line in file]


def test_text_files(texts: dict[str, Path], tmp_path: Path, training: list[str]) -> None:
    assert list(read_lines(texts["a.txt"])) == training[:600]
    assert list(read_lines(texts["b.txt.xz"])) == training[600:]
    assert read_words(texts["words.tsv"]) == [("가나다", 3), ("라마", 1)]
    (tmp_path / "v").write_text("가\n가\n</s>\n\n", encoding="utf-8")
    assert read_vocabulary(tmp_path / "v").units == ("<unk>", "<s>", "</s>", "가")


def test_text_in_parts_is_composed(tmp_path):
    """As macOS writes it: every syllable as its jamo."""
    path = tmp_path / "nfd.txt"
    path.write_text(unicodedata.normalize("NFD", "나는 간다\n"), encoding="utf-8")
    assert list(read_lines(path)) == ["나는 간다"]
