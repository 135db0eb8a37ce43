"""Options of the beam search: one place for every default."""

from __future__ import annotations

import math
from dataclasses import dataclass

from asr.errors import UsageError


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
    """

    beam: float = 11.0
    max_active: int = 5000
    lm_scale: float = 1.3
    unit_bonus: float = 1.0
    space_bonus: float = 1.0

    def __post_init__(self) -> None:
        if not (self.beam > 0 and math.isfinite(self.beam)):
            raise UsageError(f"beam must be a positive number, not {self.beam}")
        if self.max_active < 1:
            raise UsageError(f"max_active must be at least 1, not {self.max_active}")
        if not (self.lm_scale >= 0 and math.isfinite(self.lm_scale)):
            raise UsageError(f"lm_scale must not be negative, not {self.lm_scale}")
