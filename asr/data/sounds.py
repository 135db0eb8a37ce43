"""Where the sound of a recording is, and stretches of it as samples."""

from __future__ import annotations

import logging
import os
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from asr.audio import SAMPLE_RATE, from_array, load_audio
from asr.errors import AudioError, DataError

logger = logging.getLogger(__name__)

MAX_OVERSHOOT = 0.5
"""Seconds by which a segment may end after its recording (extract-segments --max-overshoot)."""


@dataclass(frozen=True, slots=True)
class Pipe:
    """A shell command whose output is the sound: `COMMAND |` in wav.scp.

    It runs with the rights of whoever reads the directory, so one is made only where that was asked
    for.
    """

    command: str

    def __str__(self) -> str:
        return f"{self.command} |"


Source = Path | Pipe


def parse_source(text: str, folder: Path, *, allow_pipes: bool = False) -> Source:
    """The value of a line of wav.scp.

    Args:
        text: a path, absolute or relative, or a command and `|`.
        folder: relative paths are looked for here, then (as Kaldi does) in the working directory.
        allow_pipes: commands are taken, not refused.

    Raises:
        DataError: a command that is not allowed, or nothing.
    """
    if text.endswith("|"):
        if not allow_pipes:
            raise DataError(
                f"a shell command stands where a sound file should ({text}): allow"
                " pipes if you trust the directory, or write the sound to a"
                " file"
            )
        return Pipe(text[:-1].strip())
    return resolved(text, folder)


def resolved(text: str, folder: Path) -> Path:
    """The absolute path of a relative one: below `folder`, or else the working directory."""
    if "\0" in text or not text:
        raise DataError(f"{text!r} cannot be the path of a file")
    inside = folder / text
    if os.path.isabs(text) or os.path.exists(inside) or not os.path.exists(text):
        return Path(os.path.abspath(inside))
    return Path(os.path.abspath(text))


def read_samples(
    source: Source, start: float, end: float | None, sample_rate: int = SAMPLE_RATE
) -> np.ndarray:
    """A stretch of a recording as float32 [N] at `sample_rate` Hz.

    Args:
        source: the recording.
        start: seconds.
        end: seconds; None is the end of the recording. It may be MAX_OVERSHOOT too late.

    Raises:
        AudioError: the sound cannot be read, or does not reach as far.
    """
    if start == 0.0 and end is None:
        return _whole(source, sample_rate)
    piece = _piece(source, start, end, sample_rate)
    if piece is None:
        first, last = _bounds(start, end, sample_rate)
        piece = _kept(source, sample_rate)[first:last].copy()
    found = len(piece) / sample_rate
    if len(piece) == 0 or (end is not None and start + found < end - MAX_OVERSHOOT):
        raise AudioError(
            f"{source} ends at {start + found:.2f} s or before, and a segment of it"
            f" at {end if end is not None else start:.2f} s:"
            " correct the segment"
        )
    return piece


def _bounds(start: float, end: float | None, rate: int) -> tuple[int, int | None]:
    return round(start * rate), None if end is None else round(end * rate)


def _piece(source: Source, start: float, end: float | None, rate: int) -> np.ndarray | None:
    """Read only the stretch; None where that is not exact (other rate) or not possible."""
    import soundfile

    if isinstance(source, Pipe):
        return None
    try:
        with soundfile.SoundFile(source) as file:
            if file.samplerate != rate or not file.seekable():
                return None
            first, last = _bounds(start, end, rate)
            file.seek(min(first, file.frames))
            count = -1 if last is None else max(0, last - first)
            samples = file.read(count, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError):
        return None  # reading it whole will say what is wrong
    try:
        return from_array(samples, rate, rate).samples
    except AudioError as error:
        raise AudioError(f"{source}: {error}") from error


def _whole(source: Source, rate: int) -> np.ndarray:
    if isinstance(source, Path):
        return load_audio(source, rate).samples
    logger.warning("running a command of wav.scp: %s", source.command)
    done = subprocess.run(source.command, shell=True, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-300:]
        raise AudioError(
            f"the command {source.command!r} failed with exit code {done.returncode}"
            f" ({said or 'it said nothing'}): run it by hand to see why"
        )
    if not done.stdout:
        raise AudioError(f"the command {source.command!r} wrote no sound: run it by hand")
    try:
        return load_audio(done.stdout, rate).samples
    except AudioError as error:
        raise AudioError(
            f"the command {source.command!r} wrote no sound ({error}): run it by hand"
        ) from None


@lru_cache(maxsize=2)
def _kept(source: Source, rate: int) -> np.ndarray:
    """The last recordings whole: the segments of one are mostly asked for one after the other."""
    samples = _whole(source, rate)
    samples.flags.writeable = False
    return samples
