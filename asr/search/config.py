"""Options of the search."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from asr.errors import UsageError

_ANY_SIGN = ("floor", "absent_score")


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """How entries are found and ranked; docs/results.md says how the numbers were chosen.

    The score of an entry is a log-likelihood ratio in nats: what its phones are worth, less what
    its differences from the best fitting stretch of the query cost.

    Attributes:
        top: how many hits are given.
        phone_worth: of each phone of an entry.
        floor: entries whose score is lower are not told.
        inside_cost: of a stretch that begins inside an eojeol.
        particle_cost: of one that is followed by a particle or an ending.
        cut_cost: of one that is followed by something else in the same eojeol.
        join_cost: of one that reaches from an eojeol into the next.
        carrier_cost: of one that begins with a word of a carrier phrase (찾아줘, 근처).
        text_scale: weight of the logarithm of a hypothesis's share.
        popularity_scale: weight of the logarithm of popularity.
        temperature: of the probabilities that are made of the scores.
        absent_score: the score at which an entry is as likely as that none was meant.
        per_gram: by which an entry is thought less likely for each n-gram that the query lacks,
            before its distance is known.
        most_candidates: names whose distance is computed for one query.
    """

    top: int = 10
    phone_worth: float = 0.9
    floor: float = -2.0
    inside_cost: float = 2.5
    particle_cost: float = 0.3
    cut_cost: float = 2.5
    join_cost: float = 0.5
    carrier_cost: float = 2.0
    text_scale: float = 0.5
    popularity_scale: float = 0.5
    temperature: float = 0.9
    absent_score: float = 5.0
    per_gram: float = 1.0
    most_candidates: int = 4000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not math.isfinite(value) or (value < 0 and field.name not in _ANY_SIGN):
                raise UsageError(f"{field.name} must be a number and not negative, not {value}")
        if self.top < 1 or self.most_candidates < 1 or self.temperature == 0:
            raise UsageError("top, most_candidates and temperature must be above 0")
