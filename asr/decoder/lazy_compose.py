"""Composition of HCL and language model state by state, as a search comes to them (numba).

What :func:`asr.graph.static_kernels.compose` does for all states at once, with the same states,
costs and order of arcs. A state that is expanded has its arcs for good.

What one step needs lies side by side, in rows that fill half a cache line, and the memory of all
new states of a frame is asked for before the first is expanded: a new state waits for memory more
than for anything else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from asr.decoder.graph_rows import (
    AHEAD,
    AHEAD_END,
    ARC,
    ARC_COST,
    ARCS,
    BACKOFF,
    BACKOFF_COST,
    BACKS_OFF,
    BEGIN,
    BEGINS,
    BEYOND,
    COST,
    END,
    ENTERS,
    ENTRIES,
    EXIT_LEVEL,
    FIRST,
    FLAGS,
    FRAMES,
    HCL,
    LABEL,
    LAST,
    LM,
    NEXT,
    NEXT_ROOT,
    OUT,
    PAID,
    PAUSES,
    PDF,
    PDF_MASK,
    ROLE_MASK,
    ROLE_SHIFT,
    ROOT,
    SILENT,
    STATES,
    TARGET,
    TO,
    UNIT,
    WORD,
    WORD_COST,
)  # fmt: skip
from asr.decoder.growing import lower, lower_near, number_of
from asr.decoder.prefetch import prefetch
from asr.graph.static_graph import Role

PAUSE, SPELLING, BETWEEN = int(Role.PAUSE), int(Role.SPELLING), int(Role.BETWEEN)


class Lexicon(NamedTuple):
    """HCL as the composition reads it.

    states: int32 [S, 8] and arcs: int32 [A, 4], fields as in :mod:`asr.decoder.graph_rows`; the
    same memory as float32 beside them. key: int32 [A], the arcs' ``KEY`` alone, ascending within
    each kind of arc of a state. class_begin: int64 [V + 1] and class_of: int32, the classes that
    each unit is in.
    """

    states: NDArray[np.int32]
    state_floats: NDArray[np.float32]
    arcs: NDArray[np.int32]
    arc_floats: NDArray[np.float32]
    key: NDArray[np.int32]
    class_begin: NDArray[np.int64]
    class_of: NDArray[np.int32]


class LmArcs(NamedTuple):
    """The arcs of a language model: int32 [A, 4], fields as in :mod:`asr.decoder.graph_rows`.

    floats: the same memory as float32.
    """

    arcs: NDArray[np.int32]
    floats: NDArray[np.float32]


class Cache(NamedTuple):
    """What was composed so far; ``filled`` (int64 [3]) says how far.

    states: int32 [S, 8]; arcs: int32 [A, 4], fields as in the search; lm: int32 [LM states, 8];
    entries: int32 [E, 2], look-ahead lists: class (ascending) and best cost; floats: the same
    memory. table: int64 [N, 2], hash table of states: key and number. best, stamp: of each class;
    picked, listed, values: of each arc of the state that is being expanded.
    """

    states: NDArray[np.int32]
    state_floats: NDArray[np.float32]
    arcs: NDArray[np.int32]
    arc_floats: NDArray[np.float32]
    lm: NDArray[np.int32]
    lm_floats: NDArray[np.float32]
    entries: NDArray[np.int32]
    entry_floats: NDArray[np.float32]
    table: NDArray[np.int64]
    todo: NDArray[np.int32]
    best: NDArray[np.float32]
    stamp: NDArray[np.int32]
    picked: NDArray[np.int32]
    listed: NDArray[np.int32]
    values: NDArray[np.float32]
    filled: NDArray[np.int64]


@nb.njit(cache=True, nogil=True, inline="always")
def _lower_key(keys: Any, low: Any, high: Any, wanted: Any) -> Any:
    while low < high:
        middle = (low + high) >> 1
        if keys[np.uintp(middle)] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@nb.njit(cache=True, nogil=True)
def _list_ahead(
    lm: Any, word: Any, word_cost: Any, class_begin: Any, class_of: Any, entries: Any,
    entry_costs: Any, best: Any, stamp: Any, state: Any, first: Any,
) -> int:  # fmt: skip
    """List the best costs of an LM state's units by class, from ``first`` on; where they end."""
    count = first
    for place in range(lm[state, BEGIN], lm[state, BEYOND]):
        unit, cost = word[place, WORD], word_cost[place, WORD_COST]
        for entry in range(class_begin[unit], class_begin[unit + 1]):
            group = class_of[entry]
            if stamp[group] == state:
                best[group] = min(best[group], cost)
                continue
            stamp[group] = state
            best[group] = cost
            entries[count, 0] = group
            count += 1
    order = np.sort(entries[first:count, 0])
    for place in range(first, count):
        entries[place, 0] = order[place - first]
        entry_costs[place, 1] = best[order[place - first]]
    lm[state, AHEAD] = first
    lm[state, AHEAD_END] = count
    return count


@nb.njit(cache=True, nogil=True)
def _sort(arcs: Any, costs: Any, low: Any, high: Any) -> None:
    """Put the arcs ``low`` to ``high`` in the order of their costs; most are few."""
    for i in range(low + 1, high):
        cost = costs[i, COST]
        if costs[i - 1, COST] <= cost:
            continue
        target, pdf, unit = arcs[i, TARGET], arcs[i, PDF], arcs[i, UNIT]
        place = i
        while place > low and costs[place - 1, COST] > cost:
            for field in range(4):
                arcs[place, field] = arcs[place - 1, field]
            place -= 1
        arcs[place, TARGET] = target
        costs[place, COST] = cost
        arcs[place, PDF] = pdf
        arcs[place, UNIT] = unit


@nb.njit(cache=True, nogil=True)
def _pick(
    hcl_states: Any, keys: Any, lm: Any, lm_costs: Any, word: Any, word_cost: Any, entries: Any,
    entry_costs: Any, picked: Any, listed: Any, values: Any, hcl: Any, lm_state: Any, leaves: Any,
) -> int:  # fmt: skip
    """Which arcs of an HCL state an LM state lists, with what may follow at best; how many.

    Fills ``picked`` (the arc), ``values`` (the best cost after it) and, of arcs with labels,
    ``listed`` (the LM arc).
    """
    arc, out = np.int64(hcl_states[hcl, ARC]), np.int64(hcl_states[hcl, OUT])
    label, last = np.int64(hcl_states[hcl, LABEL]), np.int64(hcl_states[hcl, LAST])
    low, high = np.int64(lm[lm_state, AHEAD]), np.int64(lm[lm_state, AHEAD_END])
    count = np.uintp(0)
    one = np.uintp(1)
    if 4 * (high - low) < out - arc:  # few are listed: look for them among the arcs
        for entry in range(low, high):
            wanted = entries[np.uintp(entry), 0]
            arc = _lower_key(keys, arc, out, wanted)
            while arc < out and keys[np.uintp(arc)] == wanted:
                picked[count] = arc
                values[count] = entry_costs[np.uintp(entry), 1]
                count += one
                arc += 1
            if arc == out:
                break
    else:
        while arc < out and low < high:
            wanted = keys[np.uintp(arc)]
            low = lower_near(entries, low, high, wanted)
            if low < high and entries[np.uintp(low), 0] == wanted:
                picked[count] = arc
                values[count] = entry_costs[np.uintp(low), 1]
                count += one
            arc += 1
    if not leaves:
        for other in range(out, label):
            picked[count] = other
            values[count] = lm_costs[lm_state, ROOT]
            count += one
    if label < last:
        place, end = np.int64(lm[lm_state, BEGIN]), np.int64(lm[lm_state, BEYOND])
        for labelled in range(label, last):
            wanted = keys[np.uintp(labelled)]
            place = lower_near(word, place, end, wanted)
            if place == end:
                break
            if word[np.uintp(place), WORD] == wanted:
                picked[count] = labelled
                listed[count] = place
                values[count] = word_cost[np.uintp(place), NEXT_ROOT]
                count += one
    return int(count)


@nb.njit(cache=True, nogil=True)
def _back_off(
    hcl_states: Any, keys: Any, lm: Any, lm_costs: Any, entries: Any, hcl: Any, lm_state: Any
) -> Any:
    """The next LM state down that lists anything which begins in the HCL state, and the cost."""
    first, out = np.int64(hcl_states[hcl, ARC]), np.int64(hcl_states[hcl, OUT])
    cost = np.float64(lm_costs[lm_state, BACKOFF_COST])
    state = np.uintp(lm[lm_state, BACKOFF])
    while state != np.uintp(0):
        begin, end = np.int64(lm[state, AHEAD]), np.int64(lm[state, AHEAD_END])
        for arc in range(first, out):
            found = lower(entries, begin, end, keys[np.uintp(arc)])
            if found < end and entries[np.uintp(found), 0] == keys[np.uintp(arc)]:
                return np.int64(state), cost
        cost += np.float64(lm_costs[state, BACKOFF_COST])
        state = np.uintp(lm[state, BACKOFF])
    return np.int64(state), cost


@nb.njit(cache=True, nogil=True)
def expand(lexicon: Any, lm_arcs: Any, cache: Any, wanted: Any, count: Any, most: int) -> Any:
    """Give the states ``wanted[:count]`` their arcs; how many of them have theirs now.

    All have, unless more are new than fit into ``cache.todo``. ``most``: no state has more arcs.
    −1 where the arrays are too small; to be called again.

    One long function on purpose; arrays are taken out of their bundles once (see
    :mod:`asr.decoder.static_kernels`).
    """
    states, paid_of, todo, filled = cache.states, cache.state_floats, cache.todo, cache.filled
    lm, hcl_states = cache.lm, lexicon.states
    waiting = 0
    seen = count
    for i in range(count):
        state = np.uintp(wanted[i])
        if states[state, FIRST] < 0:
            if waiting == len(todo):
                seen = i
                break
            todo[waiting] = wanted[i]
            waiting += 1
            prefetch(lm, np.intp(states[state, LM]))
            prefetch(hcl_states, np.intp(states[state, HCL] >> 1))
    if waiting == 0:
        return seen
    keys = lexicon.key
    hcl_arcs, hcl_costs = lexicon.arcs, lexicon.arc_floats
    class_begin, class_of = lexicon.class_begin, lexicon.class_of
    word, word_cost = lm_arcs.arcs, lm_arcs.floats
    lm_costs = cache.lm_floats
    entries, entry_costs = cache.entries, cache.entry_floats
    arcs, floats, table = cache.arcs, cache.arc_floats, cache.table
    picked, listed, values = cache.picked, cache.listed, cache.values
    best, stamp = cache.best, cache.stamp
    room, arc_room = min(len(states), len(table) // 2) - most, len(arcs) - most
    entry_room = len(entries) - len(best)
    size = np.int64(len(hcl_states))
    made, drawn = filled[STATES], filled[ARCS]
    for i in range(waiting):  # by now the rows have come
        state = np.uintp(todo[i])
        lm_state, hcl = np.uintp(states[state, LM]), np.uintp(states[state, HCL] >> 1)
        prefetch(entries, np.intp(lm[lm_state, AHEAD]))
        prefetch(keys, np.intp(hcl_states[hcl, ARC]))
        prefetch(hcl_arcs, np.intp(hcl_states[hcl, ARC]))
        if hcl_states[hcl, LABEL] < hcl_states[hcl, LAST]:
            prefetch(word, np.intp(lm[lm_state, BEGIN]))
    enough = True
    while waiting > 0:
        if made >= room or drawn >= arc_room:
            enough = False
            break
        waiting -= 1
        current = np.uintp(todo[waiting])
        lm_state = np.uintp(states[current, LM])
        hcl, leaves = np.uintp(states[current, HCL] >> 1), states[current, HCL] & 1
        flags = hcl_states[hcl, FLAGS]
        backs_off = flags & BACKS_OFF != 0 and lm_state != np.uintp(0)
        at = lm_state
        while True:  # look-ahead of this LM state and of those it backs off to
            if lm[at, AHEAD] < 0:
                if filled[ENTRIES] > entry_room:
                    enough = False
                    break
                filled[ENTRIES] = _list_ahead(
                    lm, word, word_cost, class_begin, class_of, entries, entry_costs, best, stamp,
                    np.int64(at), filled[ENTRIES],
                )  # fmt: skip
            if not backs_off or at == np.uintp(0):
                break
            at = np.uintp(lm[at, BACKOFF])
        if not enough:
            break
        paid = np.float64(paid_of[current, PAID])
        begin = drawn
        found = _pick(
            hcl_states, keys, lm, lm_costs, word, word_cost, entries, entry_costs, picked, listed,
            values, hcl, lm_state, leaves,
        )  # fmt: skip
        if flags & FRAMES:
            role = BETWEEN if leaves else flags & ROLE_MASK
            for pick in range(np.uintp(found)):
                arc = np.uintp(picked[pick])
                enters = hcl_arcs[arc, ENTERS]
                other = enters >> ROLE_SHIFT
                pdf = enters & PDF_MASK
                if other != role:
                    if other == PAUSE:
                        pdf |= PAUSES
                    elif other == SPELLING:
                        pdf |= BEGINS
                arcs[drawn, TARGET] = -1 - hcl_arcs[arc, TO]
                floats[drawn, COST] = hcl_costs[arc, ARC_COST] + values[pick] - paid
                arcs[drawn, PDF] = pdf
                arcs[drawn, UNIT] = -1
                drawn += 1
        silent_from = drawn
        if not flags & FRAMES:
            label = hcl_states[hcl, LABEL]
            for pick in range(np.uintp(found)):
                arc = np.uintp(picked[pick])
                target = np.int64(hcl_arcs[arc, TO])
                cost = np.float64(hcl_costs[arc, ARC_COST])
                following = np.int64(lm_state)
                unit = np.int32(-1)
                if picked[pick] >= label:
                    unit = keys[arc]
                    cost += word_cost[np.uintp(listed[pick]), WORD_COST]
                    following = np.int64(word[np.uintp(listed[pick]), NEXT])
                number = number_of(table, (following * size + target) * 2, made)
                if number == made:
                    states[made, FIRST] = -1
                    states[made, HCL] = 2 * target
                    states[made, LM] = following
                    paid_of[made, PAID] = values[pick]
                    made += 1
                arcs[drawn, TARGET] = number
                floats[drawn, COST] = cost + paid_of[np.uintp(number), PAID] - paid
                arcs[drawn, PDF] = 0
                arcs[drawn, UNIT] = unit
                drawn += 1
        if backs_off:
            down, cost = _back_off(hcl_states, keys, lm, lm_costs, entries, hcl, lm_state)
            value = lm_costs[np.uintp(down), ROOT]
            number = number_of(table, (down * size + np.int64(hcl)) * 2 + 1, made)
            if number == made:
                states[made, FIRST] = -1
                states[made, HCL] = 2 * hcl + np.uintp(1)
                states[made, LM] = down
                paid_of[made, PAID] = value
                made += 1
            arcs[drawn, TARGET] = number
            floats[drawn, COST] = cost + value - paid
            arcs[drawn, PDF] = lm[np.uintp(down), EXIT_LEVEL]
            arcs[drawn, UNIT] = -1
            drawn += 1
        states[current, FIRST] = begin
        states[current, SILENT] = silent_from
        states[current, END] = drawn
        _sort(arcs, floats, begin, silent_from)
        _sort(arcs, floats, silent_from, drawn)
    filled[STATES], filled[ARCS] = made, drawn
    return seen if enough else -1
