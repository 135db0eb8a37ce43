"""From the acoustic scores of one utterance to its eojeol: search, rescoring, confidences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.decoder.confidence import ConfidenceConfig, Eojeol, eojeols_of, with_confidences
from asr.decoder.config import DecoderConfig
from asr.decoder.lattice import Hypothesis
from asr.decoder.rescoring import Listen, Rescorer, text_of
from asr.decoder.search import Decoder, Search
from asr.graph.bias import BiasAutomaton


@dataclass(frozen=True, slots=True)
class Heard:
    """What was made of an utterance.

    Attributes:
        eojeols: the best text.
        alternatives: the texts that were considered with their shares of the probability, best
            first; the first is that of ``eojeols``.
        first: the best of the search itself, before rescoring.
    """

    eojeols: tuple[Eojeol, ...]
    alternatives: tuple[tuple[str, float], ...]
    first: Hypothesis


@dataclass(frozen=True, slots=True)
class UtteranceDecoder:
    """How one utterance after the other is decoded. Immutable.

    Attributes:
        decoder: graph and language model.
        config: options of the search.
        confidence: of the calibration.
        rescorer: chooses among the N best; None: the search's best is taken.
        bias: the user's words.
    """

    decoder: Decoder
    config: DecoderConfig
    confidence: ConfidenceConfig
    rescorer: Rescorer | None = None
    bias: BiasAutomaton | None = None

    def decode(self, scores: NDArray[np.float32], listen: Listen | None = None) -> Heard | None:
        """Decode an utterance: float32 [T, pdfs]; None where the search lost every path.

        Args:
            listen: see :meth:`~asr.decoder.rescoring.Rescorer.rescored`.
        """
        search = self.decoder.search(self.config, self.bias)
        search.advance(scores)
        return self.conclude(search, listen)

    def conclude(self, search: Search, listen: Listen | None = None) -> Heard | None:
        """What a search has found, as if the utterance ended here."""
        lattice = search.lattice()
        if lattice is None:
            return None
        count = self.confidence.count if self.rescorer is None else self.rescorer.config.count
        hypotheses = lattice.nbest(count)
        first = hypotheses[0]
        if self.rescorer is not None:
            hypotheses = self.rescorer.rescored(hypotheses, listen)
        if self.config.lattice_beam > 0:
            eojeols = with_confidences(hypotheses[0], hypotheses, lattice, self.confidence)
        else:  # nothing is known of what else it could have been
            eojeols = [Eojeol(group, None) for group in eojeols_of(hypotheses[0].units)]
        return Heard(tuple(eojeols), self._shares(hypotheses), first)

    def _shares(self, hypotheses: Sequence[Hypothesis]) -> tuple[tuple[str, float], ...]:
        scores = np.array([hypothesis.score for hypothesis in hypotheses])
        shares = np.exp(self.confidence.scale * (scores - scores.max()))
        shares /= shares.sum()
        return tuple(
            (text_of(hypothesis), float(share))
            for hypothesis, share in zip(hypotheses, shares, strict=True)
        )
