"""All that the service asks of the recogniser, for live streams and for uploads."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from asr.audio import iter_blocks
from asr.errors import AudioError, UsageError
from asr.result import Result, Segment

if TYPE_CHECKING:
    from asr.recognizer import Model

UPLOAD_BLOCK_SECONDS = 5.0
"""Sound of an upload that is read between two looks at whether its client is still there."""
SAMPLE_RATES = (4_000, 192_000)
_FULL_SCALE = np.float32(1.0 / 32768.0)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a piece of live sound has brought.

    Attributes:
        final: segments that have become final.
        partial: text of what is not final yet.
    """

    final: tuple[Segment, ...]
    partial: str = ""


class PcmStream:
    """One live stream of 16-bit PCM at any rate. Its methods may block; one thread at a time.

    Args:
        model: the shared model, or its view with words or a grammar.
        sample_rate: of the sound that will come, in Hz.
        nbest: alternatives of each segment.
        start: seconds that its first sample is at.
        written, punctuation: as in :meth:`asr.recognizer.Model.stream`.

    Raises:
        UsageError: a rate at which nothing is recorded.
    """

    def __init__(
        self,
        model: Model,
        sample_rate: int,
        nbest: int = 0,
        start: float = 0.0,
        *,
        written: bool = False,
        punctuation: bool = False,
    ) -> None:
        low, high = SAMPLE_RATES
        if not low <= sample_rate <= high:
            raise UsageError(f"sample_rate must be from {low} to {high} Hz, not {sample_rate}")
        self.sample_rate = sample_rate
        self.seconds = 0.0
        self._start = start
        self._stream = model.stream(
            nbest=nbest, live=True, written=written, punctuation=punctuation
        )
        self._told = 0
        self._rest = b""
        self._resample = None
        if sample_rate != model.sample_rate:
            import soxr

            self._resample = soxr.ResampleStream(
                sample_rate, model.sample_rate, 1, dtype="float32", quality="HQ"
            )

    def accept(self, pcm: bytes) -> Heard:
        """Take little-endian 16-bit mono samples; half of one waits for the next call."""
        samples = self._samples(pcm)
        if len(samples):
            self._stream.accept(samples)
        segments = self._new_segments(self._stream.segments)
        return Heard(segments, self._stream.partial().text)

    def finish(self) -> Heard:
        """Recognise what is left."""
        if self._resample is not None:
            tail = self._resample.resample_chunk(np.zeros(0, np.float32), last=True)
            if len(tail):
                self._stream.accept(np.clip(tail, -1.0, 1.0))
        return Heard(self._new_segments(self._stream.finish().segments))

    def _samples(self, pcm: bytes) -> NDArray[np.float32]:
        data = self._rest + pcm
        whole = len(data) // 2 * 2
        self._rest = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) * _FULL_SCALE
        self.seconds += len(samples) / self.sample_rate
        if self._resample is None:
            return samples
        return np.clip(self._resample.resample_chunk(samples), -1.0, 1.0)

    def _new_segments(self, segments: Sequence[Segment]) -> tuple[Segment, ...]:
        new = [_later(segment, self._start) for segment in segments[self._told :]]
        self._told = len(segments)
        return tuple(new)


def _later(segment: Segment, seconds: float) -> Segment:
    """A segment of sound that begins so much later."""
    words = tuple(
        replace(word, start=word.start + seconds, end=word.end + seconds) for word in segment.words
    )
    return replace(segment, start=segment.start + seconds, end=segment.end + seconds, words=words)


class UploadRecognizer:
    """One upload, recognised step by step. One thread at a time.

    Args:
        model: the shared model, or its view with words.
        file: the upload, at its beginning.
        name: how messages name it.
        most_seconds: the longest sound that is taken.
        written, punctuation, nbest: as in :meth:`asr.recognizer.Model.stream`.
    """

    def __init__(
        self,
        model: Model,
        file: BinaryIO,
        name: str,
        most_seconds: float,
        *,
        written: bool = False,
        punctuation: bool = False,
        nbest: int = 0,
    ) -> None:
        self.name = name
        self.seconds = 0.0
        self._model = model
        self._most = most_seconds
        self._stream = model.stream(written=written, punctuation=punctuation, nbest=nbest)
        blocks = iter_blocks(file, model.sample_rate, block_seconds=UPLOAD_BLOCK_SECONDS)
        self._blocks = cast("Generator[NDArray[np.float32], None, None]", blocks)
        self._told = 0

    def step(self) -> tuple[Segment, ...] | None:
        """Recognise the next seconds; segments that they brought, or None at the end.

        Raises:
            AudioError: sound that cannot be read, or that is longer than is taken.
        """
        block = next(self._blocks, None)
        if block is None:
            return None
        self.seconds += len(block) / self._model.sample_rate
        if self.seconds > self._most:
            raise AudioError(
                f"the sound is longer than {self._most:g} s, the most that is taken: cut it into"
                " parts"
            )
        self._stream.accept(block)
        segments = self._stream.segments
        new, self._told = segments[self._told :], len(segments)
        return new

    def finish(self) -> Result:
        """Recognise what is left, and give everything."""
        return self._stream.finish()

    def close(self) -> None:
        """Let go of the file and of what was copied from it."""
        with contextlib.suppress(ValueError):  # a step that runs still lets go when it ends
            self._blocks.close()


def warm_up(model: Model) -> None:
    """Have everything compiled that recognising needs, so that the first client need not wait."""
    noise = np.random.default_rng(0).normal(0.0, 0.05, model.sample_rate).astype(np.float32)
    model.transcribe(noise, sample_rate=model.sample_rate)
