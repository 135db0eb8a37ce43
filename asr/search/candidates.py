"""The best entries for a query graph: bounded by shared n-grams, then measured.

An entry's score is its worth less its distance from the query. Every n-gram of it that the query
lacks costs at least ``Costs.least_per_gram``, so what it shares bounds its score from above.
Entries are measured in the order of their bounds until no other can be among the best: what comes
out is what measuring all of them would give.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from asr.search.costs import Costs
from asr.search.distance import graph_distance
from asr.search.grams import GRAM, NUM_GRAMS, count_shared, gram_codes
from asr.search.index import Index
from asr.search.query_graph import QueryGraph

_BIN = 0.25
"""Nats between bounds that are told apart."""
_BINS = 2048


class Ranked(NamedTuple):
    """Entries by score, best first: one form of each; ``complete`` unless cut short."""

    form: NDArray[np.int32]
    score: NDArray[np.float32]
    complete: bool


def best_entries(
    index: Index,
    worth: NDArray[np.float32],
    graph: QueryGraph,
    costs: Costs,
    count: int,
    floor: float,
    most: int,
) -> Ranked:
    """The ``count`` entries of the highest scores above ``floor``.

    Args:
        worth: float32 [F], the score of each form at distance 0.
        most: forms whose distance is computed at most.
    """
    shared = np.zeros(len(worth), np.uint8)
    grams = np.array(sorted(query_grams(graph)), np.int32)
    count_shared(index.postings.begin, index.postings.form, grams, shared)
    order, cut = _by_bound(
        worth, shared, index.postings.total, np.float32(costs.least_per_gram(GRAM)), floor, most
    )
    forms = index.forms
    form, score, left = _measured(
        order, cut, worth, forms.entry, forms.begin, forms.phones, graph,
        costs.substitute, costs.insert, costs.delete, count, np.float32(floor),
    )  # fmt: skip
    ranked = np.lexsort((form, -score))
    return Ranked(form[ranked], score[ranked], not left)


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
def _by_bound(
    worth: Any, shared: Any, total: Any, per_gram: float, floor: float, most: int
) -> Any:
    """Forms by upper bound of their score, and the bounds; those that may exceed the floor.

    At most ``most`` and what shares the last one's bin. Bounds are exact to a bin, never too low.
    """
    bins = np.empty(len(worth), np.int16)
    counts = np.zeros(_BINS, np.int64)
    for form in range(len(worth)):
        bound = worth[form] - per_gram * (int(total[form]) - int(shared[form]))
        if bound <= floor:
            bins[form] = -1
            continue
        place = min(_BINS - 1, int((bound - floor) / _BIN))
        bins[form] = place
        counts[place] += 1
    last, kept = _BINS, 0
    while last > 0 and kept < most:
        last -= 1
        kept += counts[last]
    begin = np.zeros(_BINS + 1, np.int64)
    for place in range(_BINS - 1, last - 1, -1):
        begin[place] = begin[place + 1] + counts[place]
    fill = begin[1:].copy()
    order = np.empty(kept, np.int32)
    bound_of = np.empty(kept, np.float32)
    for form in range(len(worth)):
        place = bins[form]
        if place >= last:
            order[fill[place]] = form
            bound_of[fill[place]] = np.inf if place == _BINS - 1 else floor + (place + 1) * _BIN
            fill[place] += 1
    left = floor + last * _BIN if last > 0 and counts[:last].sum() > 0 else -np.inf
    return (order, bound_of), left


@nb.njit(cache=True, nogil=True)
def _measured(
    ordered: Any, unseen: float, worth: Any, entries: Any, begin: Any, phones: Any, graph: Any,
    substitute: Any, insert: Any, delete: Any, count: int, floor: float,
) -> Any:  # fmt: skip
    """Measure forms until none can enter the best ``count``; whether one that was cut off could."""
    order, bounds = ordered
    longest = 0
    for form in order:
        longest = max(longest, begin[form + 1] - begin[form])
    rows = np.empty((graph.nodes, longest + 1), np.float32)
    lost = np.empty(longest + 1, np.float32)
    best_form = np.empty(count, np.int32)
    best = np.empty(count, np.float32)
    found, worst = 0, floor
    for place in range(len(order)):
        if bounds[place] <= worst:
            break
        form = order[place]
        score = worth[form] - graph_distance(
            graph, phones[begin[form] : begin[form + 1]], substitute, insert, delete, rows, lost
        )
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
    return best_form[:found], best[:found], unseen > worst
