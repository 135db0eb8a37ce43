"""Paths of a search, whichever search it was: their units, their times, and the scores taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.decoder.records import PAUSE, PREVIOUS, SAID, START, UNION
from asr.errors import ModelError

NO_UNIT = -9


@dataclass(frozen=True, slots=True)
class DecodedUnit:
    """One LM unit of a path; ``start`` and ``end`` are frames, end exclusive."""

    unit: str
    start: int
    end: int
    id: int = NO_UNIT
    """Its number in the language model."""


@dataclass(frozen=True, slots=True)
class BestPath:
    """The best path: its units and its total score (nats; acoustic plus scaled LM and bonuses).

    ``complete`` is false where no path could end the utterance properly and the best unfinished
    one was taken; its score still holds look-ahead for what did not come.
    """

    units: tuple[DecodedUnit, ...]
    score: float
    complete: bool


def traced(links: NDArray[np.int32], record: int) -> list[tuple[int, int]]:
    """What the best history of a record says, unit by unit and pause by pause, and from when on.

    Args:
        links: int32 [N, 4], rows as in :class:`~asr.decoder.records.Trail`.
        record: the last record; −1 for none.
    """
    steps = []
    while record >= 0:
        if links[record, SAID] != UNION:
            steps.append((int(links[record, SAID]), int(links[record, START])))
        record = int(links[record, PREVIOUS])
    return steps[::-1]


def timed_units(
    steps: Sequence[tuple[int, int]], frames: int, units: Sequence[str]
) -> tuple[DecodedUnit, ...]:
    """The units of a path. Each ends where the next unit or pause begins.

    Args:
        steps: (unit or PAUSE, first frame) in order.
        frames: how long the utterance is.
        units: the language model's units by id.
    """
    ends = [*(start for _, start in steps[1:]), frames][: len(steps)]
    return tuple(
        DecodedUnit(units[unit], start, end, unit)
        for (unit, start), end in zip(steps, ends, strict=True)
        if unit != PAUSE
    )


def checked_scores(loglikes: NDArray[Any], num_pdfs: int) -> NDArray[np.float32]:
    """Acoustic scores as a search takes them: float32 [T, pdfs] and C-contiguous.

    Raises:
        ModelError: fewer pdfs than the graph has, or values that are not finite.
    """
    if loglikes.ndim != 2 or loglikes.shape[1] < num_pdfs:
        raise ModelError(
            f"the acoustic model gave scores of shape {loglikes.shape}, "
            f"the graph needs (frames, at least {num_pdfs})"
        )
    if not np.isfinite(loglikes).all():
        raise ModelError("the acoustic model gave scores that are not finite numbers")
    return np.ascontiguousarray(loglikes, np.float32)
