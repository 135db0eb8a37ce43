"""Options of the beam search: one place for every default."""

from __future__ import annotations

import math
from dataclasses import dataclass

from asr.errors import UsageError

MOST_ACTIVE = 1_000_000
MOST_LATTICE = 50.0
MOST_WEIGHT = 1e6


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Options of the beam search.

    Attributes:
        beam: tokens this far (nats) below the best are dropped.
        max_active: at most about this many tokens are expanded a frame.
        lm_scale: weight of the language model against the acoustic scores.
        unit_bonus: added per unit (nats); balances deletions against insertions.
        space_bonus: added per unit that starts an eojeol (nats), on top; the language model's text
            leaves out more spaces than careful writing does.
        lattice_beam: paths this far (nats) below the best are kept for N-best lists and
            confidences; 0 keeps the best one only: no alternatives, rescoring or confidences.
    """

    beam: float = 12.0
    max_active: int = 5000
    lm_scale: float = 1.3
    unit_bonus: float = 1.0
    space_bonus: float = 1.0
    lattice_beam: float = 8.0

    def __post_init__(self) -> None:
        if not 0.01 <= self.beam < math.inf:
            raise UsageError(f"beam must be a number of at least 0.01, not {self.beam}")
        if not isinstance(self.max_active, int) or not 1 <= self.max_active <= MOST_ACTIVE:
            raise UsageError(
                f"max_active must be a whole number from 1 to {MOST_ACTIVE}, not {self.max_active}"
            )
        if not 0.0 <= self.lm_scale <= MOST_WEIGHT:
            raise UsageError(f"lm_scale must be from 0 to {MOST_WEIGHT:g}, not {self.lm_scale}")
        if not (abs(self.unit_bonus) <= MOST_WEIGHT and abs(self.space_bonus) <= MOST_WEIGHT):
            raise UsageError(f"unit_bonus and space_bonus must be numbers up to {MOST_WEIGHT:g}")
        if not 0.0 <= self.lattice_beam <= MOST_LATTICE:
            raise UsageError(
                f"lattice_beam must be a number from 0 to {MOST_LATTICE:g}, not {self.lattice_beam}"
            )
