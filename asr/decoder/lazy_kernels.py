"""The search on a graph that is composed as it is searched (numba)."""

from __future__ import annotations

from typing import Any

import numba as nb

from asr.decoder.lazy_compose import expand
from asr.decoder.static_kernels import close, enter_frame, leave_frame
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
    while at[ROW] < len(loglikes) and at[FULL] == 0:
        emitting, count = at[EMITTING], at[COUNT]
        full, cutoff = enter_frame(graph, options, tokens, trail, loglikes[at[ROW]], at)
        if full == 0:
            full = close_on(
                graph, options, tokens, trail, at, 1 - at[SIDE], cutoff, at[FRAME] + 1, lexicon,
                lm, cache, most,
            )  # fmt: skip
        leave_frame(at, full, emitting, count)
