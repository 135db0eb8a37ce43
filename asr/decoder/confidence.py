"""How sure an eojeol is: calibrated from what the lattice and the N best texts say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.decoder.lattice import Hypothesis, Lattice
from asr.decoder.path import DecodedUnit
from asr.errors import UsageError
from asr.lm.units import EOJEOL_MARK

_FLOOR = 1e-4
MOST_TEXTS = 1000
"""Of an N-best list: each text takes memory at every place of the lattice."""


@dataclass(frozen=True, slots=True)
class ConfidenceConfig:
    """How posteriors become the probability that an eojeol is right.

    Attributes:
        scale: of scores before they become posteriors, which are overconfident otherwise.
        bias, lattice, nbest: logistic regression on the logits of the eojeol's least sure unit in
            the lattice, and of its share among the N best texts. Fitted to the train split of
            EmotionTTS and Pansori; see docs/results.md for how well it holds on dev.
        count: of the texts considered where none are rescored.
    """

    scale: float = 1.0
    bias: float = -0.631
    lattice: float = 0.169
    nbest: float = 0.118
    count: int = 100

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.scale, self.bias, self.lattice, self.nbest))):
            raise UsageError("the weights of confidences must be finite numbers")
        if self.scale < 0 or not isinstance(self.count, int) or not 1 <= self.count <= MOST_TEXTS:
            raise UsageError(f"scale must not be negative, and count from 1 to {MOST_TEXTS}")


LISTENED = ConfidenceConfig(bias=-1.004, lattice=0.158, nbest=0.2)
"""Where the decoder of an encoder is asked, too: the best text's share then says more than it
should. Fitted on a quarter of Pansori's train split to the model ``ko``."""


@dataclass(frozen=True, slots=True)
class Eojeol:
    """One eojeol of a path: its units, and the probability that it is right, if known."""

    units: tuple[DecodedUnit, ...]
    confidence: float | None

    @property
    def text(self) -> str:
        """As it is spelled."""
        return "".join(unit.unit for unit in self.units).replace(EOJEOL_MARK, "")

    @property
    def start(self) -> int:
        """Its first frame."""
        return self.units[0].start

    @property
    def end(self) -> int:
        """The frame after its last."""
        return self.units[-1].end


def eojeols_of(units: Sequence[DecodedUnit]) -> list[tuple[DecodedUnit, ...]]:
    """The units of a path, eojeol by eojeol."""
    groups: list[list[DecodedUnit]] = []
    for unit in units:
        if unit.unit.startswith(EOJEOL_MARK) or not groups:
            groups.append([])
        groups[-1].append(unit)
    return [tuple(group) for group in groups]


def with_confidences(
    chosen: Hypothesis,
    hypotheses: Sequence[Hypothesis],
    lattice: Lattice,
    config: ConfidenceConfig | None = None,
) -> list[Eojeol]:
    """The eojeol of ``chosen`` (one of ``hypotheses``) with calibrated confidences."""
    config = config or ConfidenceConfig()
    groups = eojeols_of(chosen.units)
    features = evidence(groups, hypotheses, lattice, config.scale)
    weights = np.array([config.lattice, config.nbest])
    sure = 1.0 / (1.0 + np.exp(-(config.bias + features @ weights)))
    return [Eojeol(group, float(c)) for group, c in zip(groups, sure, strict=True)]


def evidence(
    groups: Sequence[tuple[DecodedUnit, ...]],
    hypotheses: Sequence[Hypothesis],
    lattice: Lattice,
    scale: float,
) -> NDArray[np.float64]:
    """What confidences are made from: float64 [eojeol, 2], logits (lattice, N best)."""
    units = [unit for group in groups for unit in group]
    shares = lattice.unit_posteriors(units, scale)
    begins = np.cumsum([0, *(len(group) for group in groups)])[:-1]
    least = np.minimum.reduceat(shares, begins) if len(units) else np.zeros(0)
    return np.stack([_logit(least), _logit(_nbest_shares(groups, hypotheses, scale))], axis=1)


def _nbest_shares(
    groups: Sequence[tuple[DecodedUnit, ...]], hypotheses: Sequence[Hypothesis], scale: float
) -> NDArray[np.float64]:
    """The share of the N best texts, by their scores, that hold each eojeol at its place."""
    scores = np.array([hypothesis.score for hypothesis in hypotheses])
    weights = np.exp(scale * (scores - scores.max()))
    weights /= weights.sum()
    shares = np.zeros(len(groups))
    wanted: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        wanted.setdefault(_spelling(group), []).append(index)
    for hypothesis, weight in zip(hypotheses, weights, strict=True):
        found = set()
        for group in eojeols_of(hypothesis.units):
            for index in wanted.get(_spelling(group), ()):
                same = groups[index]
                if group[0].start < same[-1].end and group[-1].end > same[0].start:
                    found.add(index)
        shares[list(found)] += weight
    return np.minimum(shares, 1.0)


def _spelling(group: Sequence[DecodedUnit]) -> str:
    return "".join(unit.unit for unit in group)


def _logit(share: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(share, _FLOOR, 1 - _FLOOR)
    return np.log(clipped / (1 - clipped))
