"""Recognising many sounds at once on one device: archives rather than conversations.

Sounds are cut into segments as :class:`~asr.stream.Stream` cuts them; segments of about the
same length are scored and searched together (:mod:`asr.acoustic.batch_scorer` and
:mod:`asr.decoder.batched`). The language model is compiled into the graph, hence a small one, and
the search's best path is the result: no rescoring, confidences, user words or grammars.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.acoustic.batch_scorer import BatchScorer
from asr.audio import check_samples
from asr.decoder.batched import BatchedDecoder
from asr.decoder.confidence import Eojeol, eojeols_of
from asr.decoder.config import DecoderConfig
from asr.decoder.path import BestPath
from asr.errors import ModelError, UsageError
from asr.graph.static_graph import StaticGraph
from asr.jamo_times import Clock
from asr.recognizer import Model
from asr.result import Result, Segment, Word
from asr.segmenting import SegmentCutter, SoundSegment


@dataclass(frozen=True, slots=True)
class BatchConfig:
    """How many segments are recognised at once. A GPU is not busy with fewer than hundreds.

    Attributes:
        segments: at most so many.
        seconds: at most so much sound, each counted as long as the longest. A second takes about
            a megabyte of the device's memory.
    """

    segments: int = 512
    seconds: float = 2000.0

    def __post_init__(self) -> None:
        whole = isinstance(self.segments, int) and self.segments >= 1
        if not (whole and 0 < self.seconds < math.inf):
            raise UsageError("a batch has at least one segment and more than 0 seconds")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A segment, and which of the sounds it is of."""

    sound: int
    segment: SoundSegment


class BatchRecognizer:
    """Recognises batches of sounds on the device of a model's network. Immutable.

    Args:
        model: whose features and network are used, and on whose device all runs.
        graph: the model's lexicon graph and a language model, of
            :func:`~asr.graph.static_compile.compile_static`.
        search: ``beam`` and ``max_active`` of the search; None: the model's.
        batches: how many segments at once.

    Raises:
        ModelError: a graph of another acoustic model.
    """

    def __init__(
        self,
        model: Model,
        graph: StaticGraph,
        search: DecoderConfig | None = None,
        batches: BatchConfig | None = None,
    ) -> None:
        self._model = model
        self.scorer = BatchScorer(model.scorer)
        if graph.num_pdfs > self.scorer.num_pdfs:
            raise ModelError(
                f"the static graph needs {graph.num_pdfs} pdfs, the network has "
                f"{self.scorer.num_pdfs}; compile it from this model"
            )
        self.decoder = BatchedDecoder(graph, self.scorer.device)
        self.search = search or model.decoder_config
        self.batches = batches or BatchConfig()

    def transcribe(self, sounds: Sequence[NDArray[np.float32]]) -> list[Result]:
        """The results of sounds: float32 [N] in [-1, 1] at the model's rate, in their order.

        Raises:
            UsageError: samples of another type or shape.
            AudioError: samples that are not finite or far outside [-1, 1].
        """
        pieces = list(self._pieces(sounds))
        found: dict[tuple[int, float], Segment] = {}
        for batch in _batches(pieces, self.batches, self._model.sample_rate):
            scores, lengths = self.scorer.scores([piece.segment.samples for piece in batch])
            paths = self.decoder.decode(scores, lengths, self.search)
            for piece, path in zip(batch, paths, strict=True):
                segment = self._segment(piece.segment, path)
                if segment is not None:
                    found[piece.sound, piece.segment.start] = segment
        segments: list[list[Segment]] = [[] for _ in sounds]
        for (sound, _), segment in sorted(found.items(), key=lambda item: item[0]):
            segments[sound].append(segment)
        return [
            Result(
                segments=tuple(own),
                duration=len(sound) / self._model.sample_rate,
                language=self._model.language,
                model=self._model.name,
            )
            for sound, own in zip(sounds, segments, strict=True)
        ]

    def _pieces(self, sounds: Sequence[NDArray[np.float32]]) -> Iterator[_Piece]:
        """The segments in which anything can be heard."""
        for number, sound in enumerate(sounds):
            if sound.ndim != 1 or sound.dtype != np.float32:
                raise UsageError(
                    f"sounds are float32 samples of shape [n], not {sound.dtype} {sound.shape}"
                )
            check_samples(sound)
            cutter = SegmentCutter(self._model.sample_rate)
            for segment in (*cutter.accept(sound), *cutter.finish()):
                if not segment.silent:
                    yield _Piece(number, segment)

    def _segment(self, sound: SoundSegment, path: BestPath) -> Segment | None:
        end = sound.start + len(sound.samples) / self._model.sample_rate
        clock = Clock(self.scorer.frame_seconds, begin=sound.start, end=end)
        eojeols = [Eojeol(units, None) for units in eojeols_of(path.units)]
        if not eojeols:
            return None
        return Segment.from_words(
            Word(eojeol.text, clock.seconds(eojeol.start), clock.seconds(eojeol.end))
            for eojeol in eojeols
        )


def _batches(pieces: list[_Piece], config: BatchConfig, sample_rate: int) -> Iterator[list[_Piece]]:
    """Pieces of about the same length together, longest first."""
    ordered = sorted(pieces, key=lambda piece: -len(piece.segment.samples))
    while ordered:
        longest = len(ordered[0].segment.samples) / sample_rate
        count = max(1, min(config.segments, int(config.seconds / longest)))
        yield ordered[:count]
        ordered = ordered[count:]
