"""The best entries for a query graph: the likeliest by shared n-grams, then measured.

A form is thought to be the further from the query the more of its n-grams the query lacks; the
thousands that are thought nearest are measured. A form that is nearer than
``Costs.least_per_gram`` times the number of its n-grams shares one of them, so nothing near is
passed over but for lack of room.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from asr.search.costs import Costs
from asr.search.distance import PER_NAT, Prepared, measure, prepare
from asr.search.grams import GRAM, NUM_GRAMS, count_shared, gram_codes
from asr.search.index import Index
from asr.search.query_graph import QueryGraph

_BIN = 0.25
"""Nats between estimates that are told apart."""
_BINS = 2048


class Ranked(NamedTuple):
    """Entries by score, best first: one form of each."""

    form: NDArray[np.int32]
    score: NDArray[np.float32]


def best_entries(
    index: Index,
    worth: NDArray[np.float32],
    graph: QueryGraph,
    costs: Costs,
    count: int,
    floor: float,
    per_gram: float,
    most: int,
) -> Ranked:
    """The ``count`` entries of the highest scores above ``floor``.

    Args:
        worth: float32 [F], the score of each form at distance 0.
        per_gram: nats by which a form is thought further for each n-gram that the query lacks.
        most: forms that are measured at most.
    """
    shared = np.zeros(len(worth), np.uint8)
    grams = np.array(sorted(query_grams(graph)), np.int32)
    count_shared(index.postings.begin, index.postings.form, grams, shared)
    order = _by_estimate(worth, shared, index.postings.total, per_gram, floor, most)
    form, score = _measured(order, worth, index, prepare(graph, costs), count, floor)
    ranked = np.lexsort((form, -score))
    return Ranked(form[ranked], score[ranked])


def _measured(
    order: NDArray[np.int32],
    worth: NDArray[np.float32],
    index: Index,
    query: Prepared,
    count: int,
    floor: float,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    begin = index.forms.begin
    longest = int((begin[order + 1] - begin[order]).max(initial=0))
    rows = np.empty((query.nodes, longest + 1), np.int32)
    found: tuple[NDArray[np.int32], NDArray[np.float32]] = _measure_all(
        order, worth, index.forms.entry, begin, index.forms.phones, *query, rows, count,
        np.float32(floor),
    )  # fmt: skip
    return found


def query_grams(graph: QueryGraph) -> set[int]:
    """The n-grams of every path of the graph."""
    following: list[list[int]] = [[] for _ in range(graph.nodes)]
    for arc, source in enumerate(graph.source.tolist()):
        following[source].append(arc)
    target, paths = graph.target.tolist(), [[arc] for arc in range(len(graph.source))]
    for _ in range(GRAM - 1):
        paths = [[*path, arc] for path in paths for arc in following[target[path[-1]]]]
    if not paths:
        return set()
    return set(gram_codes(graph.phone[np.array(paths).ravel()])[::GRAM].tolist())


@nb.njit(cache=True, nogil=True)
def _by_estimate(
    worth: Any, shared: Any, total: Any, per_gram: float, floor: float, most: int
) -> Any:
    """Forms that share an n-gram or have none, best estimate first; at most ``most``."""
    bins = np.empty(len(worth), np.int16)
    counts = np.zeros(_BINS, np.int64)
    for form in range(len(worth)):
        bins[form] = -1
        if worth[form] > floor and (shared[form] > 0 or total[form] == 0):
            guess = worth[form] - per_gram * (int(total[form]) - int(shared[form]))
            bins[form] = max(0, min(_BINS - 1, _BINS // 2 + int(np.floor(guess / _BIN))))
            counts[bins[form]] += 1
    last, kept = _BINS, 0
    while last > 0 and kept < most:
        last -= 1
        kept += counts[last]
    fill = np.zeros(_BINS, np.int64)
    for place in range(_BINS - 2, last - 1, -1):
        fill[place] = fill[place + 1] + counts[place + 1]
    order = np.empty(kept, np.int32)
    for form in range(len(worth)):
        place = bins[form]
        if place >= last:
            order[fill[place]] = form
            fill[place] += 1
    return order[:most]


@nb.njit(cache=True, nogil=True)
def _measure_all(
    order: Any, worth: Any, entries: Any, begin: Any, phones: Any,
    source: Any, target: Any, nodes: int, start: Any, end: Any, insert: Any, substitute: Any,
    delete: Any, rows: Any, count: int, floor: float,
) -> Any:  # fmt: skip
    """The best ``count`` entries among forms: the form and the score of each."""
    best_form = np.empty(count, np.int32)
    best = np.empty(count, np.float32)
    found, worst = 0, floor
    for form in order:
        if worth[form] <= worst:
            continue
        distance = measure(
            source, target, nodes, start, end, insert, substitute, delete,
            phones[begin[form] : begin[form + 1]], rows,
        )  # fmt: skip
        score = np.float32(worth[form] - distance / PER_NAT)
        if score <= worst:
            continue
        at = found
        for k in range(found):
            if entries[best_form[k]] == entries[form]:
                at = k
                break
        if at < found:  # another form of the same entry
            if score <= best[at]:
                continue
        elif found == count:
            at = np.argmin(best)
        else:
            found += 1
        best[at], best_form[at] = score, form
        if found == count:
            worst = best.min()
    return best_form[:found], best[:found]
