"""Composition of HCL and language model state by state, as a search comes to them (numba).

What :func:`asr.graph.static_kernels.compose` does for all states at once, with the same states,
costs and order of arcs. A state that is expanded has its arcs for good.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from asr.decoder.prefetch import prefetch
from asr.decoder.static_kernels import (
    BEGINS,
    COST,
    END,
    EXIT,
    FIRST,
    HCL,
    LM,
    PAUSES,
    PDF,
    SILENT,
    TARGET,
    UNIT,
    close,
    slot_of,
    step,
    survivors,
)
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
from asr.graph.static_graph import Role

#: How far the arrays are filled: states, arcs, look-ahead entries, states yet to be expanded.
STATES, ARCS, AHEAD, TODO = range(4)
FAR = 1e30
#: How many states ahead memory is asked for, in two steps.
NEAR, FAR_AHEAD = 3, 8
PAUSE, SPELLING, BETWEEN = int(Role.PAUSE), int(Role.SPELLING), int(Role.BETWEEN)


class Lexicon(NamedTuple):
    """HCL as the composition reads it; see :class:`asr.graph.static_kernels.Lexicon`.

    The arcs of a state are, in this order: those within units up to ``spelled`` (int64 [S]), in the
    order of their targets' classes (int32 [A] ``arc_class``); those without a label up to ``label``
    (int64 [S]); those with labels, ascending. silent: bool [S], takes no frame; role: int8 [S];
    class_begin: int64 [V + 1] and class_of: int32, the classes that each unit is in.
    """

    arc_begin: NDArray[np.int64]
    arc_target: NDArray[np.int32]
    arc_cost: NDArray[np.float32]
    arc_unit: NDArray[np.int32]
    between: NDArray[np.bool_]
    class_: NDArray[np.int32]
    begins: NDArray[np.bool_]
    silent: NDArray[np.bool_]
    role: NDArray[np.int8]
    forward: NDArray[np.int32]
    loop: NDArray[np.int32]
    loop_cost: NDArray[np.float32]
    arc_class: NDArray[np.int32]
    spelled: NDArray[np.int64]
    label: NDArray[np.int64]
    class_begin: NDArray[np.int64]
    class_of: NDArray[np.int32]


class LmCosts(NamedTuple):
    """A language model: the arrays of LmAutomaton; lent: float64 [V], bonus of each unit; root:
    float64 [S], the best cost of the next unit; level: int32 [S], of the state's exits; scale.
    """

    begin: NDArray[np.int32]
    word: NDArray[np.uint16]
    following: NDArray[np.int32]
    logp: NDArray[np.float32]
    backoff_state: NDArray[np.int32]
    backoff_logp: NDArray[np.float32]
    lent: NDArray[np.float64]
    root: NDArray[np.float64]
    level: NDArray[np.int32]
    scale: float


class Cache(NamedTuple):
    """What was composed so far; ``filled`` (int64, fields numbered above) says how far.

    states: int32 [S, 8]; arcs: int32 [A, 4], fields as in the search; floats: the same memory.
    potential: float64 [S], what a path into the state has paid in advance. keys, numbers: hash
    table of states. ahead_begin, ahead_end: int32 [LM states], where in ``which`` (classes,
    ascending) and ``ahead`` (their best costs) an LM state's look-ahead is; −1 if it is not yet.
    """

    states: NDArray[np.int32]
    state_floats: NDArray[np.float32]
    arcs: NDArray[np.int32]
    arc_floats: NDArray[np.float32]
    potential: NDArray[np.float64]
    keys: NDArray[np.int64]
    numbers: NDArray[np.int32]
    ahead_begin: NDArray[np.int32]
    ahead_end: NDArray[np.int32]
    which: NDArray[np.int32]
    ahead: NDArray[np.float32]
    todo: NDArray[np.int32]
    best: NDArray[np.float32]
    stamp: NDArray[np.int32]
    picked: NDArray[np.int32]
    listed: NDArray[np.int32]
    values: NDArray[np.float64]
    filled: NDArray[np.int64]


@nb.njit(cache=True, nogil=True)
def rehashed(keys: Any, numbers: Any) -> Any:
    """The hash table with twice the room."""
    wider = np.full(2 * len(keys), -1, np.int64)
    moved = np.empty(2 * len(keys), np.int32)
    mask = np.uintp(len(wider) - 1)
    for old in range(len(keys)):
        if keys[old] != -1:
            slot = slot_of(keys[old], mask)
            while wider[slot] != -1:
                slot = (slot + np.uintp(1)) & mask
            wider[slot] = keys[old]
            moved[slot] = numbers[old]
    return wider, moved


@nb.njit(cache=True, nogil=True, inline="always")
def _find(values: Any, low: Any, high: Any, wanted: Any) -> Any:
    """Where ``wanted`` is in the ascending ``values[low:high]``, or −1."""
    end = high
    while low < high:
        middle = (low + high) >> 1
        if values[np.uintp(middle)] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < end and values[np.uintp(low)] == wanted else -1


@nb.njit(cache=True, nogil=True, inline="always")
def _lower(values: Any, low: Any, high: Any, wanted: Any) -> Any:
    """The first place from ``low`` on where the ascending ``values`` are not below ``wanted``."""
    while low < high:
        middle = (low + high) >> 1
        if values[np.uintp(middle)] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@nb.njit(cache=True, nogil=True)
def _list_ahead(
    begin: Any, word: Any, logp: Any, lent: Any, scale: float, class_begin: Any, class_of: Any,
    which: Any, ahead: Any, best: Any, stamp: Any, state: int, first: int,
) -> int:  # fmt: skip
    """Write the best costs that an LM state lists, by class, from ``first`` on; where they end."""
    count = first
    for place in range(begin[state], begin[state + 1]):
        unit = word[place]
        cost = np.float32(-scale * logp[place] - lent[unit])
        for entry in range(class_begin[unit], class_begin[unit + 1]):
            group = class_of[entry]
            if stamp[group] == state:
                best[group] = min(best[group], cost)
                continue
            stamp[group] = state
            best[group] = cost
            which[count] = group
            count += 1
    which[first:count].sort()
    for place in range(first, count):
        ahead[place] = best[which[place]]
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
def expand(lexicon: Any, lm: Any, cache: Any, wanted: Any, count: int, most: int) -> bool:
    """Give the states ``wanted[:count]`` their arcs.

    ``most``: no state has more arcs. False where the arrays are too small; to be called again.
    """
    arc_begin, arc_target = lexicon.arc_begin, lexicon.arc_target
    arc_cost, arc_unit, between = lexicon.arc_cost, lexicon.arc_unit, lexicon.between
    begins, silent, role_of = lexicon.begins, lexicon.silent, lexicon.role
    arc_class, spelled_end, label_begin = lexicon.arc_class, lexicon.spelled, lexicon.label
    picked, listed, values = cache.picked, cache.listed, cache.values
    forward = lexicon.forward
    class_begin, class_of = lexicon.class_begin, lexicon.class_of
    lm_begin, word, lm_next, logp = lm.begin, lm.word, lm.following, lm.logp
    backoff_state, backoff_logp, lent = lm.backoff_state, lm.backoff_logp, lm.lent
    root, level, scale = lm.root, lm.level, lm.scale
    states, arcs, floats = cache.states, cache.arcs, cache.arc_floats
    potential, keys, numbers = cache.potential, cache.keys, cache.numbers
    ahead_begin, ahead_end = cache.ahead_begin, cache.ahead_end
    which, ahead = cache.which, cache.ahead
    todo, best, stamp, filled = cache.todo, cache.best, cache.stamp, cache.filled
    size = np.int64(len(between))
    mask = np.uintp(len(keys) - 1)
    made, drawn, waiting = filled[STATES], filled[ARCS], filled[TODO]
    room, arc_room = len(states) - most, len(arcs) - most
    ahead_room = len(which) - 4 * len(best)
    for i in range(count):
        if states[wanted[i], FIRST] < 0:
            todo[waiting] = wanted[i]
            waiting += 1
    enough = True
    while waiting > 0:
        if made >= room or drawn >= arc_room or waiting + most > len(todo) or 2 * made > len(keys):
            enough = False
            break
        current = todo[waiting - 1]
        if states[current, FIRST] >= 0:
            waiting -= 1
            continue
        if waiting > NEAR:
            near = np.uintp(states[todo[waiting - 1 - NEAR], LM])
            prefetch(word, np.intp(lm_begin[near]))
            prefetch(logp, np.intp(lm_begin[near]))
            prefetch(which, np.intp(ahead_begin[near]))
            prefetch(ahead, np.intp(ahead_begin[near]))
        if waiting > FAR_AHEAD:
            later = todo[waiting - 1 - FAR_AHEAD]
            far, hcl = np.intp(states[later, LM]), np.intp(states[later, HCL])
            prefetch(lm_begin, far)
            prefetch(ahead_begin, far)
            prefetch(ahead_end, far)
            prefetch(backoff_state, far)
            prefetch(backoff_logp, far)
            prefetch(root, far)
            prefetch(arc_begin, hcl)
            prefetch(potential, np.intp(later))
        state, lm_state = np.int64(states[current, HCL]), np.int64(states[current, LM])
        is_exit = states[current, EXIT] != 0
        paid = potential[current]
        role = BETWEEN if is_exit else role_of[state]
        # look-ahead of this LM state and of those it backs off to
        at = lm_state
        while True:
            if ahead_begin[at] < 0:
                if filled[AHEAD] > ahead_room:
                    enough = False
                    break
                ahead_begin[at] = filled[AHEAD]
                filled[AHEAD] = _list_ahead(
                    lm_begin, word, logp, lent, scale, class_begin, class_of, which, ahead, best,
                    stamp, at, filled[AHEAD],
                )  # fmt: skip
                ahead_end[at] = filled[AHEAD]
            if at == 0 or not (between[state] and begins[state]):
                break
            at = np.int64(backoff_state[at])
        if not enough:
            break
        waiting -= 1
        begin = drawn
        first, last = np.int64(arc_begin[state]), np.int64(arc_begin[state + 1])
        spelled, label = np.int64(spelled_end[state]), np.int64(label_begin[state])
        low, high = np.int64(ahead_begin[lm_state]), np.int64(ahead_end[lm_state])
        count_picked = 0
        if 4 * (high - low) < spelled - first:  # few are listed: look for them among the arcs
            arc = first
            for entry in range(low, high):
                arc = _lower(arc_class, arc, spelled, which[entry])
                while arc < spelled and arc_class[arc] == which[entry]:
                    picked[count_picked] = arc
                    values[count_picked] = ahead[entry]
                    count_picked += 1
                    arc += 1
                if arc == spelled:
                    break
        else:
            for arc in range(first, spelled):
                low = _lower(which, low, high, arc_class[arc])
                if low == high:
                    break
                if which[low] == arc_class[arc]:
                    picked[count_picked] = arc
                    values[count_picked] = ahead[low]
                    count_picked += 1
        if not is_exit:
            for arc in range(spelled, label):
                picked[count_picked] = arc
                values[count_picked] = root[lm_state]
                count_picked += 1
        place, end = np.int64(lm_begin[lm_state]), np.int64(lm_begin[lm_state + 1])
        for arc in range(label, last):
            place = _lower(word, place, end, arc_unit[arc])
            if place == end:
                break
            if word[place] == arc_unit[arc]:
                picked[count_picked] = arc
                listed[count_picked] = place
                values[count_picked] = root[lm_next[place]]
                count_picked += 1
        # all arcs of a state take a frame, or none does
        takes_frame = first < last and not silent[arc_target[first]]
        if not takes_frame:
            states[current, SILENT] = begin
        backs_off = lm_state != 0 and between[state] and begins[state]
        for pick in range(count_picked + 1):
            if pick < count_picked:
                arc = np.int64(picked[pick])
                target = np.int64(arc_target[arc])
                cost = np.float64(arc_cost[arc])
                value = values[pick]
                unit = np.int64(arc_unit[arc])
                following = lm_state
                leaves = 0
                if takes_frame:
                    arcs[drawn, TARGET] = -1 - target
                    floats[drawn, COST] = cost + value - paid
                    arcs[drawn, UNIT] = unit
                    flags = 0
                    if role_of[target] != role:
                        if role_of[target] == PAUSE:
                            flags = PAUSES
                        elif role_of[target] == SPELLING:
                            flags = BEGINS
                    arcs[drawn, PDF] = forward[target] | flags
                    drawn += 1
                    continue
                if unit >= 0:
                    cost += -scale * np.float64(logp[listed[pick]]) - lent[unit]
                    following = np.int64(lm_next[listed[pick]])
            else:
                if takes_frame:
                    states[current, SILENT] = drawn
                if not backs_off:
                    break
                target, unit, leaves = state, np.int64(-1), 1
                cost = -scale * np.float64(backoff_logp[lm_state])
                following = np.int64(backoff_state[lm_state])
                while following != 0:
                    begun, ended = np.int64(ahead_begin[following]), np.int64(ahead_end[following])
                    lists = False
                    for arc in range(first, spelled):
                        if _find(which, begun, ended, arc_class[arc]) >= 0:
                            lists = True
                            break
                    if lists:
                        break
                    cost += -scale * np.float64(backoff_logp[following])
                    following = np.int64(backoff_state[following])
                value = root[following]
            key = (following * size + target) * 2 + leaves
            slot = slot_of(key, mask)
            while keys[slot] != -1 and keys[slot] != key:
                slot = (slot + np.uintp(1)) & mask
            if keys[slot] == -1:
                keys[slot] = key
                numbers[slot] = made
                states[made, FIRST] = -1
                states[made, HCL] = target
                states[made, LM] = following
                states[made, EXIT] = leaves
                potential[made] = value
                made += 1
            number = np.int64(numbers[slot])
            arcs[drawn, TARGET] = number
            floats[drawn, COST] = cost + potential[number] - paid
            arcs[drawn, UNIT] = unit
            arcs[drawn, PDF] = level[following] if leaves else 0
            drawn += 1
        states[current, FIRST] = begin
        states[current, END] = drawn
        silent_from = np.int64(states[current, SILENT])
        _sort(arcs, floats, begin, silent_from)
        _sort(arcs, floats, silent_from, drawn)
    filled[STATES], filled[ARCS], filled[TODO] = made, drawn, waiting
    return enough


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
        if not expand(lexicon, lm, cache, state_of[done:], count - done, most):
            at[LEVEL] = 0
            return GRAPH_FULL
        done = count
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
def list_roots(lm: Any, usable: Any, root: Any) -> None:
    """The best cost of the next unit in each LM state, with back-off, into ``root``."""
    for state in range(len(lm.backoff_state)):
        best = FAR
        if state > 0:
            best = -lm.scale * lm.backoff_logp[state] + root[lm.backoff_state[state]]
        for place in range(lm.begin[state], lm.begin[state + 1]):
            unit = lm.word[place]
            if usable[unit]:
                best = min(best, -lm.scale * np.float64(lm.logp[place]) - lm.lent[unit])
        root[state] = best


@nb.njit(cache=True, nogil=True)
def final_costs(lexicon_final: Any, lm: Any, cache: Any, eos: int, wanted: Any, cost: Any) -> None:
    """What it costs to end in each of the states ``wanted``; infinite where none may."""
    for i in range(len(wanted)):
        row = cache.states[wanted[i]]
        cost[i] = np.inf
        if row[EXIT] or not lexicon_final[row[HCL]]:
            continue
        total = 0.0
        at = np.int64(row[LM])
        while True:
            place = _find(lm.word, np.int64(lm.begin[at]), np.int64(lm.begin[at + 1]), eos)
            if place >= 0:
                cost[i] = total - lm.scale * lm.logp[place] - cache.potential[wanted[i]]
                break
            total -= lm.scale * lm.backoff_logp[at]
            at = np.int64(lm.backoff_state[at])
