"""Recognising the phrases of a grammar, and saying so when none of them was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from asr.decoder.config import DecoderConfig
from asr.decoder.lattice import Hypothesis
from asr.decoder.path import DecodedUnit
from asr.decoder.rescoring import text_of
from asr.decoder.search import Decoder, Search
from asr.graph.grammar import CompiledGrammar, Grammar
from asr.graph.grammar_match import GrammarMatch
from asr.graph.grammar_reject import PathScore, RejectConfig, grammar_confidence
from asr.lm.units import EOJEOL_MARK

CLOSED_CONFIG = DecoderConfig(
    beam=14.0, lm_scale=1.0, unit_bonus=0.0, space_bonus=0.0, lattice_beam=1.0
)
"""Of the grammar's search: its probabilities as they are. Rejects are calibrated for these. A wide
beam costs little where few words may follow; at 11, two in a hundred phrases were lost."""


@dataclass(frozen=True, slots=True)
class ClosedPath:
    """What a grammar makes of an utterance.

    Attributes:
        match: the phrase as it is written, and its slots; None where no phrase was found.
        units: the units that were recognised.
        confidence: the probability that what was said is in the grammar.
        rejected: whether that is too low.
    """

    match: GrammarMatch | None
    units: tuple[DecodedUnit, ...]
    confidence: float
    rejected: bool


@dataclass(frozen=True, slots=True)
class ClosedDecoder:
    """A grammar ready to search, over the graph of another decoder. Immutable."""

    grammar: CompiledGrammar
    decoder: Decoder
    config: DecoderConfig = CLOSED_CONFIG
    reject: RejectConfig = field(default_factory=RejectConfig)

    @classmethod
    def of(
        cls, grammar: Grammar, decoder: Decoder, reject: RejectConfig | None = None
    ) -> ClosedDecoder:
        """Compile a grammar for the units of ``decoder``.

        Args:
            reject: calibration of what is outside of it.

        Raises:
            DataError: it holds what the model does not know, or grows too large.
        """
        compiled = grammar.compile(decoder.lm.vocabulary)
        return cls(
            compiled,
            decoder.with_language(compiled.lm, compiled.table, compiled.row),
            reject=reject or RejectConfig(),
        )

    def decode(self, scores: NDArray[np.float32], free: Hypothesis) -> ClosedPath:
        """Search an utterance for a phrase of the grammar.

        Args:
            scores: float32 [T, pdfs].
            free: the best path over the same scores with the model's own language model, which
                tells whether other words fit better.
        """
        search = self.search()
        search.advance(scores)
        lattice = search.lattice()
        if lattice is None or not lattice.complete:
            return ClosedPath(None, (), 0.0, True)
        (best,) = lattice.nbest(1)
        match = self.grammar.parse([unit.unit for unit in best.units])
        sure = self._confidence(best, free, len(scores))
        rejected = match is None or sure < self.reject.threshold
        return ClosedPath(match, best.units, sure, rejected)

    def search(self) -> Search:
        """A search for sound that is still to come."""
        return self.decoder.search(self.config)

    def partial(self, search: Search, free: Search) -> tuple[DecodedUnit, ...]:
        """The beginning of a phrase that was said so far; nothing where other words fit better.

        Args:
            search: from :meth:`search`.
            free: a search with the model's own language model over the same scores.
        """
        lattice, other = search.lattice(ended=False), free.lattice()
        if lattice is None or other is None:
            return ()
        (best,) = lattice.nbest(1)
        sure = self._confidence(best, other.nbest(1)[0], search.frames)
        return best.units if sure >= self.reject.threshold else ()

    def _confidence(self, path: Hypothesis, free: Hypothesis, frames: int) -> float:
        return grammar_confidence(_path(path), _path(free), frames, self.reject)


def _path(hypothesis: Hypothesis) -> PathScore:
    return PathScore(hypothesis.score, hypothesis.acoustic, text_of(hypothesis))


def piece_frames(
    match: GrammarMatch, units: Sequence[DecodedUnit]
) -> list[tuple[str, int, int]]:
    """The eojeol of a phrase as written, each with its first frame and the frame after its last."""
    times = [(unit.start, unit.end) for unit in units for _ in unit.unit.removeprefix(EOJEOL_MARK)]
    return [
        (piece.text, times[piece.begin][0], times[max(piece.begin, piece.end - 1)][1])
        for piece in match.pieces
    ]
