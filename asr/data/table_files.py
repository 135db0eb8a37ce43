"""The files of a data directory: their names, what their lines are, and what is within a line."""

from __future__ import annotations

import re
from pathlib import Path

from asr.data.sounds import resolved
from asr.errors import DataError

WAV, SEGMENTS, TEXT, UTT2SPK, SPK2UTT = "wav.scp", "segments", "text", "utt2spk", "spk2utt"
FEATS, CMVN, UTT2DUR, UTT2SPEED = "feats.scp", "cmvn.scp", "utt2dur", "utt2speed"
UTT2UNIQ, NUM_FRAMES = "utt2uniq", "utt2num_frames"
"""`utt2speed` is ours: the factor by which an utterance is played faster (1.1), as Kaldi's own
speed perturbation writes into the commands of wav.scp."""
Segment = tuple[str, float, float | None]
"""Recording, start and end in seconds; no end means the recording's."""
CORE = (WAV, SEGMENTS, TEXT, UTT2SPK, SPK2UTT)
_NUMBER = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,2})?")
_UTTERANCE_SCPS = (FEATS, "vad.scp")


def table_kind(name: str) -> str | None:
    """By what a table's lines are: `utterance`, `speaker` or `recording`; None for other files."""
    if name in _UTTERANCE_SCPS or name.startswith("utt2") or name in (TEXT, SEGMENTS):
        return "utterance"
    if name == CMVN or name.startswith("spk2"):
        return "speaker"
    if name == WAV or name.startswith("reco2"):
        return "recording"
    return None


def extra_names(folder: Path) -> list[str]:
    """The files of a directory that are tables beside CORE, sorted."""
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_file() and entry.name not in CORE and table_kind(entry.name) is not None
    )


def parse_segment(text: str) -> Segment:
    """`RECORDING START END` in seconds; an end of -1 is the recording's end, here None.

    Raises:
        DataError: not three fields, not numbers, negative, or an end that is not after the start.
    """
    fields = text.split()
    if len(fields) not in (3, 4):  # Kaldi allows a channel, which makes no sense for mono
        raise DataError(f"{len(fields)} fields follow the id, not recording, start and end")
    if len(fields) == 4:
        raise DataError(
            f"a channel ({fields[3]}) is given; write each channel to a file of its own"
            " and delete it"
        )
    if not (_NUMBER.fullmatch(fields[1]) and _NUMBER.fullmatch(fields[2])):
        raise DataError(f"{fields[1]!r} and {fields[2]!r} are not both numbers")
    start, end = float(fields[1]), float(fields[2])
    if start < 0:
        raise DataError(f"the start, {fields[1]} s, is negative")
    if end == -1.0:
        return fields[0], start, None
    if end <= start:
        raise DataError(f"the end, {fields[2]} s, is not after the start, {fields[1]} s")
    return fields[0], start, end


def absolute_place(text: str, folder: Path) -> str:
    """`PATH:OFFSET` of an scp file with an absolute path."""
    if text.endswith("|"):
        return text
    path, colon, offset = text.rpartition(":")
    if not colon or not offset.partition("[")[0].isdecimal():
        return str(resolved(text, folder))
    return f"{resolved(path, folder)}:{offset}"


def seconds(value: float) -> str:
    """Seconds as a table holds them, to the microsecond."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
