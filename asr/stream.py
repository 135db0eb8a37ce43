"""One utterance or recording in progress, whose samples come piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asr.audio import check_samples
from asr.errors import UsageError
from asr.live import LiveRecognizer
from asr.punctuation import punctuate_segment, punctuator
from asr.result import Detail, Result, Segment
from asr.whole_segments import WholeSegments
from asr.written_results import write_segment

if TYPE_CHECKING:
    from asr.recognizer import Model


class Stream:
    """One utterance or recording in progress: feed it, then take its result.

    Sound is recognised in segments of at most half a minute, so memory stays bounded however long
    it runs. Not to be shared between threads.
    """

    def __init__(
        self, model: Model, segments: WholeSegments | LiveRecognizer, detail: Detail
    ) -> None:
        self._model = model
        self._source = segments
        self._detail = detail
        self._segments: list[Segment] = []
        self._samples = 0
        self._finished = False
        self._failure: Exception | None = None

    def accept(self, samples: NDArray[np.float32]) -> None:
        """Take more sound: float32 [n] in [-1, 1] at the model's rate, of any length.

        Raises:
            UsageError: samples of another type or shape, or after :meth:`finish`.
            AudioError: samples that are not finite or far outside [-1, 1].
        """
        if self._finished:
            raise UsageError("this stream is finished; begin another with model.stream()")
        if isinstance(samples, (bytes, bytearray, memoryview)):
            raise UsageError("a stream takes float32 samples; 16-bit PCM becomes them by"
                             " np.frombuffer(pcm, '<i2').astype(np.float32) / 32768")
        block = np.asarray(samples)
        if block.ndim != 1 or block.dtype != np.float32:
            raise UsageError(
                f"a stream takes float32 samples of shape [n], not {block.dtype} {block.shape}"
            )
        check_samples(block)
        self._samples += len(block)
        self._take(self._source.accept(block))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What has been recognised for good so far."""
        return tuple(self._segments)

    def partial(self) -> Segment:
        """What a live stream has heard of the segment in progress; it may still change.

        Its text is '' before anything was said, and always where the stream is not live.
        """
        if self._finished or not isinstance(self._source, LiveRecognizer):
            now = self._samples / self._model.sample_rate
            return Segment("", now, now)
        return self._source.partial()

    def result(self) -> Result:
        """What has been recognised for good so far, as a result."""
        return Result(
            segments=self.segments,
            duration=self._samples / self._model.sample_rate,
            language=self._model.language,
            model=self._model.name,
        )

    def finish(self) -> Result:
        """Recognise what is left and return everything; what fails once fails every time."""
        if self._failure is not None:
            raise self._failure
        if not self._finished:
            self._finished = True
            try:
                self._take(self._source.finish())
            except Exception as error:
                self._failure = error
                raise
        return self.result()

    def _take(self, segments: Iterable[Segment]) -> None:
        recognizer = self._model._recognizer
        for segment in segments:
            if self._detail.written and recognizer.grammar is None:
                segment = write_segment(segment, [word.written for word in recognizer.words])
            if self._detail.punctuation and recognizer.grammar is None:
                segment = punctuate_segment(segment, punctuator())
            self._segments.append(segment)
