"""Validation finds each defect once and in its place; fixing leaves a directory without any."""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_data import TEXTS, write_sound

from asr.data import ArkWriter, DataDir
from asr.data.fixing import fix
from asr.data.tables import read_mapping, write_table
from asr.data.validation import CHECKS, ValidationConfig, validate
from asr.errors import DataError

PLAIN = ValidationConfig(features=False)
Spoil = Callable[[Path], None]


def _rows(folder: Path, name: str, change: Callable[[dict[str, str]], None]) -> None:
    rows = read_mapping(folder / name)
    change(rows)
    write_table(folder / name, rows)


def _line(folder: Path, name: str, number: int, text: str | bytes) -> None:
    lines = (folder / name).read_bytes().split(b"\n")
    lines[number - 1] = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(b"\n".join(lines))


def _segments(folder: Path, first: str) -> None:
    write_table(folder / "segments", {n: f"{n} 0 0.9" for n in TEXTS} | {"kim-1": first})


DEFECTS: dict[str, tuple[Spoil, str, int]] = {
    # what is done, what is said, how many utterances are left when it is mended
    "no spk2utt": (lambda d: (d / "spk2utt").unlink(), "spk2utt: the file is missing: run", 6),
    "text without words": (
        lambda d: _rows(d, "text", lambda r: r.update({"kim-2": "... !"})),
        "text:2: kim-2: the text has no word",
        5,
    ),
    "empty text": (
        lambda d: _line(d, "text", 2, "kim-2"),
        "text:2: kim-2: the text has no word",
        5,
    ),
    "text is missing": (
        lambda d: _rows(d, "text", lambda r: r.pop("lee-1")),
        "text: utterance lee-1 is missing",
        5,
    ),
    "too many texts": (
        lambda d: _rows(d, "text", lambda r: r.update({"zoo-1": "네"})),
        "text:7: utterance zoo-1 is not in utt2spk",
        6,
    ),
    "sound is gone": (
        lambda d: (d.parent / "sound" / "lee-1.wav").unlink(),
        "wav.scp:3: lee-1: .*lee-1.wav",
        5,
    ),
    "sound is empty": (
        lambda d: (d.parent / "sound" / "lee-1.wav").write_bytes(b""),
        "wav.scp:3: lee-1: .*lee-1.wav",
        5,
    ),
    "sound is text": (
        lambda d: (d.parent / "sound" / "lee-1.wav").write_text("no sound"),
        "wav.scp:3: lee-1: .*lee-1.wav",
        5,
    ),
    "sound is a folder": (
        lambda d: _rows(d, "wav.scp", lambda r: r.update({"lee-1": str(d)})),
        "wav.scp:3: lee-1: .* is a folder",
        5,
    ),
    "two speakers": (
        lambda d: _line(d, "utt2spk", 1, "kim-1 kim lee"),
        "utt2spk:1: kim-1 has 2 speakers",
        5,
    ),
    "decomposed": (
        lambda d: _line(d, "text", 1, "kim-1 " + unicodedata.normalize("NFD", TEXTS["kim-1"])),
        r"text:1: Hangul or accents in parts \(not NFC\): compose",
        6,
    ),
    "no-break space": (
        lambda d: _line(d, "text", 1, "kim-1 오늘은\xa0맑다"),
        r"text:1: white space that Kaldi does not split at \(U\+00A0",
        6,
    ),
    "windows": (
        lambda d: (d / "utt2spk").write_bytes(
            (d / "utt2spk").read_bytes().replace(b"\n", b"\r\n")
        ),
        "utt2spk:6: a carriage return",
        6,
    ),
    "broken text": (
        lambda d: _line(d, "text", 1, b"kim-1 \xff"),
        "text:1: byte 7 of the line is not UTF-8",
        5,
    ),
    "same line twice": (
        lambda d: _line(d, "utt2spk", 6, "park-2 park\npark-2 park"),
        "utt2spk:7: park-2 is in line 6 already",
        6,
    ),
    "two texts": (
        lambda d: _line(d, "text", 6, "park-2 하나\npark-2 둘"),
        "text:7: park-2 is in line 6 already",
        5,
    ),
    "unsorted": (
        lambda d: (d / "text").write_text(
            "".join(f"{k} {v}\n" for k, v in reversed(TEXTS.items())), "utf-8"
        ),
        "text:2: park-1 comes after park-2",
        6,
    ),
    "spk2utt is old": (
        lambda d: _line(d, "spk2utt", 1, "kim kim-1"),
        "spk2utt:1: kim lacks kim-2",
        6,
    ),
    "negative time": (lambda d: _segments(d, "kim-1 -1 1"), "segments:1: kim-1: .* negative", 5),
    "no such recording": (
        lambda d: _segments(d, "nothing 0 1"),
        "segments:1: kim-1: recording nothing is not in wav.scp",
        5,
    ),
    "beyond the end": (
        lambda d: _segments(d, "kim-1 0.2 1.6"),
        "segments:1: kim-1 ends at 1.6 s, and kim-1 at 1.00 s",
        5,
    ),
    "begins after the end": (
        lambda d: _segments(d, "kim-1 1.2 1.3"),
        "segments:1: kim-1 begins at 1.2 s, and kim-1 ends at 1.00 s",
        5,
    ),
    "no number": (
        lambda d: write_table(d / "utt2dur", dict.fromkeys(TEXTS, "1.0") | {"kim-1": "long"}),
        "utt2dur:1: kim-1: 'long' is no number",
        6,
    ),
    "another length": (
        lambda d: write_table(
            d / "utt2dur", {n: str(1.0 + i / 10 + (i == 0)) for i, n in enumerate(TEXTS)}
        ),
        "utt2dur:1: kim-1 is said to last 2.0 s, its sound 1.00 s",
        6,
    ),
    "gender": (
        lambda d: write_table(d / "spk2gender", {"kim": "M", "lee": "f", "park": "m"}),
        "spk2gender:1: kim has the gender 'M'",
        6,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DEFECTS)
def test_each_defect_is_told_of_and_mended(folder: Path, case: str) -> None:
    assert validate(folder, PLAIN) == []
    spoil, said, left = DEFECTS[case]
    spoil(folder)
    found = [str(defect) for defect in validate(folder, PLAIN)]
    assert [text for text in found if re.match(said, text)], found
    assert all(text.count(": ") >= 2 for text in found)  # where, what, and how to mend it
    out = folder.parent / "mended"
    report = fix(folder, out, PLAIN)
    assert report.kept == left, report
    after = [str(d) for d in validate(out, PLAIN)]
    # who is what, and which of two lengths is meant, nobody can guess
    assert len(after) == (case in ("gender", "another length"))
    assert len(DataDir.read(out).utterances) == left


def test_stray_jamo_are_left_to_a_person(folder: Path) -> None:
    _rows(folder, "text", lambda rows: rows.update({"kim-1": "그래 ㅋㅋ"}))
    (defect,) = validate(folder, PLAIN)
    assert str(defect).startswith("text:1: kim-1: single jamo (ㅋㅋ) are no syllable")


def test_speakers_that_do_not_begin_the_ids(folder: Path) -> None:
    _rows(folder, "utt2spk", lambda rows: rows.update({"park-1": "anna"}))
    (folder / "spk2utt").unlink()
    kinds = {defect.kind for defect in validate(folder, PLAIN)}
    assert kinds == {"files", "utt2spk"}


def test_what_is_needed_depends_on_the_options(folder: Path) -> None:
    assert [d.file for d in validate(folder)] == ["feats.scp"]
    (folder / "text").unlink()
    assert [d.file for d in validate(folder, PLAIN)] == ["text"]
    assert validate(folder, ValidationConfig(text=False, features=False)) == []
    _rows(folder, "wav.scp", lambda rows: rows.update({"kim-1": "cat x.wav |"}))
    config = ValidationConfig(text=False, features=False, allow_pipes=True)
    assert validate(folder, config) == []
    (defect,) = validate(folder, ValidationConfig(text=False, features=False))
    assert "--allow-pipes" in defect.mend
    with pytest.raises(DataError, match="allow pipes"):
        fix(folder, folder.parent / "x", ValidationConfig(text=False, features=False))
    assert fix(folder, folder.parent / "x", config).kept == 6


def test_damage_behind_the_header_needs_decoding(folder: Path) -> None:
    import soundfile

    path = folder.parent / "sound" / "kim-1.flac"
    soundfile.write(path, np.random.default_rng(0).standard_normal(48000) / 10, 16000)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(2000)
    path.write_bytes(data)
    _rows(folder, "wav.scp", lambda rows: rows.update({"kim-1": str(path)}))
    assert validate(folder, PLAIN) == []
    (defect,) = validate(folder, ValidationConfig(features=False, decode=True))
    assert defect.file == "wav.scp" and "kim-1.flac" in defect.what


def test_features_are_looked_into(folder: Path) -> None:
    rng = np.random.default_rng(0)
    with ArkWriter(folder / "f.ark", folder / "feats.scp") as writer:
        for i, name in enumerate(TEXTS):
            writer.write(name, rng.random((5 + i, 13 if i < 5 else 12)).astype(np.float32))
    write_table(folder / "utt2num_frames", {n: str(5 + i + (i == 1)) for i, n in enumerate(TEXTS)})
    with ArkWriter(folder / "c.ark", folder / "cmvn.scp") as writer:
        for speaker in ("kim", "lee", "park"):
            writer.write(speaker, np.ones((2, 14 if speaker == "kim" else 13)))
    _line(folder, "feats.scp", 3, "lee-1 nowhere.ark:5")
    found = [str(defect) for defect in validate(folder)]
    assert [text.split(":")[0] for text in found] == [
        "utt2num_frames",
        "feats.scp",
        "feats.scp",
        "cmvn.scp",
        "cmvn.scp",
    ]
    assert "nowhere.ark cannot be read" in found[1]
    assert "park-2 has 12 dimensions where those before have 13" in found[2]
    assert "lee has a matrix of 2 x 13, not 2 x 14" in found[3]


def test_fixing_in_place_keeps_a_backup(folder: Path) -> None:
    _rows(folder, "text", lambda rows: rows.pop("lee-1"))
    (folder / "notes.md").write_text("mine")
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "notes.md"}
    report = fix(folder, config=PLAIN)
    assert report.dropped == {"lee-1": "no text"}
    kept = {p.name: p.read_bytes() for p in (folder / ".backup").iterdir()}
    assert kept == before
    assert validate(folder, PLAIN) == []
    assert (folder / "notes.md").read_text() == "mine"
    assert (folder / "spk2utt").read_text().splitlines()[1] == "lee lee-2"
    assert fix(folder, config=PLAIN).dropped == {}


def test_nothing_left_changes_nothing(folder: Path) -> None:
    write_table(folder / "text", dict.fromkeys(TEXTS, "..."))
    before = (folder / "text").read_bytes()
    with pytest.raises(DataError, match=r"no utterance .* is complete \(its text has no word\)"):
        fix(folder, config=PLAIN)
    assert (folder / "text").read_bytes() == before
    assert not (folder / ".backup").exists()
    with pytest.raises(DataError, match="does not exist"):
        validate(folder / "nowhere")


def test_relative_paths_are_rewritten_when_written_elsewhere(folder: Path) -> None:
    write_table(folder / "wav.scp", {name: f"../sound/{name}.wav" for name in TEXTS})
    assert validate(folder, PLAIN) == []
    out = folder.parent / "far" / "away"
    fix(folder, out, PLAIN)
    assert validate(out, PLAIN) == []
    fix(folder, config=PLAIN)
    assert "../sound/kim-1.wav" in (folder / "wav.scp").read_text()


def test_checks_are_a_registry(folder: Path) -> None:
    validate(folder)
    assert {"files", "lines", "segments", "text", "agreement", "sounds", "features"} <= set(CHECKS)


def test_a_segment_directory_is_sound(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    write_sound(folder / "long.wav", 3.0)
    write_table(folder / "wav.scp", {"long": "long.wav"})
    write_table(folder / "segments", {"a-1": "long 0 1", "a-2": "long 1 3.2"})
    write_table(folder / "utt2spk", {"a-1": "a", "a-2": "a"})
    write_table(folder / "spk2utt", {"a": "a-1 a-2"})
    write_table(folder / "text", {"a-1": "하나", "a-2": "둘"})
    assert validate(folder, PLAIN) == []
    assert [len(u.samples(16000)) for u in DataDir.read(folder).utterances] == [16000, 32000]
