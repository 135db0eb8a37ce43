"""`asr data` as it is typed: what it prints, writes and returns, and what it says of mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from small_data import TEXTS, write_sound

from asr.cli.main import main
from asr.data import DataDir
from asr.data.tables import read_mapping, write_table


def run(*words: object) -> int:
    return main(["data", *map(str, words)])


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A corpus in pansori's layout: three talks of other speakers."""
    root = tmp_path / "pansori-tedxkr-corpus" / "data"
    for s in range(4):
        talk = root / f"s{s}" / "t1"
        lines = []
        for u, text in enumerate((f"{s + 1}번째 말입니다", "KBS 뉴스를 봅니다")):
            name = f"s{s}-t1-{u:04}"
            write_sound(talk / f"{name}.flac", 1.0, 10 * s + u)
            lines.append(f"{name} {text}\n")
        (talk / f"s{s}-t1.trans.txt").write_text("".join(lines), encoding="utf-8")
    ids = [f"s{s}-t1-{u:04}" for s in range(4) for u in range(2)]
    splits = {"pansori-tedxkr-corpus": {"train": ids[:4], "dev": ids[4:]}}
    (tmp_path / "splits.json").write_text(json.dumps(splits))
    return tmp_path


def test_from_a_corpus_to_features(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, dev, out = corpus / "train", corpus / "dev", corpus / "feats"
    for name in (train, dev):
        options = ("--splits", corpus / "splits.json", "--split", name.name)
        assert run("from-corpus", "pansori", corpus, name, *options) == 0
    assert capsys.readouterr().out == (
        f"{train}\t4 utterances, 2 speakers, 0.1 min\n{dev}\t4 utterances, 2 speakers, 0.1 min\n"
    )
    assert (train / "text").read_text("utf-8").splitlines()[:2] == [
        "s0-t1-0000 첫번째 말입니다",
        "s0-t1-0001 케이비에스 뉴스를 봅니다",
    ]
    assert run("validate", train, "--no-feats", "--decode") == 0
    assert capsys.readouterr().out == f"{train}: sound\n"
    assert run("features", train, out, "--type", "fbank", "--num-mel-bins", "40") == 0
    assert "4 utterances, 2 speakers, 0.1 min, 392 frames of 40" in capsys.readouterr().out
    assert run("validate", out) == 0
    assert run("stats", out, "--json") == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (figures["utterances"], figures["seconds"], figures["eojeol"]) == (4, 4.0, 10)
    assert run("leaks", train, "--test", dev) == 1
    said = capsys.readouterr()
    assert said.out.splitlines()[0].split("\t")[:3] == ["sentence", "s2-t1-0001", "s0-t1-0001"]
    assert "4 by sentence" in said.err
    assert run("leaks", train, "--test", dev, "--allow") == 0


def test_split_subset_combine_speed(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = corpus / "all"
    assert run("from-corpus", "pansori", corpus, whole, "--text", "transcript") == 0
    assert run("split", whole, corpus / "parts", "--dev", "1spk", "--test", "1spk") == 0
    said = capsys.readouterr().out
    assert said.count("dropped\t") == 3  # all four say the same second sentence
    parts = [DataDir.read(corpus / "parts" / name) for name in ("train", "dev", "test")]
    assert [len(part.speakers) for part in parts] == [2, 1, 1]
    assert run("leaks", corpus / "parts" / "train", "--test", corpus / "parts" / "dev",
               corpus / "parts" / "test") == 0  # fmt: skip
    assert run("subset", whole, corpus / "two", "--size", "2s", "--order", "first") == 0
    assert run("subset", whole, corpus / "rest", "--speakers", "s2", "s3") == 0
    assert run("combine", corpus / "both", corpus / "two", corpus / "rest") == 0
    assert len(DataDir.read(corpus / "both").utterances) == 6
    assert run("speed", corpus / "two", corpus / "sp", "--factors", "0.9", "1.1") == 0
    assert sorted(DataDir.read(corpus / "sp").speakers) == ["sp0.9-s0", "sp1.1-s0"]


def test_fix_says_what_it_dropped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = read_mapping(folder / "text")
    del rows["kim-1"]
    write_table(folder / "text", rows)
    assert run("validate", folder, "--no-feats") == 1
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith(f"{folder}/text: utterance kim-1 is missing: add its")
    assert said.splitlines()[-1] == f"{folder}: 1 defect in 1 file"
    assert run("fix", folder, "--no-feats") == 0
    said = capsys.readouterr().out
    assert "dropped\tkim-1\tno text\n" in said
    assert f"kept 5 utterances, dropped 1 (as it was: {folder / '.backup'})" in said


def test_many_defects_are_summed_up(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"u{i:03}" for i in range(50)]
    write_table(folder / "text", dict.fromkeys(names, "네"))
    assert run("validate", folder, "--no-feats") == 1
    said = capsys.readouterr().out
    assert len(said.splitlines()) == 12 and "46 more of this kind (agreement)" in said
    assert run("validate", folder, "--no-feats", "--all") == 1
    assert len(capsys.readouterr().out.splitlines()) == 57


MISTAKES: list[tuple[Sequence[str], int, str]] = [
    (["validate", "nowhere"], 1, "does not exist"),
    (["validate", "train", "--decode", "--no-sounds"], 2, "--decode opens the sounds"),
    (["stats", "nowhere"], 1, "does not exist"),
    (["subset", "train", "x"], 2, "nothing to choose by"),
    (["subset", "train", "x", "--size", "lots"], 2, "is no size"),
    (["subset", "train", "train", "--size", "1"], 2, "overwritten by a part of itself"),
    (["subset", "train", "x", "--list", "nowhere"], 1, "cannot be read"),
    (["subset", "train", "x", "--size", "1", "--seed", "-1"], 2, "negative"),
    (["combine", "x", "train"], 2, "at least two"),
    (["combine", "x", "train", "train"], 1, "both have an utterance"),
    (["split", "train", "x", "--dev", "99%"], 1, "leave no speaker"),
    (["from-corpus", "pansori", "nowhere", "x"], 1, "holds no utterance of pansori"),
    (["from-corpus", "pansori", ".", "x", "--split", "dev"], 2, "give both --splits"),
    (["features", "train", "sound"], 1, "there already"),
    (["features", "train", "x", "--num-ceps", "99"], 2, "--num-ceps"),
    (["features", "train", "x", "--min-kept", "2"], 2, "share"),
    (["speed", "train", "x", "--factors", "3"], 2, "no longer the same speech"),
    (["leaks", "train", "--test", "nowhere"], 1, "does not exist"),
    (["fix", "nowhere"], 1, "does not exist"),
    (["fix", "train", "sound", "--no-feats"], 1, "there already"),
]


@pytest.mark.parametrize(("words", "code", "said"), MISTAKES, ids=lambda x: str(x)[:40])
def test_mistakes(
    folder: Path,
    words: Sequence[str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder.parent)
    assert run(*words) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and said in error
    assert not Path("x").exists()
    assert set(read_mapping(folder / "utt2spk")) == set(TEXTS)


def test_help_is_quick_and_complete() -> None:
    code = (
        "import sys; from asr.cli.main import main\n"
        "try: main(['data', 'features', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'numpy', 'numba'} & set(sys.modules), 'slow'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--num-mel-bins" in done.stdout and "--compress" in done.stdout
    with pytest.raises(SystemExit) as info:
        run()
    assert info.value.code == 2
