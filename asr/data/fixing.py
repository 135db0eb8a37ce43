"""Mend a data directory: sort, clean, and drop what is incomplete (Kaldi's fix_data_dir.sh).

What only a person can decide is not guessed: an id with two different values is dropped with a
reason, and single jamo in texts stay, for `validate` to tell of.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asr.atomic import replaced_folder
from asr.audio import audio_info
from asr.data.sounds import MAX_OVERSHOOT, parse_source
from asr.data.table_files import (
    CMVN,
    FEATS,
    NUM_FRAMES,
    SEGMENTS,
    SPK2UTT,
    TEXT,
    UTT2DUR,
    UTT2SPK,
    WAV,
    absolute_place,
    parse_segment,
    table_kind,
)
from asr.data.tables import Line, Table, cleaned, sort_key, write_table
from asr.data.validation import Loaded, ValidationConfig, load
from asr.errors import AudioError, DataError

BACKUP = ".backup"
_MEASURED = (UTT2DUR, NUM_FRAMES, "reco2dur")
"""Tables that can be made anew: one that is incomplete or wrong is deleted."""

Rows = dict[str, str]


@dataclass(slots=True)
class FixReport:
    """What was done."""

    kept: int = 0
    """Utterances in the mended directory."""
    dropped: dict[str, str] = field(default_factory=dict)
    """Utterance to the reason why it was dropped."""
    notes: list[str] = field(default_factory=list)
    """What else was changed, a sentence each."""


def fix(
    folder: str | Path, out: str | Path | None = None, config: ValidationConfig | None = None
) -> FixReport:
    """Write the directory mended, to `out` or in place.

    In place, each file that changes is kept as it was in `.backup` (an older backup is replaced).

    Raises:
        DataError: nothing would be left, `out` is there already, or wav.scp holds commands that
            are not allowed.
    """
    loaded = load(folder, config)
    report = FixReport()
    tables = {name: _clean(table, report) for name, table in loaded.tables.items()}
    if UTT2SPK not in tables:
        raise DataError(
            f"{folder} has no utt2spk, without which nothing can be mended: write a"
            " line `UTTERANCE SPEAKER` for each utterance"
        )
    kept = _kept_utterances(loaded, tables, report)
    if not kept:
        reasons = "; ".join(dict.fromkeys(report.dropped.values())) or "utt2spk lists none"
        raise DataError(f"no utterance of {folder} is complete ({reasons}): nothing was changed")
    mended = _filtered(tables, kept, report)
    report.kept = len(kept)
    if out is None:
        _write_in_place(loaded, mended)
    else:
        _write_to(Path(out), Path(folder), mended)
    return report


def _clean(table: Table, report: FixReport) -> Rows:
    """Rows with clean keys and values; ids with two values are left out, with a note."""
    raw_value = table.name.endswith(".scp")
    found: Rows = {}
    conflicting: set[str] = set()
    for line in table.lines:
        key, value = _clean_line(line, raw_value)
        if found.setdefault(key, value) != value:
            conflicting.add(key)
    for key in conflicting:
        del found[key]
        report.notes.append(f"{table.name}: {key} had two different values, both were deleted")
    unreadable = [d for d in table.defects if "not UTF-8" in d.what or "bytes" in d.what]
    lost = sorted({d.line for d in unreadable} - {line.number for line in table.lines})
    for number in lost:
        report.notes.append(f"{table.name}: line {number} cannot be read and was deleted")
    changed = len({d.line for d in table.defects if d.line and d.line not in lost})
    if changed:
        report.notes.append(f"{table.name}: cleaned or sorted ({changed} lines with defects)")
    return found


def _clean_line(line: Line, raw_value: bool) -> tuple[str, str]:
    if raw_value:  # a path is what it is
        return unicodedata.normalize("NFC", cleaned(line.key)), line.value
    key, _, value = cleaned(f"{line.key} {line.value}").partition(" ")
    return key, value


def _kept_utterances(loaded: Loaded, tables: Mapping[str, Rows], report: FixReport) -> set[str]:
    bad_sounds = _bad_sounds(loaded, tables.get(WAV, {}))
    kept = set()
    for key in sorted(tables[UTT2SPK], key=sort_key):
        reason = next(_reasons(key, loaded, tables, bad_sounds), None)
        if reason is None:
            kept.add(key)
        else:
            report.dropped[key] = reason
    for name in (TEXT, SEGMENTS):
        for key in tables.get(name, {}).keys() - tables[UTT2SPK].keys():
            report.dropped.setdefault(key, "no speaker in utt2spk")
    return kept


def _reasons(
    key: str, loaded: Loaded, tables: Mapping[str, Rows], bad: Mapping[str, str]
) -> Iterator[str]:
    """Why an utterance is incomplete."""
    if len(tables[UTT2SPK][key].split()) != 1:
        yield "not one speaker in utt2spk"
    recording, end = key, None
    if SEGMENTS in tables:
        if key not in tables[SEGMENTS]:
            yield "no segment"
            return
        try:
            recording, start, end = parse_segment(tables[SEGMENTS][key])
        except DataError as error:
            yield f"segment: {error}"
            return
        bad_end = _beyond(recording, start, end, loaded, tables)
        if bad_end and recording not in bad:
            yield bad_end
    if WAV in tables and recording not in tables[WAV]:
        yield f"no sound in {WAV}"
    if recording in bad:
        yield bad[recording]
    if TEXT in tables and loaded.config.text:
        if key not in tables[TEXT]:
            yield "no text"
        elif not any(character.isalnum() for character in tables[TEXT][key]):
            yield "its text has no word"
    if FEATS in tables and loaded.config.features and key not in tables[FEATS]:
        yield f"no features in {FEATS}"


def _beyond(
    recording: str, start: float, end: float | None, loaded: Loaded, tables: Mapping[str, Rows]
) -> str | None:
    """Whether a segment lies beyond its recording, and what to say then."""
    source = tables.get(WAV, {}).get(recording)
    if source is None or source.endswith("|") or not loaded.config.sounds:
        return None
    length = _length(str(parse_source(source, loaded.folder)))
    if length is None or (start < length and (end is None or end <= length + MAX_OVERSHOOT)):
        return None
    return f"its segment ends at {end or start:g} s, its recording at {length:.2f} s"


_lengths: dict[tuple[str, int], float | None] = {}


def _length(path: str) -> float | None:
    """Seconds by the header, read once for all segments of a recording; None if unreadable."""
    try:
        key = (path, os.stat(path).st_mtime_ns)
        if key not in _lengths:
            _lengths[key] = audio_info(path).duration
        return _lengths[key]
    except (AudioError, OSError):
        return None


def _bad_sounds(loaded: Loaded, rows: Rows) -> dict[str, str]:
    """Recordings whose sound cannot be opened, and why."""
    bad = {}
    for key, value in rows.items():
        source = parse_source(value, loaded.folder, allow_pipes=loaded.config.allow_pipes)
        if not isinstance(source, Path) or not loaded.config.sounds:
            continue
        try:
            if source.is_dir():
                raise AudioError(f"{source} is a folder")
            audio_info(source)
        except AudioError as error:
            bad[key] = f"its sound cannot be read ({error})"
    return bad


def _filtered(tables: Mapping[str, Rows], kept: set[str], report: FixReport) -> dict[str, Rows]:
    """Every table with only what belongs to the utterances kept; spk2utt made anew."""
    speakers: dict[str, list[str]] = {}
    for key in sorted(kept, key=sort_key):
        speakers.setdefault(tables[UTT2SPK][key], []).append(key)
    recordings = kept
    if SEGMENTS in tables:
        recordings = {parse_segment(tables[SEGMENTS][key])[0] for key in kept}
    keys = {"utterance": kept, "speaker": set(speakers), "recording": recordings}
    mended: dict[str, Rows] = {}
    for name, rows in tables.items():
        wanted = keys[table_kind(name) or "utterance"]
        mended[name] = {key: value for key, value in rows.items() if key in wanted}
    mended[SPK2UTT] = {speaker: " ".join(ids) for speaker, ids in speakers.items()}
    _drop_incomplete(mended, keys, report)
    dropped_speakers = {tables[UTT2SPK].get(key) for key in report.dropped} & set(speakers)
    if CMVN in mended and dropped_speakers:
        report.notes.append(
            f"{CMVN}: statistics of {len(dropped_speakers)} speakers still count"
            " dropped utterances, make them anew (`asr data features`)"
        )
    return mended


def _drop_incomplete(
    mended: dict[str, Rows], keys: Mapping[str, set[str]], report: FixReport
) -> None:
    """Tables that can be measured anew are deleted where they are incomplete or not numbers."""
    for name in _MEASURED:
        rows = mended.get(name)
        if rows is None:
            continue
        complete = rows.keys() == keys[table_kind(name) or ""]
        if not complete or not all(_is_positive(value) for value in rows.values()):
            del mended[name]
            report.notes.append(f"{name}: deleted, it was incomplete or held no numbers")
    for name in [name for name, rows in mended.items() if not rows]:
        del mended[name]
        report.notes.append(f"{name}: deleted, nothing was left in it")


def _is_positive(text: str) -> bool:
    try:
        return 0.0 < float(text) < float("inf")
    except ValueError:
        return False


def _write_in_place(loaded: Loaded, mended: Mapping[str, Rows]) -> None:
    folder = loaded.folder
    before = {name: (folder / name).read_bytes() for name in loaded.tables}
    backup = folder / BACKUP
    try:
        with replaced_folder(backup) as temporary:
            for name in before:
                shutil.copy2(folder / name, temporary / name)
        for name, rows in mended.items():
            write_table(folder / name, rows)
        for name in before.keys() - mended.keys():
            (folder / name).unlink()
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written ({error.strerror or error}): the files as they"
            f" were are in {backup}"
        ) from error


def _write_to(out: Path, folder: Path, mended: Mapping[str, Rows]) -> None:
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(f"{out} is there already: choose another name")
    with replaced_folder(out) as temporary:
        for name, rows in mended.items():
            write_table(temporary / name, _moved(name, rows, folder))


def _moved(name: str, rows: Rows, folder: Path) -> Rows:
    """Relative paths made absolute, since they lay beside the old directory."""
    if name == WAV:
        return {k: v if v.endswith("|") else str(parse_source(v, folder)) for k, v in rows.items()}
    if name.endswith(".scp"):
        return {key: absolute_place(value, folder) for key, value in rows.items()}
    return rows
