"""Which units an LM state lists below each lexicon state, and the best of their costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.graph import static_kernels as kernels
from asr.graph.hcl import HclGraph

Classes = tuple[NDArray[np.int64], NDArray[np.int32]]
"""Classes of lexicon states by unit: those of unit u are ``class[begin[u]:begin[u + 1]]``."""


def unit_classes(
    hcl: HclGraph, between: NDArray[np.bool_], num_units: int
) -> tuple[NDArray[np.int32], Classes]:
    """Group the lexicon states from which the same units can be spelled.

    Args:
        between: bool [S], states between units; they belong to no class.

    Returns:
        int32 [S], each state's class or −1; and the classes above each unit.

    Raises:
        ModelError: a unit never ends.
    """
    state_class = np.full(len(between), -1, np.int32)
    numbers: dict[tuple[bytes, bytes], int] = {}
    members: list[NDArray[np.int32]] = []
    for state in _children_first(hcl, between):
        arcs = slice(int(hcl.arc_begin[state]), int(hcl.arc_begin[state + 1]))
        labels = hcl.arc_unit[arcs]
        said = labels[labels >= 0]
        below = np.unique(state_class[hcl.arc_target[arcs][labels < 0]])
        key = (said.tobytes(), below.tobytes())
        if key not in numbers:
            numbers[key] = len(members)
            members.append(np.unique(np.concatenate([said, *(members[c] for c in below)])))
        state_class[state] = numbers[key]
    sizes = [len(units) for units in members]
    unit = np.concatenate(members) if members else np.zeros(0, np.int32)
    order = np.argsort(unit, kind="stable")
    owner = np.repeat(np.arange(len(members), dtype=np.int32), sizes)[order]
    begin = np.searchsorted(unit[order], np.arange(num_units + 1))
    return state_class, (begin.astype(np.int64), owner)


def _children_first(hcl: HclGraph, between: NDArray[np.bool_]) -> list[int]:
    """The states within units, each after all that its arcs without labels lead to."""
    source = np.repeat(np.arange(len(between)), np.diff(hcl.arc_begin))
    inside = (hcl.arc_unit < 0) & ~between[source] & ~between[hcl.arc_target]
    waiting = np.bincount(source[inside], minlength=len(between))
    by_target = np.argsort(hcl.arc_target[inside], kind="stable")
    parents = source[inside][by_target]
    begin = np.searchsorted(hcl.arc_target[inside][by_target], np.arange(len(between) + 1))
    order = np.flatnonzero(~between & (waiting == 0)).tolist()
    for state in order:  # grows while it is walked
        for parent in parents[begin[state] : begin[state + 1]].tolist():
            waiting[parent] -= 1
            if waiting[parent] == 0:
                order.append(parent)
    if len(order) != int((~between).sum()):
        raise ModelError("the decoding graph has units without an end; build it again")
    return order


@dataclass(frozen=True, slots=True)
class ListedAhead:
    """The best cost of the units that each LM state lists, by class and over all."""

    arrays: kernels.Ahead

    @classmethod
    def of(
        cls, lists: kernels.LmLists, classes: Classes, spelled: NDArray[np.int32]
    ) -> ListedAhead:
        """Of the units ``spelled`` by the lexicon; the cost over all counts back-off too."""
        usable = np.zeros(len(classes[0]) - 1, np.bool_)
        usable[spelled] = True
        begin, which, cost = kernels.listed_ahead(lists, *classes)
        root = kernels.root_ahead(lists, usable)
        return cls(kernels.Ahead(begin, which, cost, root))
