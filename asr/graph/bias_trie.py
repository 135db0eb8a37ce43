"""The trie of a list of syllable strings and its failure links, in flat arrays (numba)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

FIRST_SYLLABLE = ord("가")
LAST_SYLLABLE = ord("힣")
NUM_SYMBOLS = 2 * (LAST_SYLLABLE - FIRST_SYLLABLE + 1)


def symbols_of(texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The symbols of readings: int32 [N], and where each begins: int64 [W + 1]."""
    joined = "".join(f" {text}" for text in texts) or " "
    codes = np.frombuffer(joined.encode("utf-32-le"), np.int32)
    is_space = codes == ord(" ")
    initial = np.concatenate([[False], is_space[:-1]])[~is_space]
    symbols = 2 * (codes[~is_space] - FIRST_SYLLABLE) + initial
    lengths = np.array([len(text) - text.count(" ") for text in texts], np.int64)
    return symbols.astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def sorted_order(symbols: NDArray[np.int32], begin: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order of the readings by their symbols."""
    data = symbols.astype(">u2").tobytes()  # bytes compare as these numbers do
    bounds = (2 * begin).tolist()
    keys = [data[low:high] for low, high in pairwise(bounds)]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.int64)


@nb.njit(cache=True)
def build_trie(symbols: Any, begin: Any, order: Any) -> Any:
    """Number the prefixes of the readings, breadth-first.

    Returns:
        arc_begin int32 [B + 1] and arc_symbol int32 [B − 1] (the arc into state b is arc b − 1),
        parent int32 [B], and node int32 [N], the state after each symbol of each reading.
    """
    node = np.zeros(len(symbols), np.int32)
    shared = np.zeros(len(order), np.int64)  # with the reading before it in the order
    longest = 0
    total = 1
    for i in range(len(order)):
        first, end = begin[order[i]], begin[order[i] + 1]
        longest = max(longest, end - first)
        if i > 0:
            other, stop = begin[order[i - 1]], begin[order[i - 1] + 1]
            common = min(end - first, stop - other)
            k = 0
            while k < common and symbols[first + k] == symbols[other + k]:
                k += 1
            shared[i] = k
        total += end - first - shared[i]
    arc_symbol = np.zeros(total - 1, np.int32)
    parent = np.zeros(total, np.int32)
    degree = np.zeros(total + 1, np.int32)
    made = 1
    for depth in range(longest):
        for i in range(len(order)):
            at = begin[order[i]] + depth
            if at >= begin[order[i] + 1]:
                continue
            if shared[i] > depth:
                node[at] = node[begin[order[i - 1]] + depth]
                continue
            node[at] = made
            arc_symbol[made - 1] = symbols[at]
            parent[made] = node[at - 1] if depth > 0 else 0
            degree[parent[made] + 1] += 1
            made += 1
    return np.cumsum(degree).astype(np.int32), arc_symbol, parent, node


@nb.njit(cache=True)
def _goto(arc_begin: Any, arc_symbol: Any, state: int, symbol: int) -> int:
    """The child of a state by a symbol, or 0."""
    low, end = arc_begin[state], arc_begin[state + 1]
    place = low + np.searchsorted(arc_symbol[low:end], symbol)
    return int(place + 1) if place < end and arc_symbol[place] == symbol else 0


@nb.njit(cache=True)
def compile_bias(
    arc_begin: Any, arc_symbol: Any, parent: Any, node: Any, begin: Any, owner: Any, boosts: Any,
    advances: Any,
) -> Any:  # fmt: skip
    """The arrays of :class:`asr.graph.bias.BiasArrays` from a trie and its readings' boosts."""
    states = len(parent)
    word = np.full(states, -1, np.int32)
    boost = np.zeros(states, np.float32)
    potential = np.zeros(states, np.float32)
    for reading in range(len(owner)):
        last = node[begin[reading + 1] - 1]
        if word[last] < 0:
            word[last] = owner[reading]
            boost[last] = boosts[reading]
        word[last] = min(word[last], owner[reading])
        boost[last] = max(boost[last], boosts[reading])
        for at in range(begin[reading], begin[reading + 1]):
            advance = advances[at]
            potential[node[at]] = max(potential[node[at]], advance)
    root_next = np.zeros(NUM_SYMBOLS, np.int32)
    for arc in range(arc_begin[1]):
        root_next[arc_symbol[arc]] = arc + 1
    fail = np.zeros(states, np.int32)
    bonus = np.zeros(states, np.float32)
    paid = np.zeros(states, np.float32)  # on the way from the root
    for state in range(1, states):  # breadth-first: what a state fails to comes before it
        above = parent[state]
        symbol = arc_symbol[state - 1]
        if above != 0:
            back = fail[above]
            following = _goto(arc_begin, arc_symbol, back, symbol)
            while back != 0 and following == 0:
                back = fail[back]
                following = _goto(arc_begin, arc_symbol, back, symbol)
            fail[state] = following
        if word[state] >= 0:
            bonus[state] = boost[state] - paid[above]
        else:
            word[state] = word[fail[state]]
            bonus[state] = bonus[fail[state]]
        paid[state] = paid[above] + bonus[state]
        potential[state] = max(potential[state] - paid[state], potential[fail[state]])
    arc_next = np.arange(1, states).astype(np.int32)
    return arc_begin, arc_symbol, arc_next, root_next, fail, potential, bonus, word
