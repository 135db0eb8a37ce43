"""Look-ups in the language model and in the user's words, for the search's loops (numba)."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from asr.graph.bias import bias_step


@nb.njit(cache=True, nogil=True, inline="always")
def _lower_bound(words: Any, low: Any, high: Any, word: Any) -> Any:
    """The first place from ``low`` on (``high`` if none) where ``words`` is not below ``word``."""
    while low < high:
        middle = (low + high) >> np.uintp(1)
        if words[middle] < word:
            low = middle + np.uintp(1)
        else:
            high = middle
    return low


@nb.njit(cache=True, nogil=True)
def lm_step(lm: Any, state: int, word: int) -> tuple[float, int]:
    """Log-probability of ``word`` after LM ``state``, and the state that follows."""
    logp = 0.0
    while state != 0:
        end = np.uintp(lm.arc_begin[state + 1])
        place = _lower_bound(lm.arc_word, np.uintp(lm.arc_begin[state]), end, word)
        if place < end and lm.arc_word[place] == word:
            return logp + lm.arc_logp[place], lm.arc_next[place]
        logp += lm.backoff_logp[state]
        state = lm.backoff_state[state]
    place = lm.arc_begin[0] + word  # the unigram state holds every word, in order
    return logp + lm.arc_logp[place], lm.arc_next[place]


@nb.njit(cache=True, nogil=True)
def bias_unit(words: Any, state: int, unit: int) -> tuple[float, int]:
    """What the user's words add to the score of ``unit``, and their state after it."""
    added = 0.0
    for place in range(words.unit_begin[unit], words.unit_begin[unit + 1]):
        change, state = bias_step(words.automaton, state, words.unit_symbol[place])
        added += change
    return added, state


@nb.njit(cache=True, nogil=True, inline="always")
def score_labels(
    units: Any, first: int, last: int, begin: Any, words: Any, nexts: Any, logps: Any,
    backoff_states: Any, backoff_logps: Any, logp: Any, following: Any, slot: Any, lm_state: int,
) -> None:  # fmt: skip
    """Score ``units[first:last]``, which a vowel state may spell out (they differ in their codas).

    Fills row ``slot`` of ``logp`` and ``following`` with what :func:`lm_step` gives. The units
    ascend, as do an LM state's arcs, so one pass along both finds all that the state lists.
    """
    labels = np.uintp(last - first)
    origin = np.uintp(first)
    for each in range(labels):
        following[slot, each] = -1
    missing = last - first
    backoff = 0.0
    state = np.uintp(lm_state)
    one = np.uintp(1)
    while state != np.uintp(0) and missing > 0:
        end = np.uintp(begin[state + one])
        place = _lower_bound(words, np.uintp(begin[state]), end, units[origin])
        label: Any = np.uintp(0)
        while place < end and label < labels:
            unit = units[origin + label]
            word = words[place]
            if word == unit and following[slot, label] < 0:
                logp[slot, label] = backoff + logps[place]
                following[slot, label] = nexts[place]
                missing -= 1
            place += np.uintp(word <= unit)
            label += np.uintp(word >= unit)
        backoff += backoff_logps[state]
        state = np.uintp(backoff_states[state])
    for each in range(labels):
        if following[slot, each] < 0:  # the unigram state holds every word, in order
            at = np.uintp(begin[0]) + np.uintp(units[origin + each])
            logp[slot, each] = backoff + logps[at]
            following[slot, each] = nexts[at]
