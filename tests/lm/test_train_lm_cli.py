"""`asr train-lm` from the command line."""

from __future__ import annotations

import gzip
import lzma
import re
from pathlib import Path

import pytest

from asr.cli.main import main
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
    assert f"n-grams\t{small.size}\t" in capsys.readouterr().out
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


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--text", "{a}"], 2, "nothing to write"),
        (["--text", "{a}", "--output", "{o}", "--order", "9"], 2, "choose 1 to 8"),
        (["--text", "{a}", "--output", "{o}", "--weights", "1", "2"], 2, "2 corpus weights for 1"),
        (["--text", "{a}", "--output", "{o}", "--weights", "-1"], 2, "must not be negative"),
        (["--text", "{a}", "--output", "{o}", "--prune", "2"], 2, "below 1"),
        (["--text", "{a}", "--output", "{o}", "--min-counts", "2", "1"], 2, "must not fall"),
        (["--text", "none.txt", "--output", "{o}"], 1, "none.txt cannot be read: No such file"),
        (["--text", "{empty}", "--output", "{o}"], 1, "holds no sentence"),
        (["--text", "{cp949}", "--output", "{o}"], 1, "not UTF-8 after line"),
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


def test_text_files(texts: dict[str, Path], tmp_path: Path, training: list[str]) -> None:
    assert list(read_lines(texts["a.txt"])) == training[:600]
    assert list(read_lines(texts["b.txt.xz"])) == training[600:]
    assert read_words(texts["words.tsv"]) == [("가나다", 3), ("라마", 1)]
    (tmp_path / "v").write_text("가\n가\n</s>\n\n", encoding="utf-8")
    assert read_vocabulary(tmp_path / "v").units == ("<unk>", "<s>", "</s>", "가")
