"""What a search writes down as it goes: a lattice of LM units, exact and without copies.

A *record* is one event of a path: a unit was said, or a pause was made. It points to the record
before it, so a token holds its whole history in one number. When two tokens with different
histories meet in the same place, the better one lives on, and a *union* record says so: it points
to both histories and holds by how much the worse one loses. Whatever follows is the same for both,
so the score of any path is the best score less the losses of the alternatives that it takes:

    score(path) = score(final token) − Σ loss(unions left by their ``other`` side)

Records are numbered in the order they are made, hence ``previous`` and ``other`` are always smaller
than the record's own number: the records are a directed acyclic graph in topological order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

PAUSE = -1
"""In ``unit``: a pause was made."""
UNION = -2
"""In ``unit``: two histories met."""


class Records(NamedTuple):
    """Arrays of records, of which the first so many are in use.

    previous: int32 [N], the record before it, −1 for none; of a union, the better history.
    other: int32 [N], of a union, the worse history (−1 may be one side: no history); else −1.
    unit: int32 [N], the LM unit that was said, or PAUSE or UNION.
    start: int32 [N], the frame in which the unit or pause began; of a union, the meeting's.
    lm: float32 [N], log-probability (nats, unscaled) of the unit; 0 for others.
    bonus: float32 [N], what else the unit added to the score: bonuses, user words (nats).
    loss: float32 [N], of a union, by how much the worse history is worse (nats); else 0.
    """

    previous: NDArray[np.int32]
    other: NDArray[np.int32]
    unit: NDArray[np.int32]
    start: NDArray[np.int32]
    lm: NDArray[np.float32]
    bonus: NDArray[np.float32]
    loss: NDArray[np.float32]


class Trail(NamedTuple):
    """Records as a search writes them, row by row: what belongs together lies together.

    links: int32 [N, 4], columns ``PREVIOUS``, ``OTHER``, ``SAID`` (the unit) and ``START``.
    weights: float32 [N, 3], columns ``LM``, ``BONUS`` and ``LOSS``.
    """

    links: NDArray[np.int32]
    weights: NDArray[np.float32]

    def records(self, made: int) -> Records:
        """The first ``made`` records."""
        links, weights = self.links[:made], self.weights[:made]
        return Records(
            previous=links[:, PREVIOUS].copy(),
            other=links[:, OTHER].copy(),
            unit=links[:, SAID].copy(),
            start=links[:, START].copy(),
            lm=weights[:, LM].copy(),
            bonus=weights[:, BONUS].copy(),
            loss=weights[:, LOSS].copy(),
        )


PREVIOUS, OTHER, SAID, START = range(4)
LM, BONUS, LOSS = range(3)


def new_trail(capacity: int) -> Trail:
    """Room for that many records."""
    return Trail(np.zeros((capacity, 4), np.int32), np.zeros((capacity, 3), np.float32))


def grown_trail(trail: Trail, capacity: int) -> Trail:
    """A copy with room for more."""
    larger = new_trail(capacity)
    for old, new in zip(trail, larger, strict=True):
        new[: len(old)] = old
    return larger


@nb.njit(cache=True, nogil=True, inline="always")
def add_event(
    links: Any, weights: Any, made: int,
    previous: int, unit: int, start: int, lm: float, bonus: float,
) -> int:  # fmt: skip
    """Write record ``made``: ``unit`` (or PAUSE) from frame ``start`` on; the next number."""
    links[made, PREVIOUS] = previous
    links[made, OTHER] = -1
    links[made, SAID] = unit
    links[made, START] = start
    weights[made, LM] = lm
    weights[made, BONUS] = bonus
    weights[made, LOSS] = 0.0
    return made + 1


@nb.njit(cache=True, nogil=True, inline="always")
def add_union(
    links: Any, weights: Any, made: int, better: int, worse: int, frame: int, loss: float
) -> int:
    """Write record ``made``: two histories met, one of them ``loss`` worse; the next number."""
    links[made, PREVIOUS] = better
    links[made, OTHER] = worse
    links[made, SAID] = UNION
    links[made, START] = frame
    weights[made, LM] = 0.0
    weights[made, BONUS] = 0.0
    weights[made, LOSS] = loss
    return made + 1
