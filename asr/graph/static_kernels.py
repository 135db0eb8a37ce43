"""The loops of :mod:`asr.graph.static_compile` (numba)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

#: Odd multiplier of the hash table (fits a signed 64-bit integer, so the product wraps).
HASH = 0x1E3779B97F4A7C15
FAR = 1e30


class LmLists(NamedTuple):
    """A language model as costs (nats, scaled, less bonuses).

    begin: int64 [S + 1]; word: int32 [A]; following: int32 [A]; cost: float64 [A]; backoff_state:
    int32 [S]; backoff_cost: float64 [S]. As in :class:`~asr.lm.automaton.LmAutomaton`.
    """

    begin: NDArray[np.int64]
    word: NDArray[np.int32]
    following: NDArray[np.int32]
    cost: NDArray[np.float64]
    backoff_state: NDArray[np.int32]
    backoff_cost: NDArray[np.float64]


class Ahead(NamedTuple):
    """Best costs of what LM states list: of LM state g, those of ``which[begin[g]:begin[g + 1]]``.

    begin: int64 [S + 1]; which: int32 [N], classes, ascending within a state; cost: float64 [N];
    root: float64 [S], over all classes and with back-off.
    """

    begin: NDArray[np.int64]
    which: NDArray[np.int32]
    cost: NDArray[np.float64]
    root: NDArray[np.float64]


class Lexicon(NamedTuple):
    """HCL: arcs as in :class:`~asr.graph.hcl.HclGraph`, and what the composition asks of a state.

    between: bool [S], between units; class_: int32 [S], class of the units below or −1; begins:
    bool [S], whether units begin on its arcs.
    """

    arc_begin: NDArray[np.int64]
    arc_target: NDArray[np.int32]
    arc_cost: NDArray[np.float32]
    arc_unit: NDArray[np.int32]
    final: NDArray[np.uint8]
    between: NDArray[np.bool_]
    class_: NDArray[np.int32]
    begins: NDArray[np.bool_]


class Composed(NamedTuple):
    """The composed graph, states in the order they were found; empty where it grew too large.

    state: int32 [S], HCL state; lm_state: int32 [S]; is_exit: bool [S]; final_cost: float32 [S];
    arc_begin: int64 [S + 1]; arc_target: int32 [A]; arc_cost: float32 [A]; arc_unit: int32 [A].
    """

    state: NDArray[np.int32]
    lm_state: NDArray[np.int32]
    is_exit: NDArray[np.bool_]
    final_cost: NDArray[np.float32]
    arc_begin: NDArray[np.int64]
    arc_target: NDArray[np.int32]
    arc_cost: NDArray[np.float32]
    arc_unit: NDArray[np.int32]


@nb.njit(cache=True)
def _find(values: Any, low: int, high: int, wanted: int) -> int:
    """Where ``wanted`` is in the ascending ``values[low:high]``, or −1."""
    end = high
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low if low < end and values[low] == wanted else -1


@nb.njit(cache=True)
def end_costs(lists: Any, eos: int, bonus: float) -> Any:
    """The cost of the end of sentence in each LM state, with back-off: float64 [S]."""
    states = len(lists.backoff_state)
    result = np.zeros(states, np.float64)
    for state in range(states):  # a state's back-off state has a smaller number
        place = _find(lists.word, lists.begin[state], lists.begin[state + 1], eos)
        if place >= 0:
            result[state] = lists.cost[place] + bonus  # no unit, hence no bonus
        else:
            result[state] = lists.backoff_cost[state] + result[lists.backoff_state[state]]
    return result


@nb.njit(cache=True)
def root_ahead(lists: Any, usable: Any) -> Any:
    """The best cost of the next unit in each LM state, with back-off: float64 [S]."""
    states = len(lists.backoff_state)
    result = np.zeros(states, np.float64)
    for state in range(states):
        best = FAR
        if state > 0:
            best = lists.backoff_cost[state] + result[lists.backoff_state[state]]
        for place in range(lists.begin[state], lists.begin[state + 1]):
            if usable[lists.word[place]]:
                best = min(best, lists.cost[place])
        result[state] = best
    return result


@nb.njit(cache=True)
def listed_ahead(lists: Any, class_begin: Any, class_of: Any) -> Any:
    """For :class:`Ahead`: begin, which and cost."""
    states = len(lists.backoff_state)
    num_classes = 1 + class_of.max() if len(class_of) else 1
    stamp = np.full(num_classes, -1, np.int64)
    best = np.zeros(num_classes, np.float64)
    begin = np.zeros(states + 1, np.int64)
    which = np.empty(1 << 16, np.int32)
    cost = np.empty(1 << 16, np.float64)
    for state in range(states):
        first = begin[state]
        count = first
        for place in range(lists.begin[state], lists.begin[state + 1]):
            word = lists.word[place]
            for entry in range(class_begin[word], class_begin[word + 1]):
                group = class_of[entry]
                if stamp[group] == state:
                    best[group] = min(best[group], lists.cost[place])
                    continue
                stamp[group] = state
                best[group] = lists.cost[place]
                if count == len(which):
                    which = np.concatenate((which, np.empty_like(which)))
                    cost = np.concatenate((cost, np.empty_like(cost)))
                which[count] = group
                count += 1
        which[first:count].sort()
        for place in range(first, count):
            cost[place] = best[which[place]]
        begin[state + 1] = count
    return begin, which[: begin[-1]].copy(), cost[: begin[-1]].copy()


@nb.njit(cache=True)
def _slot(keys: Any, key: int) -> int:
    """Where a key is in the hash table, or the free place where it belongs."""
    mask = len(keys) - 1
    slot = ((key * HASH) >> 20) & mask
    while keys[slot] != -1 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@nb.njit(cache=True)
def _rehashed(keys: Any, numbers: Any) -> Any:
    wider = np.full(2 * len(keys), -1, np.int64)
    moved = np.empty(2 * len(keys), np.int32)
    for old in range(len(keys)):
        if keys[old] != -1:
            slot = _slot(wider, keys[old])
            wider[slot] = keys[old]
            moved[slot] = numbers[old]
    return wider, moved


@nb.njit(cache=True)
def _lists_any(lexicon: Any, ahead: Any, state: int, lm_state: int) -> bool:
    """Whether the LM state lists a unit that begins on the lexicon state's arcs."""
    low, high = ahead.begin[lm_state], ahead.begin[lm_state + 1]
    for arc in range(lexicon.arc_begin[state], lexicon.arc_begin[state + 1]):
        target = lexicon.arc_target[arc]
        if (
            lexicon.arc_unit[arc] < 0
            and not lexicon.between[target]
            and _find(ahead.which, low, high, lexicon.class_[target]) >= 0
        ):
            return True
    return False


@nb.njit(cache=True)
def compose(
    lexicon: Any, lists: Any, ahead: Any, end: Any, start: int, lm_start: int, most_arcs: int
) -> Any:
    """The reachable part of the composition, breadth-first, as :class:`Composed`."""
    size = len(lexicon.final)
    keys = np.full(1 << 16, -1, np.int64)
    numbers = np.empty(1 << 16, np.int32)
    # key of a state: (LM state · HCL states + HCL state) · 2 + exit
    found = np.empty(1 << 15, np.int64)
    potential = np.empty(1 << 15, np.float64)
    final_cost = np.empty(1 << 15, np.float32)
    arc_begin = np.zeros((1 << 15) + 1, np.int64)
    arc_target = np.empty(1 << 16, np.int32)
    arc_cost = np.empty(1 << 16, np.float32)
    arc_unit = np.empty(1 << 16, np.int32)
    found[0] = (np.int64(lm_start) * size + start) * 2
    potential[0] = 0.0  # the whole path's cost is then exact
    slot = _slot(keys, found[0])
    keys[slot] = found[0]
    numbers[slot] = 0
    states, arcs, current = 1, 0, 0
    while current < states:
        is_exit = found[current] & 1
        state = (found[current] >> 1) % size
        lm_state = (found[current] >> 1) // size
        paid = potential[current]
        low, high = ahead.begin[lm_state], ahead.begin[lm_state + 1]
        listed, listed_end = lists.begin[lm_state], lists.begin[lm_state + 1]
        final_cost[current] = np.inf
        if lexicon.final[state] and not is_exit:
            final_cost[current] = end[lm_state] - paid
        first, last = lexicon.arc_begin[state], lexicon.arc_begin[state + 1]
        for arc in range(first, last + 1):  # the last one is the back-off
            if arc < last:
                target = lexicon.arc_target[arc]
                unit = lexicon.arc_unit[arc]
                cost = np.float64(lexicon.arc_cost[arc])
                following = lm_state
                leaves = 0
                if unit >= 0:
                    place = _find(lists.word, listed, listed_end, unit)
                    if place < 0:
                        continue
                    cost += lists.cost[place]
                    following = lists.following[place]
                    value = ahead.root[following]
                elif lexicon.between[target]:
                    if is_exit:
                        continue
                    value = ahead.root[lm_state]
                else:
                    place = _find(ahead.which, low, high, lexicon.class_[target])
                    if place < 0:
                        continue
                    value = ahead.cost[place]
            else:
                if lm_state == 0 or not (lexicon.between[state] and lexicon.begins[state]):
                    continue
                target, unit, leaves = state, -1, 1
                cost = lists.backoff_cost[lm_state]
                following = lists.backoff_state[lm_state]
                while following != 0 and not _lists_any(lexicon, ahead, state, following):
                    cost += lists.backoff_cost[following]
                    following = lists.backoff_state[following]
                value = ahead.root[following]
            key = (np.int64(following) * size + target) * 2 + leaves
            slot = _slot(keys, key)
            if keys[slot] == -1:
                keys[slot] = key
                numbers[slot] = states
                if states == len(found):
                    found = np.concatenate((found, np.empty_like(found)))
                    potential = np.concatenate((potential, np.empty_like(potential)))
                    final_cost = np.concatenate((final_cost, np.empty_like(final_cost)))
                    arc_begin = np.concatenate((arc_begin, np.empty_like(arc_begin)))
                found[states] = key
                potential[states] = value
                states += 1
                number = states - 1
                if 2 * states > len(keys):
                    keys, numbers = _rehashed(keys, numbers)
            else:
                number = numbers[slot]
            if arcs == len(arc_target):
                arc_target = np.concatenate((arc_target, np.empty_like(arc_target)))
                arc_cost = np.concatenate((arc_cost, np.empty_like(arc_cost)))
                arc_unit = np.concatenate((arc_unit, np.empty_like(arc_unit)))
            arc_target[arcs] = number
            arc_cost[arcs] = cost + potential[number] - paid
            arc_unit[arcs] = unit
            arcs += 1
        current += 1
        arc_begin[current] = arcs
        if arcs > most_arcs:
            states = arcs = 0
            break
    state_of = np.empty(states, np.int32)
    lm_of = np.empty(states, np.int32)
    exits = np.empty(states, np.bool_)
    for i in range(states):
        state_of[i] = (found[i] >> 1) % size
        lm_of[i] = (found[i] >> 1) // size
        exits[i] = (found[i] & 1) == 1
    return Composed(
        state_of, lm_of, exits, final_cost[:states].copy(), arc_begin[: states + 1].copy(),
        arc_target[:arcs].copy(), arc_cost[:arcs].copy(), arc_unit[:arcs].copy(),
    )  # fmt: skip


@nb.njit(cache=True)
def sorted_arcs(arc_begin: Any, order: Any, target: Any, cost: Any, emitting: int) -> Any:
    """The arcs of the states in ``order``; within one, those that take a frame first, cheap first.

    A search can then stop at the first arc of each kind that is too dear. int64 [A].
    """
    result = np.empty(len(target), np.int64)
    done = 0
    for state in order:
        first, last = arc_begin[state], arc_begin[state + 1]
        if first == last:
            continue
        by_cost = first + np.argsort(cost[first:last])
        for wants_frame in (True, False):
            for arc in by_cost:
                if (target[arc] < emitting) == wants_frame:
                    result[done] = arc
                    done += 1
    return result
