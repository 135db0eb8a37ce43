"""Data directories: what is read is what was written, and bad ones are refused with a reason."""

from __future__ import annotations

import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from small_data import RATE, TEXTS, write_sound

from asr.data import DataDir, DirUtterance
from asr.data.sounds import Pipe
from asr.data.tables import cleaned, read_mapping, read_table, write_table
from asr.errors import AudioError, DataError

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
IDS = WORDS.filter(lambda text: unicodedata.is_normalized("NFC", text) and "\ufffd" not in text)


def test_written_and_read(small: DataDir, folder: Path) -> None:
    again = DataDir.read(folder)
    assert again.utterances == small.utterances
    assert again.speakers == {name: (f"{name}-1", f"{name}-2") for name in ("kim", "lee", "park")}
    assert not again.segmented and again.has_text
    assert (
        folder / "spk2utt"
    ).read_text() == "kim kim-1 kim-2\nlee lee-1 lee-2\npark park-1 park-2\n"
    assert sorted(path.name for path in folder.iterdir()) == [
        "spk2utt",
        "text",
        "utt2spk",
        "wav.scp",
    ]
    samples = again.utterances[0].samples(RATE)
    stored, _ = soundfile.read(small.utterances[0].source, dtype="float32")
    np.testing.assert_array_equal(samples, stored)
    assert again.durations["kim-2"] == pytest.approx(1.1)


@given(st.dictionaries(IDS, st.lists(IDS, max_size=3).map(" ".join), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_table_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("t") / "text"
    write_table(path, rows)
    table = read_table(path, value_needed=False)
    assert [d for d in table.defects] == []
    assert {line.key: line.value for line in table.lines} == rows
    keys = [line.key.encode() for line in table.lines]
    assert keys == sorted(keys)


def test_order_is_that_of_bytes(tmp_path: Path) -> None:
    # U+FB01 sorts after the surrogate pairs of U+1F600 in UTF-16 but before it in UTF-8
    write_table(tmp_path / "text", {"\U0001f600": "1", "ﬁ": "2", "a": "3", "Z": "4", "가": "5"})
    keys = [line.split()[0] for line in (tmp_path / "text").read_text("utf-8").splitlines()]
    assert keys == ["Z", "a", "가", "ﬁ", "\U0001f600"]


def test_segments(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "long.wav", 3.0)
    rows = (
        DirUtterance("u1", "long", "s", "하나", 0.5, 1.25, sound),
        DirUtterance("u2", "long", "s", "둘", 2.0, None, sound),
    )
    DataDir(rows).write(tmp_path / "d")
    assert (tmp_path / "d" / "segments").read_text() == "u1 long 0.5 1.25\nu2 long 2 -1\n"
    data = DataDir.read(tmp_path / "d")
    assert data.utterances == rows
    stored, _ = soundfile.read(sound, dtype="float32")
    np.testing.assert_array_equal(data.utterances[0].samples(RATE), stored[8000:20000])
    np.testing.assert_array_equal(data.utterances[1].samples(RATE), stored[32000:])
    assert data.durations == {"u1": 0.75, "u2": 1.0}
    half = data.utterances[0].samples(8000)  # another rate goes another way
    assert len(half) == 6000
    past = replace(rows[0], start=2.0, end=3.3)  # Kaldi allows half a second
    assert len(past.samples(RATE)) == RATE
    for start, end in ((3.5, None), (2.0, 4.0)):
        for rate in (RATE, 8000):
            with pytest.raises(AudioError, match=r"long\.wav ends at .* correct the segment"):
                replace(rows[0], start=start, end=end).samples(rate)


def test_pipes_run_only_where_allowed(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    sound = folder.parent / "sound" / "kim-1.wav"
    marker = folder.parent / "ran"
    lines = (folder / "wav.scp").read_text().splitlines()
    lines[0] = f"kim-1 touch {marker}; cat {sound} |"
    (folder / "wav.scp").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"shell command.*allow pipes if you trust"):
        DataDir.read(folder)
    data = DataDir.read(folder, allow_pipes=True)
    assert isinstance(data.utterances[0].source, Pipe)
    assert not marker.exists()
    samples = data.utterances[0].samples(RATE)
    assert marker.exists() and len(samples) == RATE
    assert "running a command" in caplog.text
    data.write(folder.parent / "copy")
    assert (folder.parent / "copy" / "wav.scp").read_text().splitlines()[0] == lines[0]
    for command, said in (
        ("exit 3", "exit code 3"),
        ("true", "wrote no sound"),
        ("echo x", "no sound"),
    ):
        with pytest.raises(AudioError, match=said):
            replace(data.utterances[0], source=Pipe(command)).samples(RATE)


def test_relative_paths(small: DataDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write(tmp_path / "a" / "data", relative=True)
    assert "kim-1 ../../sound/kim-1.wav" in (tmp_path / "a" / "data" / "wav.scp").read_text()
    shutil.move(tmp_path / "sound", tmp_path / "a" / "sound")
    (tmp_path / "a" / "deep").mkdir()
    shutil.move(tmp_path / "a" / "data", tmp_path / "a" / "deep" / "data")
    data = DataDir.read(tmp_path / "a" / "deep" / "data")
    assert len(data.utterances[0].samples(RATE)) == RATE
    # Kaldi's way: relative to where the scripts run
    (tmp_path / "k").mkdir()
    for name in ("utt2spk", "text"):
        shutil.copy(tmp_path / "a" / "deep" / "data" / name, tmp_path / "k")
    rows = {name: f"sound/{name}.wav" for name in TEXTS}
    write_table(tmp_path / "k" / "wav.scp", rows)
    monkeypatch.chdir(tmp_path / "a")
    assert len(DataDir.read(tmp_path / "k").utterances[0].samples(RATE)) == RATE


def test_unknown_tables_are_kept(small: DataDir, folder: Path) -> None:
    write_table(folder / "utt2lang", dict.fromkeys(TEXTS, "ko"))
    write_table(folder / "spk2gender", {"kim": "m", "lee": "f", "park": "m"})
    data = DataDir.read(folder).select(["lee-1", "kim-1"])
    data.write(folder.parent / "part")
    assert (folder.parent / "part" / "utt2lang").read_text() == "kim-1 ko\nlee-1 ko\n"
    assert (folder.parent / "part" / "spk2gender").read_text() == "kim m\nlee f\n"
    with pytest.raises(DataError, match=r"1 utterances are not in .* \(first: nobody\)"):
        data.select(["nobody"])


def test_writing_refuses_what_is_there(small: DataDir, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there already"):
        small.write(folder)
    small.select(["kim-1"]).write(folder, replace=True)
    assert (folder / "utt2spk").read_text() == "kim-1 kim\n"
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "precious").write_text("x")
    with pytest.raises(DataError, match="no data directory and is not replaced"):
        small.write(tmp_path / "home", replace=True)
    assert (tmp_path / "home" / "precious").read_text() == "x"


@pytest.mark.parametrize("name", ["", "a b", "a\tb", "a\nb", "a\u3000b", "a\u200bb", "a\x00b"])
def test_ids_that_tables_cannot_hold(small: DataDir, tmp_path: Path, name: str) -> None:
    bad = DataDir((replace(small.utterances[0], id=name, recording=name),))
    with pytest.raises(DataError, match="cannot be an id"):
        bad.write(tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert not list(tmp_path.glob(".x*"))


def test_texts_of_two_lines_are_refused(small: DataDir, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line end"):
        DataDir((replace(small.utterances[0], text="한 줄\n두 줄"),)).write(tmp_path / "x")


def test_the_same_id_twice(small: DataDir) -> None:
    with pytest.raises(DataError, match="two utterances are called kim-1"):
        DataDir((small.utterances[0], small.utterances[0]))


LINES = {
    "broken": (b"kim-1 \xff\xfe\n", "byte 7 of the line is not UTF-8"),
    "cp949": ("kim-1 안녕".encode("cp949") + b"\n", "not UTF-8: convert the file"),
    "windows": ("kim-1 안녕\r\n".encode(), "carriage return"),
    "mark": (b"\xef\xbb\xbf" + "kim-1 안녕\n".encode(), "byte order mark"),
    "no-break": ("kim-1 안녕\xa0하세요\n".encode(), r"U\+00A0 no-break space"),
    "ideographic": ("kim-1 안녕\u3000하세요\n".encode(), r"U\+3000"),
    "decomposed": (("kim-1 " + unicodedata.normalize("NFD", "안녕") + "\n").encode(), "in parts"),
    "zero width": ("kim-1 안\u200b녕\n".encode(), r"invisible character \(U\+200B"),
    "lost": ("kim-1 안\ufffd\n".encode(), r"U\+FFFD"),
    "control": (b"kim-1 \x00\n", r"control character \(U\+0000"),
    "blank": ("kim-1 안녕\n\n".encode(), "line is empty"),
    "indented": (" kim-1 안녕\n".encode(), "white space stands before"),
    "cut": ("kim-1 안녕".encode(), "no line end"),
    "nothing": (b"", "file is empty"),
    "long": (b"kim-1 " + b"x" * (1 << 20) + b"\n", "the line has 10485.. bytes"),
    "twice": ("kim-1 안녕\nkim-1 네\n".encode(), "kim-1 is in line 1 already"),
    "unsorted": ("lee-1 네\nkim-1 안녕\n".encode(), "kim-1 comes after lee-1.*LC_ALL=C sort"),
}


@pytest.mark.parametrize("case", LINES)
def test_bad_lines_are_told_of_by_place(folder: Path, case: str) -> None:
    data, said = LINES[case]
    (folder / "text").write_bytes(data)
    with pytest.raises(DataError, match=rf"train/text.*{said}"):
        DataDir.read(folder)


def test_a_key_alone(folder: Path) -> None:
    (folder / "utt2spk").write_text("kim-1\n")
    with pytest.raises(DataError, match="utt2spk:1: kim-1 stands alone"):
        DataDir.read(folder)


@pytest.mark.parametrize(
    ("segment", "said"),
    [
        ("kim-1 0.5", "2 fields"),
        ("kim-1 0 1 2", "a channel"),
        ("kim-1 a b", "not both numbers"),
        ("kim-1 -0.5 1", "negative"),
        ("kim-1 1 0.5", "not after the start"),
        ("kim-1 nan 1", "not both numbers"),
        ("kim-1 0 inf", "not both numbers"),
        ("kim-1 0 1_0", "not both numbers"),
        ("kim-1 0 １", "not both numbers"),
    ],
)
def test_bad_segments(folder: Path, segment: str, said: str) -> None:
    rows = {name: f"{name} 0 1" for name in TEXTS} | {"kim-1": segment}
    write_table(folder / "segments", rows)
    with pytest.raises(DataError, match=rf"segments, kim-1: .*{said}"):
        DataDir.read(folder)


@pytest.mark.parametrize("name", ["text", "wav.scp", "utt2spk"])
def test_files_that_disagree(folder: Path, name: str) -> None:
    rows = read_mapping(folder / name)
    del rows["lee-2"]
    write_table(folder / name, rows)
    with pytest.raises(DataError, match=r"1 utterances are (not in|in) .*\(first: lee-2\)"):
        DataDir.read(folder)


def test_missing_directories_and_files(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match="does not exist or is no folder"):
        DataDir.read(tmp_path / "nowhere")
    with pytest.raises(DataError, match="has no utt2spk"):
        DataDir.read(tmp_path)
    (folder / "wav.scp").unlink()
    with pytest.raises(DataError, match=r"neither wav.scp nor feats.scp"):
        DataDir.read(folder)


def test_missing_sound_is_told_when_it_is_needed(folder: Path) -> None:
    (folder.parent / "sound" / "kim-1.wav").unlink()
    data = DataDir.read(folder)
    with pytest.raises(AudioError, match="kim-1"):
        data.utterances[0].samples(RATE)


@given(st.text(max_size=30))
def test_cleaned_text_has_no_defect(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    clean = cleaned(text)
    path = tmp_path_factory.mktemp("t") / "text"
    path.write_bytes(f"a {clean}\n".encode("utf-8", "surrogatepass"))
    wrong = [d for d in read_table(path, value_needed=False).defects if "FFFD" not in d.what]
    assert wrong == [] or "UTF-8" in wrong[0].what
