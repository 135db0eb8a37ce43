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
"""Distances are whole hundredths of a nat in the inner loop, as float32: these are exact, and
numba adds them without widening."""
LANES = 16
"""Entries that are measured side by side, for the processor takes eight numbers at a time."""
FAR = np.float32(1 << 22)
"""Further than anything: three of these are still whole numbers of a float32."""


class Stretch(NamedTuple):
    """Where an entry fits best: its distance, and phones begin up to end of the query."""

    distance: float
    begin: int
    end: int


class Prepared(NamedTuple):
    """A query graph for :func:`measure`, in whole hundredths of a nat.

    source, target: uint32 [A]; nodes: N; start, end, join, insert: float32 [A], the last with the
    arc's weight; substitute: float32 [A, 46], with it; delete: float32 [46].
    """

    source: NDArray[np.uint32]
    target: NDArray[np.uint32]
    nodes: int
    start: NDArray[np.float32]
    end: NDArray[np.float32]
    join: NDArray[np.float32]
    insert: NDArray[np.float32]
    substitute: NDArray[np.float32]
    delete: NDArray[np.float32]


def prepare(graph: QueryGraph, costs: Costs) -> Prepared:
    """Lay a graph and costs out for the inner loop."""
    weight = graph.weight
    return Prepared(
        graph.source.astype(np.uint32), graph.target.astype(np.uint32), graph.nodes,
        _whole(graph.start), _whole(graph.end), _whole(graph.join),
        _whole(costs.insert[graph.phone] + weight),
        _whole(costs.substitute[graph.phone] + weight[:, None]),
        _whole(costs.delete),
    )  # fmt: skip


def working_space(query: Prepared) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What :func:`measure` works in."""
    cells = np.empty((2, len(query.source), LANES), np.float32)
    return cells, np.empty((2, query.nodes, LANES), np.float32)


def _whole(nats: NDArray[np.float32]) -> NDArray[np.float32]:
    whole = np.rint(np.minimum(nats.astype(np.float64), float(FAR) / PER_NAT) * PER_NAT)
    return whole.astype(np.float32)


@nb.njit(cache=True, nogil=True)
def measure(
    source: Any, target: Any, nodes: int, start: Any, end: Any, join: Any, insert: Any,
    substitute: Any, delete: Any, entries: Any, lengths: Any, limit: float, cells: Any, ends: Any,
    best: Any,
) -> None:  # fmt: skip
    """Distances of LANES entries from a query, side by side: hundredths of a nat.

    Entries are read phone by phone. All costs are positive, so that once every way to say the
    beginnings of all entries costs more than the limit, their rest need not be read.

    Args:
        source, target, nodes, start, end, join, insert, substitute, delete: of :class:`Prepared`.
        entries: uint8 [n or more, LANES], phones of each in a column; below its end, any.
        lengths: int64 [LANES], n of each; 0: there is none.
        limit: distances above it need not be exact, only above it, too.
        cells: float32 [2, A, LANES], to work in; ends: float32 [2, N, LANES], the same.
        best: float32 [LANES], gets the distances.
    """
    lost = np.zeros(LANES, np.float32)
    drop = np.zeros(LANES, np.float32)
    best[:] = FAR
    cells[0] = FAR
    ends[0] = FAR
    for arc in range(len(source)):  # before the first phone
        place = ends[0, target[arc], 0]
        begun = min(ends[0, source[arc], 0] + join[arc], start[arc]) + insert[arc]
        ends[0, target[arc]] = min(place, begun)
    old, new = 0, 1
    for j in range(lengths.max()):
        phones = entries[j]
        for lane in range(LANES):
            drop[lane] = delete[phones[lane]]
        ends[new] = FAR
        least = _next_phone(
            source, target, start, join, insert, substitute, phones, lost, drop,
            cells[old], cells[new], ends[old], ends[new],
        )  # fmt: skip
        lost += drop
        old, new = new, old
        for lane in range(LANES):
            if lengths[lane] == j + 1:
                for arc in range(len(source)):
                    best[lane] = min(best[lane], cells[old, arc, lane] + end[arc])
        if least > limit:
            return


@nb.njit(cache=True, nogil=True, fastmath={"nnan", "nsz"})
def _next_phone(
    source: Any, target: Any, start: Any, join: Any, insert: Any, substitute: Any, phones: Any,
    lost: Any, drop: Any, cells: Any, cells_now: Any, ends: Any, ends_now: Any,
) -> float:  # fmt: skip
    """From the distances of beginnings to those of one phone more; the least of them."""
    least = np.full(LANES, FAR, np.float32)
    for arc in range(len(source)):
        fresh, over, added = start[arc], join[arc], join[arc] + insert[arc]
        before, now = ends[source[arc]], ends_now[source[arc]]
        after, cell, old = ends_now[target[arc]], cells_now[arc], cells[arc]
        changes = substitute[arc]
        for lane in range(LANES):
            begun = min(before[lane] + over, fresh + lost[lane])
            cost = min(begun + changes[phones[lane]], now[lane] + added)
            cost = min(cost, old[lane] + drop[lane])
            cell[lane] = cost
            after[lane] = min(after[lane], cost)
            least[lane] = min(least[lane], min(cost, fresh + lost[lane] + drop[lane]))
    return least.min()


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
    query = prepare(graph, costs)
    entries, lengths = np.zeros((len(entry), LANES), np.uint8), np.zeros(LANES, np.int64)
    entries[:, 0], lengths[0] = entry, len(entry)
    best = np.empty(LANES, np.float32)
    measure(*query, entries, lengths, float(FAR), *working_space(query), best)
    return float(best[0]) / PER_NAT
