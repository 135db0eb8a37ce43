"""Reading data directories strictly: the first thing that is wrong is an error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from asr.data.directory import DataDir, DirUtterance
from asr.data.sounds import Source, parse_source
from asr.data.table_files import (
    FEATS,
    SEGMENTS,
    TEXT,
    UTT2SPEED,
    UTT2SPK,
    WAV,
    Segment,
    absolute_place,
    extra_names,
    parse_segment,
)
from asr.data.tables import read_mapping, sort_key
from asr.errors import DataError


def read_directory(folder: Path, allow_pipes: bool) -> DataDir:
    """See `DataDir.read`."""
    if not (folder / UTT2SPK).is_file():
        what = "has no utt2spk" if folder.is_dir() else "does not exist or is no folder"
        raise DataError(
            f"{folder} {what}: give a Kaldi data directory (`asr data from-corpus` makes one)"
        )
    speakers = read_mapping(folder / UTT2SPK)
    recordings = _recordings(folder, allow_pipes)
    segments = _segments(folder)
    texts = _optional(folder, TEXT)
    extras = _extras(folder)
    _check_same(folder, speakers, segments, recordings, texts)
    speeds = extras.get(UTT2SPEED, {})
    rows = []
    for name, speaker in speakers.items():
        recording, start, end = (
            segments.get(name, (name, 0.0, None)) if segments else (name, 0.0, None)
        )
        text = None if texts is None else texts[name]
        speed = _number(folder / UTT2SPEED, name, speeds[name]) if name in speeds else 1.0
        source = recordings.get(recording)
        rows.append(DirUtterance(name, recording, speaker, text, start, end, source, speed))
    return DataDir(tuple(rows), extras, folder)


def _optional(folder: Path, name: str) -> dict[str, str] | None:
    path = folder / name
    return read_mapping(path, value_needed=name != TEXT) if path.exists() else None


def _recordings(folder: Path, allow_pipes: bool) -> dict[str, Source]:
    if not (folder / WAV).exists():
        if (folder / FEATS).exists():
            return {}
        raise DataError(f"{folder} has neither {WAV} nor {FEATS}: list the sounds in {WAV}")
    rows = read_mapping(folder / WAV, composed_values=False)
    try:
        return {
            key: parse_source(value, folder, allow_pipes=allow_pipes) for key, value in rows.items()
        }
    except DataError as error:
        raise DataError(f"{folder / WAV}: {error}") from None


def _segments(folder: Path) -> dict[str, Segment] | None:
    rows = _optional(folder, SEGMENTS)
    if rows is None:
        return None
    found = {}
    for key, value in rows.items():
        try:
            found[key] = parse_segment(value)
        except DataError as error:
            raise DataError(
                f"{folder / SEGMENTS}, {key}: {error}; correct the line, or drop it"
                " with `asr data fix`"
            ) from None
    return found


def _extras(folder: Path) -> dict[str, dict[str, str]]:
    """Further tables; the archives that scp files point to are made absolute."""
    extras = {}
    for name in extra_names(folder):
        rows = read_mapping(folder / name, composed_values=not name.endswith(".scp"))
        if name.endswith(".scp"):
            rows = {key: absolute_place(value, folder) for key, value in rows.items()}
        extras[name] = rows
    return extras


def _number(path: Path, key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.1 <= value <= 10.0:
        raise DataError(
            f"{path}, {key}: {text!r} is no speed, 0.1 to 10: correct or delete the line"
        )
    return value


def _check_same(
    folder: Path,
    speakers: Mapping[str, str],
    segments: Mapping[str, Segment] | None,
    recordings: Mapping[str, Source],
    texts: Mapping[str, str] | None,
) -> None:
    """Every utterance is in every file, and every segment's recording exists."""
    listed: dict[str, Mapping[str, object]] = {}
    if texts is not None:
        listed[TEXT] = texts
    if segments is not None:
        listed[SEGMENTS] = segments
    elif recordings:
        listed[WAV] = recordings
    for name, rows in listed.items():
        _check_keys(folder, name, speakers.keys() - rows.keys(), f"not in {name}")
        _check_keys(folder, name, rows.keys() - speakers.keys(), f"in {name} but not in {UTT2SPK}")
    if segments is not None and recordings:
        wanted = {recording for recording, _, _ in segments.values()}
        _check_keys(folder, SEGMENTS, wanted - recordings.keys(), f"not in {WAV}", "recordings")
    for utterance, speaker in speakers.items():
        if " " in speaker or "\t" in speaker:
            raise DataError(
                f"{folder / UTT2SPK}, {utterance}: {speaker!r} is more than one word;"
                " join it with _"
            )


def _check_keys(
    folder: Path, name: str, keys: set[str], what: str, noun: str = "utterances"
) -> None:
    if keys:
        raise DataError(
            f"{folder}: {len(keys)} {noun} are {what} (first:"
            f" {min(keys, key=sort_key)}): complete {name}, or drop them with"
            " `asr data fix`"
        )
