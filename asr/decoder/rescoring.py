"""Choosing among the N best texts with more knowledge than the search has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from asr.decoder.confidence import MOST_TEXTS
from asr.decoder.lattice import Hypothesis
from asr.errors import UsageError
from asr.lm.morphology import MorphemeModel
from asr.lm.units import units_to_text

ATTENTION_SCALE = 1.3
"""Of models on an encoder whose decoder is at hand; chosen on EmotionTTS and Pansori ``dev``."""

MOST_LISTENED = 100
"""Texts: the decoder goes through the tokens of all of them at once, each with all others."""


@dataclass(frozen=True, slots=True)
class RescoringConfig:
    """How the N best texts are judged anew.

    Attributes:
        count: so many texts are taken from the lattice.
        morph_scale: weight of the morpheme model (:class:`~asr.lm.morphology.MorphemeModel`).
        lm_change: added to the weight of the search's language model, which now shares the work.
        attention_scale: weight of a pre-trained decoder that hears the same sound
            (:mod:`asr.encoders.listener`); 0: it is not asked.
        attention_count: so many of the best texts it is asked about, at most.
        attention_margin: none whose score is so many nats below the best's.
    """

    count: int = 100
    morph_scale: float = 0.6
    lm_change: float = -0.2
    attention_scale: float = 0.0
    attention_count: int = 8
    attention_margin: float = 5.0

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or not 1 <= self.count <= MOST_TEXTS:
            raise UsageError(
                f"count must be a whole number from 1 to {MOST_TEXTS}, not {self.count}"
            )
        if not (math.isfinite(self.lm_change) and 0 <= self.morph_scale < math.inf):
            raise UsageError("morph_scale must be a number and not negative, lm_change a number")
        if not (0 <= self.attention_scale < math.inf and self.attention_margin >= 0):
            raise UsageError("attention_scale and attention_margin must not be negative")
        count = self.attention_count
        if not isinstance(count, int) or not 2 <= count <= MOST_LISTENED:
            raise UsageError(
                f"attention_count must be a whole number from 2 to {MOST_LISTENED}, not {count}"
            )


Listen = Callable[[Sequence[str]], Sequence[float | None]]
"""Log-probabilities of texts by one who heard the sound; None of a text he cannot judge."""


class Rescorer:
    """Puts hypotheses in a new order. Immutable but for the model, which is loaded when needed.

    Args:
        stand_in: makes of a text one that the morpheme model knows the words of; for user words.
    """

    def __init__(
        self,
        config: RescoringConfig,
        morphemes: Callable[[], MorphemeModel],
        stand_in: Callable[[str], str] = str,
    ) -> None:
        self.config = config
        self._morphemes = morphemes
        self._stand_in = stand_in

    def rescored(
        self, hypotheses: Sequence[Hypothesis], listen: Listen | None = None
    ) -> list[Hypothesis]:
        """The hypotheses with their new scores, best first.

        Args:
            listen: asked about the best of them, if the options say so; None: nobody is there.
        """
        if len(hypotheses) < 2:
            return list(hypotheses)
        model = self._morphemes()
        judged = [
            replace(
                hypothesis,
                score=hypothesis.score
                + self.config.lm_change * hypothesis.lm
                + self.config.morph_scale * model.score(self._stand_in(text_of(hypothesis))),
            )
            for hypothesis in hypotheses
        ]
        ordered = sorted(judged, key=_best_first)
        if self.config.attention_scale and listen is not None:
            return self._listened(ordered, listen)
        return ordered

    def _listened(self, ordered: list[Hypothesis], listen: Listen) -> list[Hypothesis]:
        """The same, the best of which were listened for. The others are as the worst of these."""
        config = self.config
        least = ordered[0].score - config.attention_margin
        near = [one for one in ordered[: config.attention_count] if one.score >= least]
        if len(near) < 2:
            return ordered
        heard = listen([text_of(one) for one in near])
        worst = min((logp for logp in heard if logp is not None), default=0.0)
        logps = [worst if logp is None else logp for logp in heard]
        logps += [worst] * (len(ordered) - len(near))
        return sorted(
            (
                replace(one, score=one.score + config.attention_scale * logp)
                for one, logp in zip(ordered, logps, strict=True)
            ),
            key=_best_first,
        )


def _best_first(hypothesis: Hypothesis) -> float:
    return -hypothesis.score


def text_of(hypothesis: Hypothesis) -> str:
    """The text that a hypothesis spells."""
    return units_to_text(unit.unit for unit in hypothesis.units)
