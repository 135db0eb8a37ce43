"""States of a graph that is composed as it is searched get their numbers when they are reached."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from asr.decoder.graph_rows import (
    AHEAD,
    AHEAD_END,
    CLASS,
    FIRST,
    HCL,
    HCL_LOOP,
    HCL_LOOP_COST,
    LM,
    LOOP,
    LOOP_COST,
    PAID,
    ROOT,
    STATES,
)  # fmt: skip

HASH = 0x9E3779B97F4A7C15


class Growing(NamedTuple):
    """What gives numbers to states; rows as in :mod:`asr.decoder.graph_rows`.

    table: int64 [N, 2], hash table of states: key, or −1, and number. filled: int64 [3]. lexicon:
    int32 [HCL states, 8]; lm: int32 [LM states, 8]; entries: int32 [E, 2], look-ahead: class
    (ascending in each list) and best cost; floats: the same memory as float32.
    """

    table: NDArray[np.int64]
    filled: NDArray[np.int64]
    lexicon: NDArray[np.int32]
    lexicon_floats: NDArray[np.float32]
    lm: NDArray[np.int32]
    lm_floats: NDArray[np.float32]
    entries: NDArray[np.int32]
    entry_floats: NDArray[np.float32]


def not_growing() -> Growing:
    """Of a graph that is finished."""
    rows, floats = np.zeros((1, 8), np.int32), np.zeros((1, 8), np.float32)
    return Growing(
        np.zeros((1, 2), np.int64), np.zeros(3, np.int64), rows, floats, rows, floats, rows, floats
    )


@nb.njit(cache=True, nogil=True, inline="always")
def _slot_of(key: Any, mask: Any) -> Any:
    return np.uintp((np.uint64(key) * np.uint64(HASH)) >> np.uint64(32)) & mask


@nb.njit(cache=True, nogil=True, inline="always")
def number_of(table: Any, key: Any, made: Any) -> Any:
    """The number of a state; ``made``, which it then has, where it is new."""
    mask = np.uintp(len(table) - 1)
    slot = _slot_of(key, mask)
    while table[slot, 0] != -1 and table[slot, 0] != key:
        slot = (slot + np.uintp(1)) & mask
    if table[slot, 0] == -1:
        table[slot, 0] = key
        table[slot, 1] = made
    return table[slot, 1]


@nb.njit(cache=True, nogil=True)
def rehashed(table: Any) -> Any:
    """The hash table with twice the room."""
    wider = np.full((2 * len(table), 2), -1, np.int64)
    for old in range(len(table)):
        if table[old, 0] != -1:
            number_of(wider, table[old, 0], table[old, 1])
    return wider


@nb.njit(cache=True, nogil=True, inline="always")
def lower(rows: Any, low: Any, high: Any, wanted: Any) -> Any:
    """The first place from ``low`` on where ascending ``rows[:, 0]`` are not below ``wanted``."""
    while low < high:
        middle = (low + high) >> 1
        if rows[np.uintp(middle), 0] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@nb.njit(cache=True, nogil=True, inline="always")
def lower_near(rows: Any, low: Any, high: Any, wanted: Any) -> Any:
    """As :func:`lower`, quick where the place is near ``low``."""
    reach = 1
    end = low
    while end < high and rows[np.uintp(end), 0] < wanted:
        low = end + 1
        end += reach
        reach += reach
    return lower(rows, low, min(end, high), wanted)


@nb.njit(cache=True, nogil=True)
def resolve(
    table: Any, filled: Any, lexicon: Any, lexicon_floats: Any, lm: Any, lm_floats: Any,
    entries: Any, entry_floats: Any, states: Any, floats: Any, source: Any, target: Any,
) -> int:  # fmt: skip
    """The number of HCL state ``target`` in the LM state of ``source``; −1 if there is no room."""
    made = filled[STATES]
    if made >= len(states) or 2 * made > len(table):
        return -1
    lm_state, to = np.uintp(states[source, LM]), np.uintp(target)
    number = number_of(table, (np.int64(lm_state) * len(lexicon) + target) * 2, made)
    if number != made:
        return int(number)
    filled[STATES] = made + 1
    states[made, FIRST] = -1
    states[made, HCL] = 2 * target
    states[made, LM] = np.int64(lm_state)
    states[made, LOOP] = lexicon[to, HCL_LOOP]
    floats[made, LOOP_COST] = lexicon_floats[to, HCL_LOOP_COST]
    group = lexicon[to, CLASS]
    if group < 0:
        floats[made, PAID] = lm_floats[lm_state, ROOT]
    else:
        begin, end = np.int64(lm[lm_state, AHEAD]), np.int64(lm[lm_state, AHEAD_END])
        floats[made, PAID] = entry_floats[np.uintp(lower(entries, begin, end, group)), 1]
    return int(made)
