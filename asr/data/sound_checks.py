"""Checks of a data directory that look at what its tables point to: sounds and archives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from asr.audio import audio_info, load_audio
from asr.data.archives import ScpReader
from asr.data.sounds import MAX_OVERSHOOT, parse_source
from asr.data.table_files import CMVN, FEATS, NUM_FRAMES, SEGMENTS, UTT2DUR, WAV, absolute_place
from asr.data.tables import Defect, Line
from asr.data.validation import Loaded, check
from asr.errors import AudioError, DataError

MIN_SECONDS = 0.05
"""A shorter utterance holds no syllable."""
_COMPUTE = "compute it again (`asr data features`)"
DURATION_TOLERANCE = 0.05
"""Seconds by which utt2dur may differ from the sound."""


@check("sounds")
def sounds(loaded: Loaded) -> Iterator[Defect]:
    """Each sound can be opened, and reaches to the end of its segments."""
    lengths: dict[str, float] = {}
    for key, line in loaded.rows(WAV).items():
        try:
            source = parse_source(line.value, loaded.folder, allow_pipes=loaded.config.allow_pipes)
            if isinstance(source, Path) and loaded.config.sounds:
                length = _length(source, loaded.config.decode)
                if length is not None:
                    lengths[key] = length
        except (AudioError, DataError) as error:
            yield Defect(WAV, line.number, f"{key}: {error}", _mend(line.value))
    yield from _segment_ends(loaded, lengths)
    yield from _lengths(loaded, lengths)


def _mend(value: str) -> str:
    if value.endswith("|"):
        return "give --allow-pipes if you trust it"
    return "correct the path, get the sound again, or drop it (`asr data fix`)"


def _length(path: Path, decode: bool) -> float | None:
    if path.is_dir():
        raise AudioError(f"{path} is a folder")
    return load_audio(path).duration if decode else audio_info(path).duration


def _segment_ends(loaded: Loaded, lengths: dict[str, float]) -> Iterator[Defect]:
    rows = loaded.rows(SEGMENTS)
    for key, (recording, start, end) in loaded.segments.items():
        length = lengths.get(recording)
        if end is not None and end - start < MIN_SECONDS:
            yield Defect(
                SEGMENTS,
                rows[key].number,
                f"{key} lasts {end - start:.3f} s",
                f"an utterance has at least {MIN_SECONDS} s: correct its times",
            )
        if length is None:
            continue
        if start >= length:
            yield Defect(
                SEGMENTS,
                rows[key].number,
                f"{key} begins at {start:g} s, and {recording} ends at {length:.2f} s",
                "correct the times, or delete the line",
            )
        elif end is not None and end > length + MAX_OVERSHOOT:
            yield Defect(
                SEGMENTS,
                rows[key].number,
                f"{key} ends at {end:g} s, and {recording} at {length:.2f} s",
                "correct the times, or delete the line",
            )


def _lengths(loaded: Loaded, lengths: dict[str, float]) -> Iterator[Defect]:
    """Of whole recordings: too short, or not as long as utt2dur says."""
    if loaded.has(SEGMENTS):
        return
    durations, speeds = loaded.rows(UTT2DUR), loaded.rows("utt2speed")
    for key, length in lengths.items():
        if length < MIN_SECONDS:
            yield Defect(
                WAV,
                loaded.rows(WAV)[key].number,
                f"{key} lasts {length:.3f} s",
                "drop it, or get the sound again",
            )
        line = durations.get(key)
        told = _number(line)
        if line is None or told is None:
            continue
        speed = _number(speeds.get(key)) or 1.0
        if abs(told - length / speed) > DURATION_TOLERANCE:
            yield Defect(
                UTT2DUR,
                line.number,
                f"{key} is said to last {line.value} s, its sound {length / speed:.2f} s",
                f"delete {UTT2DUR}, or correct {WAV}",
            )


@check("features")
def features(loaded: Loaded) -> Iterator[Defect]:
    """feats.scp points to matrices of one width, as long as utt2num_frames says."""
    if not loaded.config.features:
        return
    width: int | None = None
    frames = loaded.rows(NUM_FRAMES)
    for key, line, shape in _shapes(loaded, FEATS):
        if isinstance(shape, str):
            yield Defect(FEATS, line.number, shape, _COMPUTE)
            continue
        width = width or shape[1]
        if shape[0] == 0:
            yield Defect(
                FEATS, line.number, f"{key} has no frames", "drop it, its sound is too short"
            )
        elif shape[1] != width:
            yield Defect(
                FEATS,
                line.number,
                f"{key} has {shape[1]} dimensions where those before have {width}",
                "compute all features with the same options",
            )
        if key in frames and frames[key].value != str(shape[0]):
            yield Defect(
                NUM_FRAMES,
                frames[key].number,
                f"{key} is said to have {frames[key].value} frames and has {shape[0]}",
                f"delete {NUM_FRAMES}",
            )


@check("cmvn")
def cmvn(loaded: Loaded) -> Iterator[Defect]:
    """cmvn.scp points to statistics [2, D + 1] that fit the features."""
    if not loaded.config.features:
        return
    width = next((s[1] for _, _, s in _shapes(loaded, FEATS) if not isinstance(s, str)), None)
    for key, line, shape in _shapes(loaded, CMVN):
        if isinstance(shape, str):
            yield Defect(CMVN, line.number, shape, _COMPUTE)
        elif shape[0] != 2 or (width is not None and shape[1] != width + 1):
            yield Defect(
                CMVN,
                line.number,
                f"{key} has a matrix of {shape[0]} x {shape[1]}, not"
                f" 2 x {'D + 1' if width is None else width + 1}",
                _COMPUTE,
            )


def _shapes(loaded: Loaded, name: str) -> Iterator[tuple[str, Line, tuple[int, int] | str]]:
    """The shape of each matrix of an scp file, or what is wrong with it."""
    reader = ScpReader({})
    for key, line in loaded.rows(name).items():
        try:
            reader = reader.with_place(key, absolute_place(line.value, loaded.folder))
            yield key, line, reader.shape(key)
        except DataError as error:
            yield key, line, str(error)


def _number(line: Line | None) -> float | None:
    try:
        return None if line is None else float(line.value)
    except ValueError:
        return None
