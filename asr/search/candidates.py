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
from asr.search.distance import LANES, PER_NAT, Prepared, measure, prepare, working_space
from asr.search.grams import GRAM, count_shared, gram_codes
from asr.search.index import Index
from asr.search.query_graph import QueryGraph

_BIN = 0.25
"""Nats between estimates that are told apart."""
_BINS = 2048
WINDOW = 16
"""Syllables of a query that are looked up together, half of them again with the next: over a whole
long sentence, any name shares most of its n-grams with something."""


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
    order = _candidates(index, worth, graph, floor, per_gram, most)
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
    forms = index.forms
    found: tuple[NDArray[np.int32], NDArray[np.float32]] = _measure_all(
        order, worth, forms.entry, forms.begin, forms.phones, *query, *working_space(query),
        count, floor,
    )  # fmt: skip
    return found


def _candidates(
    index: Index,
    worth: NDArray[np.float32],
    graph: QueryGraph,
    floor: float,
    per_gram: float,
    most: int,
) -> NDArray[np.int32]:
    """Forms that share an n-gram with the query or have none, the likeliest first."""
    postings = index.postings
    bins = np.where((postings.total == 0) & (worth > floor), _BINS // 2, -1).astype(np.int16)
    for grams in query_grams(graph):
        shared = np.zeros(len(worth), np.uint8)
        count_shared(postings.begin, postings.form, grams, shared)
        _estimate(worth, shared, postings.total, per_gram, floor, bins)
    order: NDArray[np.int32] = _in_order(bins, most)
    return order


def query_grams(graph: QueryGraph) -> list[NDArray[np.int32]]:
    """The different n-grams of all paths through each window of the query."""
    following: list[list[int]] = [[] for _ in range(graph.nodes)]
    for arc, source in enumerate(graph.source.tolist()):
        following[source].append(arc)
    target, paths = graph.target.tolist(), [[arc] for arc in range(len(graph.source))]
    for _ in range(GRAM - 1):
        paths = [[*path, arc] for path in paths for arc in following[target[path[-1]]]]
    if not paths:
        return [np.zeros(0, np.int32)]
    arcs = np.array(paths)
    codes, depth = gram_codes(graph.phone[arcs.ravel()])[::GRAM], graph.depth[arcs[:, 0]]
    begins = range(0, max(1, int(depth.max()) + 1 - WINDOW // 2), WINDOW // 2)
    return [np.unique(codes[(begin <= depth) & (depth < begin + WINDOW)]) for begin in begins]


@nb.njit(cache=True, nogil=True)
def _estimate(
    worth: Any, shared: Any, total: Any, per_gram: float, floor: float, bins: Any
) -> None:
    """Raise the bins (int16 [F], −1: none) of forms that share an n-gram to their estimates."""
    for form in range(len(worth)):
        if shared[form] > 0 and worth[form] > floor:
            guess = worth[form] - per_gram * (int(total[form]) - int(shared[form]))
            place = max(0, min(_BINS - 1, _BINS // 2 + int(np.floor(guess / _BIN))))
            bins[form] = max(bins[form], place)


@nb.njit(cache=True, nogil=True)
def _in_order(bins: Any, most: int) -> Any:
    """Forms of the highest bins, highest first; at most ``most``."""
    counts = np.zeros(_BINS, np.int64)
    for place in bins:
        if place >= 0:
            counts[place] += 1
    last, kept = _BINS, 0
    while last > 0 and kept < most:
        last -= 1
        kept += counts[last]
    fill = np.zeros(_BINS, np.int64)
    for place in range(_BINS - 2, last - 1, -1):
        fill[place] = fill[place + 1] + counts[place + 1]
    order = np.empty(kept, np.int32)
    for form in range(len(bins)):
        place = bins[form]
        if place >= last and place >= 0:
            order[fill[place]] = form
            fill[place] += 1
    return order[:most]


@nb.njit(cache=True, nogil=True)
def _measure_all(
    order: Any, worth: Any, entries: Any, begin: Any, phones: Any,
    source: Any, target: Any, nodes: int, start: Any, end: Any, join: Any, insert: Any,
    substitute: Any, delete: Any, cells: Any, ends: Any, count: int, floor: float,
) -> Any:  # fmt: skip
    """The best ``count`` entries among forms: the form and the score of each."""
    best_form = np.empty(count, np.int32)
    best = np.empty(count, np.float32)
    longest = 0
    for form in order:
        longest = max(longest, begin[form + 1] - begin[form])
    columns = np.zeros((longest, LANES), np.uint8)
    lengths, lane_form = np.zeros(LANES, np.int64), np.zeros(LANES, np.int32)
    distance = np.empty(LANES, np.float32)
    found, worst, place = 0, np.float32(floor), 0
    while place < len(order):
        filled, most = 0, np.float32(0.0)
        lengths[:] = 0
        while place < len(order) and filled < LANES:
            form = order[place]
            place += 1
            if worth[form] > worst:
                lane_form[filled], lengths[filled] = form, begin[form + 1] - begin[form]
                columns[: lengths[filled], filled] = phones[begin[form] : begin[form + 1]]
                most = max(most, worth[form] - worst)
                filled += 1
        measure(
            source, target, nodes, start, end, join, insert, substitute, delete,
            columns, lengths, np.ceil(most * PER_NAT), cells, ends, distance,
        )  # fmt: skip
        for lane in range(filled):
            form = lane_form[lane]
            score = np.float32(worth[form] - np.float64(distance[lane]) / PER_NAT)
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
                at = int(np.argmin(best))
            else:
                found += 1
            best[at], best_form[at] = score, form
            if found == count:
                worst = best.min()
    return best_form[:found], best[:found]
