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

PER_NAT = 100
"""Distances are whole hundredths of a nat in the inner loop."""
FAR = 1 << 28
"""Further than anything: three of these fit 32 bits."""


class Stretch(NamedTuple):
    """Where an entry fits best: its distance, and phones begin up to end of the query."""

    distance: float
    begin: int
    end: int


class Prepared(NamedTuple):
    """A query graph for :func:`measure`, in whole hundredths of a nat.

    source, target: int32 [A]; nodes: N; start, end, join, insert: int32 [A], the last with the
    arc's weight; substitute: int32 [A, 46], with it; delete: int32 [46].
    """

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    nodes: int
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    join: NDArray[np.int32]
    insert: NDArray[np.int32]
    substitute: NDArray[np.int32]
    delete: NDArray[np.int32]


def prepare(graph: QueryGraph, costs: Costs) -> Prepared:
    """Lay a graph and costs out for the inner loop."""
    weight = graph.weight
    return Prepared(
        graph.source, graph.target, graph.nodes,
        _whole(graph.start), _whole(graph.end), _whole(graph.join),
        _whole(costs.insert[graph.phone] + weight),
        _whole(costs.substitute[graph.phone] + weight[:, None]),
        _whole(costs.delete),
    )  # fmt: skip


def _whole(nats: NDArray[np.float32]) -> NDArray[np.int32]:
    return np.rint(np.minimum(nats, FAR / PER_NAT) * PER_NAT).astype(np.int32)


@nb.njit(cache=True, nogil=True)
def measure(
    source: Any, target: Any, nodes: int, start: Any, end: Any, join: Any, insert: Any,
    substitute: Any, delete: Any, entry: Any, rows: Any,
) -> int:  # fmt: skip
    """Distance of an entry (uint8 [n], one phone at least) from a query: hundredths of a nat.

    Args:
        source, target, nodes, start, end, join, insert, substitute, delete: of :class:`Prepared`.
        rows: int32 [more than nodes, more than n], to work in.
    """
    n = len(entry)
    for node in range(nodes):
        for j in range(n + 1):
            rows[node, j] = FAR
    best = FAR
    for arc in range(len(source)):
        before, after, change = rows[source[arc]], rows[target[arc]], substitute[arc]
        over, fresh, left = join[arc], start[arc], FAR
        added = insert[arc] + over
        after[0] = min(after[0], min(before[0] + over, fresh) + insert[arc])
        for j in range(n):
            phone = entry[j]
            cost = min(min(before[j] + over, fresh) + change[phone], before[j + 1] + added)
            lost = delete[phone]
            left = min(cost, left + lost)
            fresh += lost
            if left < after[j + 1]:
                after[j + 1] = left
        best = min(best, left + end[arc])
    return best


class Line(NamedTuple):
    """One text of m phones.

    phones: uint8 [m]; start, end: float32 [m], nats of a stretch that begins, or ends, with each,
    inf where none may; join: float32 [m], of one that goes on with it from the eojeol before.
    """

    phones: Phones
    start: NDArray[np.float32]
    end: NDArray[np.float32]
    join: NDArray[np.float32]


@nb.njit(cache=True, nogil=True)
def _best_stretch(
    query: Any, start: Any, end: Any, join: Any, entry: Any, substitute: Any, insert: Any,
    delete: Any,
) -> Any:  # fmt: skip
    m, n = len(query), len(entry)
    far = np.float32(np.inf)
    cost = np.full((m + 1, n + 1), far, np.float32)
    origin = np.zeros((m + 1, n + 1), np.int32)
    best, begin, finish = far, 0, 0
    for i in range(m):
        lost = np.float32(0.0)
        cost[i + 1, 0], origin[i + 1, 0] = start[i] + insert[query[i]], i
        if cost[i, 0] + join[i] < start[i]:
            cost[i + 1, 0] = cost[i, 0] + join[i] + insert[query[i]]
            origin[i + 1, 0] = origin[i, 0]
        for j in range(n):
            now, came = start[i] + lost, i
            if cost[i, j] + join[i] < now:
                now, came = cost[i, j] + join[i], origin[i, j]
            now += substitute[query[i], entry[j]]
            if cost[i, j + 1] + join[i] + insert[query[i]] < now:
                now, came = cost[i, j + 1] + join[i] + insert[query[i]], origin[i, j + 1]
            if cost[i + 1, j] + delete[entry[j]] < now:
                now, came = cost[i + 1, j] + delete[entry[j]], origin[i + 1, j]
            cost[i + 1, j + 1], origin[i + 1, j + 1] = now, came
            lost += delete[entry[j]]
        if cost[i + 1, n] + end[i] < best:
            best, begin, finish = cost[i + 1, n] + end[i], origin[i + 1, n], i + 1
    return best, begin, finish


def best_stretch(line: Line, entry: Phones, costs: Costs) -> Stretch:
    """Where in one text an entry (one phone at least) fits best, the first such place."""
    found = _best_stretch(*line, entry, costs.substitute, costs.insert, costs.delete)
    return Stretch(float(found[0]), int(found[1]), int(found[2]))


def distance(graph: QueryGraph, entry: Phones, costs: Costs) -> float:
    """How far an entry (one phone at least) is from a query: nats, to a hundredth."""
    rows = np.empty((graph.nodes, len(entry) + 1), np.int32)
    return float(measure(*prepare(graph, costs), entry, rows)) / PER_NAT
