"""How far an entry is from the best fitting stretch of what was asked.

A weighted edit distance between an entry's phones and the phones of any stretch of any hypothesis:
what stands before and after the stretch costs nothing, but where it begins and ends may.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from asr.search.costs import Costs
from asr.search.phonetic import Phones
from asr.search.query_graph import QueryGraph

MOST_PHONES = 3 * 64
"""Of an entry."""


class Stretch(NamedTuple):
    """Where an entry fits best: its distance, and phones begin up to end of the query."""

    distance: float
    begin: int
    end: int


@nb.njit(cache=True, nogil=True)
def graph_distance(
    graph: Any, entry: Any, substitute: Any, insert: Any, delete: Any, rows: Any, lost: Any
) -> float:
    """Distance of an entry (uint8 [n]) from a :class:`QueryGraph`; 0 for no phones.

    Args:
        rows: float32 [nodes, more than n], to work in; row 0 to ``graph.nodes`` are overwritten.
        lost: float32 [more than n], to work in.
    """
    n = len(entry)
    if n == 0:
        return 0.0
    far = np.float32(np.inf)
    lost[0] = 0.0
    for j in range(n):
        lost[j + 1] = lost[j] + delete[entry[j]]
    for node in range(graph.nodes):
        for j in range(n + 1):
            rows[node, j] = far
    best = far
    for arc in range(len(graph.source)):
        before, after = rows[graph.source[arc]], rows[graph.target[arc]]
        phone = graph.phone[arc]
        weight, start = graph.weight[arc], graph.start[arc]
        added = insert[phone] + weight
        left = far
        for j in range(n):
            so_far = min(before[j], start + lost[j])
            cost = min(so_far + weight + substitute[phone, entry[j]], before[j + 1] + added)
            cost = min(cost, left + delete[entry[j]])
            left = cost
            if cost < after[j + 1]:
                after[j + 1] = cost
        best = min(best, left + graph.end[arc])
    return best


@nb.njit(cache=True, nogil=True)
def _best_stretch(
    query: Any, start: Any, end: Any, entry: Any, substitute: Any, insert: Any, delete: Any
) -> Any:
    m, n = len(query), len(entry)
    far = np.float32(np.inf)
    cost = np.full((m + 1, n + 1), far, np.float32)
    origin = np.zeros((m + 1, n + 1), np.int32)
    best, begin, finish = far, 0, 0
    for i in range(m):
        lost = np.float32(0.0)
        for j in range(n):
            now, came = start[i] + lost, i
            if cost[i, j] < now:
                now, came = cost[i, j], origin[i, j]
            now += substitute[query[i], entry[j]]
            if cost[i, j + 1] + insert[query[i]] < now:
                now, came = cost[i, j + 1] + insert[query[i]], origin[i, j + 1]
            if cost[i + 1, j] + delete[entry[j]] < now:
                now, came = cost[i + 1, j] + delete[entry[j]], origin[i + 1, j]
            cost[i + 1, j + 1], origin[i + 1, j + 1] = now, came
            lost += delete[entry[j]]
        if cost[i + 1, n] + end[i] < best:
            best, begin, finish = cost[i + 1, n] + end[i], origin[i + 1, n], i + 1
    return best, begin, finish


def best_stretch(
    query: Phones,
    start: NDArray[np.float32],
    end: NDArray[np.float32],
    entry: Phones,
    costs: Costs,
) -> Stretch:
    """Where in one text an entry fits best, the first such place.

    Args:
        query: uint8 [m].
        start: float32 [m], nats of a stretch that begins with each phone; inf: none may.
        end: float32 [m], nats of one that ends with it.
        entry: uint8 [n], at least one.
    """
    found = _best_stretch(query, start, end, entry, costs.substitute, costs.insert, costs.delete)
    return Stretch(float(found[0]), int(found[1]), int(found[2]))


def distance(graph: QueryGraph, entry: Phones, costs: Costs) -> float:
    """As :func:`graph_distance`, for one entry."""
    rows = np.empty((graph.nodes, len(entry) + 1), np.float32)
    lost = np.empty(len(entry) + 1, np.float32)
    return float(
        graph_distance(graph, entry, costs.substitute, costs.insert, costs.delete, rows, lost)
    )
