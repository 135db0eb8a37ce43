"""Cut long sound into segments: where nobody speaks, else at its quietest places.

Memory and time a segment stay bounded. What holds no speech (silence, noise, music) is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from asr.errors import UsageError
from asr.voice import FRAME, VoiceConfig, Voices


@dataclass(frozen=True, slots=True)
class SegmentingConfig:
    """Where to cut.

    Attributes:
        min_seconds: no cut in the midst of speech before this much sound.
        max_seconds: no segment longer than this.
        silence_level: root mean square (full scale = 1) under which nothing can be heard; segments
            with no louder moment are not decoded. 1e-4 (−80 dBFS) is three steps of 16-bit sound.
        voices: what counts as speech; where its threshold is 0, nothing is left out.
        gap: seconds without speech that end a segment.
        pad: seconds beside speech that are kept.
    """

    min_seconds: float = 15.0
    max_seconds: float = 30.0
    silence_level: float = 1e-4
    voices: VoiceConfig = field(default_factory=VoiceConfig)
    gap: float = 2.0
    pad: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < 2 * self.pad <= self.gap:
            raise UsageError("a gap without speech holds two pads at least")


@dataclass(frozen=True, slots=True)
class SoundSegment:
    """A piece of sound: start in seconds, samples (float32 [N]) and whether it is silent."""

    start: float
    samples: NDArray[np.float32]
    silent: bool


class SegmentCutter:
    """Cuts consecutive blocks of samples into segments that follow each other.

    Without a detector of voices they tile the sound. With one, what it hears nobody speak in for
    longer than ``gap`` is left out; the segments are the same however the sound comes.

    Args:
        sample_rate: of the samples, in Hz. The detector takes 16 kHz; others are cut without it.
    """

    def __init__(self, sample_rate: int, config: SegmentingConfig | None = None) -> None:
        self.config = config or SegmentingConfig()
        self._rate = sample_rate
        self._window = sample_rate // 20
        self._held = np.zeros(0, np.float32)
        self._begin = 0  # sample that is held first
        self._voices = Voices.of(self.config.voices, sample_rate)

    def accept(self, block: NDArray[np.float32]) -> Iterator[SoundSegment]:
        """Take float32 [n] samples; yield the segments that are complete."""
        self._held = np.concatenate([self._held, block])
        if self._voices is None:
            yield from self._bounded(self._begin + len(self._held))
            return
        for speech in self._voices.accept(block):
            yield from self._heard(self._voices, speech)

    def finish(self) -> Iterator[SoundSegment]:
        """Yield what is left."""
        if len(self._held) and (self._voices is None or self._voices.enough):
            yield self._cut(len(self._held))

    def _heard(self, voices: Voices, speech: bool) -> Iterator[SoundSegment]:
        """The detector has heard one more frame."""
        now, spoken = voices.heard, voices.last_end
        pad, gap = round(self.config.pad * self._rate), round(self.config.gap * self._rate)
        if spoken is None:
            if now - self._begin > gap:  # nobody speaks, so far
                self._drop(now - pad)
        elif not speech and now - spoken >= gap:
            if voices.enough:
                yield self._cut(spoken + pad - self._begin)
            self._drop(now - pad)
        yield from self._bounded(now)

    def _bounded(self, known: int) -> Iterator[SoundSegment]:
        """Cut what has grown too long, of the samples before ``known``."""
        limit = round(self.config.max_seconds * self._rate)
        earliest = round(self.config.min_seconds * self._rate)
        while known - self._begin > limit:
            yield self._cut(_quietest(self._held[:limit], earliest, self._window))

    def _cut(self, length: int) -> SoundSegment:
        samples, self._held = self._held[:length], self._held[length:]
        start = self._begin / self._rate
        self._move(self._begin + length)
        silent = bool(_levels(samples, self._window).max() < self.config.silence_level)
        return SoundSegment(start, samples, silent)

    def _drop(self, begin: int) -> None:
        """Forget what lies before the sample ``begin``."""
        if begin > self._begin:
            self._held = self._held[begin - self._begin :]
            self._move(begin)

    def _move(self, begin: int) -> None:
        """What is held begins there now; speech before it is none of the next segment."""
        self._begin = begin
        if self._voices is not None:
            self._voices.forget(begin - FRAME + 1)  # a frame that reaches over the cut counts on


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
