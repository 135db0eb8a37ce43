"""Cut long sound at its quietest places, so that memory and time a segment stay bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SegmentingConfig:
    """Where to cut.

    Attributes:
        min_seconds: no cut before this much sound.
        max_seconds: no segment longer than this.
        silence_level: root mean square (full scale = 1) under which nothing can be heard; segments
            with no louder moment are not decoded. 1e-4 (−80 dBFS) is three steps of 16-bit sound.
    """

    min_seconds: float = 15.0
    max_seconds: float = 30.0
    silence_level: float = 1e-4


@dataclass(frozen=True, slots=True)
class SoundSegment:
    """A piece of sound: start in seconds, samples (float32 [N]) and whether it is silent."""

    start: float
    samples: NDArray[np.float32]
    silent: bool


class SegmentCutter:
    """Cuts consecutive blocks of samples into segments that tile the sound.

    Args:
        sample_rate: of the samples, in Hz.
    """

    def __init__(self, sample_rate: int, config: SegmentingConfig | None = None) -> None:
        self.config = config or SegmentingConfig()
        self._rate = sample_rate
        self._window = sample_rate // 20
        self._held = np.zeros(0, np.float32)
        self._begin = 0

    def accept(self, block: NDArray[np.float32]) -> Iterator[SoundSegment]:
        """Take float32 [n] samples; yield the segments that are complete."""
        limit = int(self.config.max_seconds * self._rate)
        earliest = int(self.config.min_seconds * self._rate)
        self._held = np.concatenate([self._held, block])
        while len(self._held) > limit:
            yield self._cut(_quietest(self._held[:limit], earliest, self._window))

    def finish(self) -> Iterator[SoundSegment]:
        """Yield what is left."""
        if len(self._held):
            yield self._cut(len(self._held))

    def _cut(self, length: int) -> SoundSegment:
        samples, self._held = self._held[:length], self._held[length:]
        start = self._begin / self._rate
        self._begin += length
        silent = bool(_levels(samples, self._window).max() < self.config.silence_level)
        return SoundSegment(start, samples, silent)


def quietest(samples: NDArray[np.float32], sample_rate: int) -> int:
    """The sample in the second half of float32 [N] where a cut does least harm."""
    return _quietest(samples, len(samples) // 2, sample_rate // 20)


def _levels(samples: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    """Root mean square of consecutive windows, float32 [n]; the last one may be padded."""
    padded = np.zeros(-(-len(samples) // window) * window, np.float32)
    padded[: len(samples)] = samples
    return np.sqrt(np.mean(padded.reshape(-1, window) ** 2, axis=1))


def _quietest(samples: NDArray[np.float32], earliest: int, window: int) -> int:
    """The middle of the quietest 0.2 s (four windows) after ``earliest``."""
    whole = earliest + (len(samples) - earliest) // window * window
    levels = _levels(samples[earliest:whole], window)
    if len(levels) < 4:
        return len(samples)
    smooth = np.convolve(levels, np.full(4, 0.25), "valid")
    return min(earliest + (int(smooth.argmin()) + 2) * window, len(samples))
