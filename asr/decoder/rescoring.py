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


@dataclass(frozen=True, slots=True)
class RescoringConfig:
    """How the N best texts are judged anew.

    Attributes:
        count: so many texts are taken from the lattice.
        morph_scale: weight of the morpheme model (:class:`~asr.lm.morphology.MorphemeModel`).
        lm_change: added to the weight of the search's language model, which now shares the work.
    """

    count: int = 100
    morph_scale: float = 0.6
    lm_change: float = -0.2

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or not 1 <= self.count <= MOST_TEXTS:
            raise UsageError(
                f"count must be a whole number from 1 to {MOST_TEXTS}, not {self.count}"
            )
        if not (math.isfinite(self.lm_change) and 0 <= self.morph_scale < math.inf):
            raise UsageError("morph_scale must be a number and not negative, lm_change a number")


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

    def rescored(self, hypotheses: Sequence[Hypothesis]) -> list[Hypothesis]:
        """The hypotheses with their new scores, best first."""
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
        return sorted(judged, key=lambda hypothesis: -hypothesis.score)


def text_of(hypothesis: Hypothesis) -> str:
    """The text that a hypothesis spells."""
    return units_to_text(unit.unit for unit in hypothesis.units)
