"""The segments of a recording, recognised as they are cut, in one thread or in several."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future

import numpy as np
from numpy.typing import NDArray

from asr.result import Detail, Segment
from asr.segment_recognizer import SegmentRecognizer
from asr.segmenting import SegmentCutter, SegmentingConfig, SoundSegment

MOST_BEGUN = 16
"""Segments of a recording that wait for threads or are in them, of half a minute at most each."""


class WholeSegments:
    """Segments of a recording that is cut where nobody speaks, else at its quietest places."""

    def __init__(
        self,
        recognizer: SegmentRecognizer,
        detail: Detail,
        segmenting: SegmentingConfig | None = None,
        executor: Executor | None = None,
    ) -> None:
        self._recognizer, self._detail = recognizer, detail
        self._cutter = SegmentCutter(recognizer.scorer.sample_rate, segmenting)
        self._executor = executor
        self._begun: deque[Future[Segment | None]] = deque()

    def accept(self, block: NDArray[np.float32]) -> Iterator[Segment]:
        """Take float32 [n] samples; yield the segments that are complete."""
        return self._recognised(self._cutter.accept(block))

    def finish(self) -> Iterator[Segment]:
        """Yield what is left."""
        yield from self._recognised(self._cutter.finish())
        while self._begun:
            yield from self._first()

    def _recognised(self, pieces: Iterable[SoundSegment]) -> Iterator[Segment]:
        for piece in pieces:
            if self._executor is None:
                segment = self._recognizer.recognize(piece, self._detail)
                if segment is not None:
                    yield segment
                continue
            work = self._executor.submit(self._recognizer.recognize, piece, self._detail)
            self._begun.append(work)
            while len(self._begun) > MOST_BEGUN or (self._begun and self._begun[0].done()):
                yield from self._first()

    def _first(self) -> Iterator[Segment]:
        """The first of the segments that were begun, once it is done."""
        segment = self._begun.popleft().result()
        if segment is not None:
            yield segment
