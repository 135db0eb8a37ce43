"""The search on a graph that is composed as it is searched (numba)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from asr.decoder.graph_rows import (
    BACKOFF,
    BACKOFF_COST,
    BEGIN,
    BEYOND,
    HCL,
    LM,
    PAID,
    WORD,
    WORD_COST,
)  # fmt: skip
from asr.decoder.lazy_compose import expand
from asr.decoder.static_kernels import close, step, survivors
from asr.decoder.static_records import (
    COUNT,
    EMITTING,
    FRAME,
    FULL,
    GRAPH_FULL,
    LEVEL,
    NEEDS_ARCS,
    ROW,
    SIDE,
)

FAR = 1e30


@nb.njit(cache=True, nogil=True)
def close_on(
    graph: Any, options: Any, tokens: Any, trail: Any, at: Any, side: int, cutoff: float,
    frame: int, lexicon: Any, lm: Any, cache: Any, most: int,
) -> int:  # fmt: skip
    """As :func:`asr.decoder.static_kernels.close`; all states with tokens get their arcs."""
    state_of = tokens.state[side]
    done = 0
    count = at[EMITTING]
    while True:
        while done < count:
            seen = expand(lexicon, lm, cache, state_of[done:], count - done, most)
            if seen < 0:
                at[LEVEL] = 0
                return GRAPH_FULL
            done += seen
        full = close(graph, options, tokens, trail, at, side, cutoff, frame)
        if full != NEEDS_ARCS:
            return full
        count = at[COUNT]


@nb.njit(cache=True, nogil=True)
def advance(
    graph: Any, options: Any, tokens: Any, trail: Any, loglikes: Any, at: Any, lexicon: Any,
    lm: Any, cache: Any, most: int,
) -> None:  # fmt: skip
    """As :func:`asr.decoder.static_kernels.advance`, on a graph that grows as it is searched."""
    emitting = at[EMITTING]
    while at[ROW] < len(loglikes):
        emitting = at[EMITTING]
        full = step(graph, options, tokens, trail, loglikes[at[ROW]], at)
        if full == 0:
            other = 1 - at[SIDE]
            kept, cutoff = survivors(tokens, other, at[EMITTING], options)
            count, at[EMITTING] = at[COUNT], kept
            full = close_on(
                graph, options, tokens, trail, at, other, cutoff, at[FRAME] + 1, lexicon, lm,
                cache, most,
            )  # fmt: skip
            if full != 0:
                at[COUNT] = count
        if full != 0:
            at[EMITTING] = emitting
            at[FULL] = full
            return
        at[SIDE] = 1 - at[SIDE]
        at[ROW] += 1
        at[FRAME] += 1


@nb.njit(cache=True, nogil=True)
def list_roots(lm: Any, costs: Any, word: Any, word_cost: Any, usable: Any, root: Any) -> None:
    """The best cost of the next unit in each LM state, with back-off, into ``root`` (float64)."""
    for state in range(len(lm)):
        best = FAR
        if state > 0:
            best = costs[state, BACKOFF_COST] + root[lm[state, BACKOFF]]
        for place in range(lm[state, BEGIN], lm[state, BEYOND]):
            if usable[word[place, WORD]]:
                best = min(best, np.float64(word_cost[place, WORD_COST]))
        root[state] = best


@nb.njit(cache=True, nogil=True)
def final_costs(
    may_end: Any, lm_arcs: Any, cache: Any, eos: int, lent: float, wanted: Any, cost: Any
) -> None:
    """What it costs to end in each of the states ``wanted``; infinite where none may.

    lent: the bonus of the end of sentence, which ends no unit and is not paid.
    """
    states, lm, costs = cache.states, cache.lm, cache.lm_floats
    for i in range(len(wanted)):
        state = wanted[i]
        cost[i] = np.inf
        if states[state, HCL] & 1 or not may_end[states[state, HCL] >> 1]:
            continue
        total = 0.0
        at = np.int64(states[state, LM])
        while True:
            low, high = np.int64(lm[at, BEGIN]), np.int64(lm[at, BEYOND])
            while low < high and lm_arcs.arcs[low, WORD] != eos:
                low += 1
            if low < high:
                paid = cache.state_floats[state, PAID]
                cost[i] = total + lm_arcs.floats[low, WORD_COST] + lent - paid
                break
            total += costs[at, BACKOFF_COST]
            at = np.int64(lm[at, BACKOFF])
