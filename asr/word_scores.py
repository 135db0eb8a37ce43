"""How likely a language model finds words: after nothing, and in the context that favours them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.lm.automaton import LmAutomaton

CONTEXTS = 16
"""Contexts tried for a word: as many in which its first unit is likeliest, and as many in which its
first two are; and the start of a sentence."""


@dataclass(frozen=True, slots=True)
class WordScores:
    """Natural log probabilities of W words, whole: float64 [W].

    empty: after nothing, as where no context helps. best: in the best context found; at least
    ``empty``. state: int64 [W], that context's state of the automaton, 0 where it is none.
    """

    empty: NDArray[np.float64]
    best: NDArray[np.float64]
    state: NDArray[np.int64]


class WordScorer:
    """Scores words by an automaton, many at once."""

    def __init__(self, lm: LmAutomaton) -> None:
        self._lm = lm
        self._width = len(lm.vocabulary)
        self._sources = np.repeat(np.arange(lm.states), np.diff(lm.arc_begin))
        self._keys = self._sources * self._width + lm.arc_word  # ascending: see LmAutomaton

    def scores(self, words: Sequence[Sequence[int]]) -> WordScores:
        """Score words given as ids of units, each of at least one unit."""
        count = len(words)
        units = np.full((count, max(map(len, words), default=1)), -1, np.int64)
        for row, word in enumerate(words):
            units[row, : len(word)] = word
        empty = self._walk(np.zeros(count, np.int64), units)
        states = self._contexts(words)
        tried = states.shape[1]
        totals = self._walk(states.ravel(), np.repeat(units, tried, axis=0))
        totals = totals.reshape(count, tried)
        best = totals.argmax(axis=1)[:, None]
        highest = np.take_along_axis(totals, best, axis=1)[:, 0]
        better = highest > empty
        chosen = np.take_along_axis(states, best, axis=1)[:, 0]
        return WordScores(empty, np.where(better, highest, empty), np.where(better, chosen, 0))

    def contexts(self, states: NDArray[np.int64]) -> list[tuple[str, ...]]:
        """The units that each state remembers.

        A state is first reached by the arc that spells its last unit from the state of the units
        before: states of shorter contexts have lower numbers.
        """
        lm = self._lm
        first_arc = np.zeros(lm.states, np.int64)
        first_arc[lm.arc_next[::-1]] = np.arange(lm.arcs)[::-1]  # the last one written stays
        return [self._context(int(state), first_arc) for state in states]

    def _context(self, state: int, first_arc: NDArray[np.int64]) -> tuple[str, ...]:
        units: list[str] = []
        while state:
            arc = int(first_arc[state])
            units.append(self._lm.vocabulary.units[int(self._lm.arc_word[arc])])
            state = int(self._sources[arc])
        return tuple(reversed(units))

    def _contexts(self, words: Sequence[Sequence[int]]) -> NDArray[np.int64]:
        """States to try for each word: int64 [W, 2 · CONTEXTS + 1]; 0 where there are fewer."""
        firsts = np.array([word[0] for word in words], np.int64)
        seconds = np.array([word[1] if len(word) > 1 else -1 for word in words], np.int64)
        states = np.zeros((len(words), 2 * CONTEXTS + 1), np.int64)
        states[:, -1] = self._lm.start_state
        for columns, found, wanted in (
            (slice(0, CONTEXTS), self._first_contexts(firsts), firsts),
            (slice(CONTEXTS, -1), self._pair_contexts(firsts, seconds),
             firsts * self._width + seconds),
        ):  # fmt: skip
            for row, key in zip(states[:, columns], wanted.tolist(), strict=True):
                places = found.get(key, ())
                row[: len(places)] = places
        return states

    def _first_contexts(self, firsts: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
        """For each unit the states in which it is likeliest, of those that have an arc for it."""
        lm = self._lm
        arcs = np.flatnonzero(self._marked(firsts)[lm.arc_word])
        return _likeliest(lm.arc_word[arcs].astype(np.int64), lm.arc_logp[arcs],
                          self._sources[arcs])  # fmt: skip

    def _pair_contexts(
        self, firsts: NDArray[np.int64], seconds: NDArray[np.int64]
    ) -> dict[int, NDArray[np.int64]]:
        """For each pair of units the states before it in which it is likeliest.

        The key is first · units + second. A state is entered by the likeliest of the arcs into it.
        """
        lm = self._lm
        into = np.flatnonzero(self._marked(firsts)[lm.arc_word])
        into = into[np.argsort(lm.arc_logp[into])]
        entry = np.full(lm.states, -1, np.int64)
        entry[lm.arc_next[into]] = into  # the last one written stays
        entry[0] = -1  # it remembers no first unit
        arcs = np.flatnonzero(self._marked(seconds[seconds >= 0])[lm.arc_word])
        arcs = arcs[entry[self._sources[arcs]] >= 0]
        before = entry[self._sources[arcs]]
        keys = lm.arc_word[before].astype(np.int64) * self._width + lm.arc_word[arcs]
        kept = np.isin(keys, firsts * self._width + seconds)
        logp = lm.arc_logp[before] + lm.arc_logp[arcs]
        return _likeliest(keys[kept], logp[kept], self._sources[before[kept]])

    def _marked(self, units: NDArray[np.int64]) -> NDArray[np.bool_]:
        marked = np.zeros(self._width, bool)
        marked[units] = True
        return marked

    def _walk(self, states: NDArray[np.int64], units: NDArray[np.int64]) -> NDArray[np.float64]:
        """Log probability of each row of units (int64 [N, L], -1 after its end) from its state."""
        total = np.zeros(len(units))
        states = states.copy()
        for column in units.T:
            alive = np.flatnonzero(column >= 0)
            states[alive], logp = self._step(states[alive], column[alive])
            total[alive] += logp
        return total

    def _step(
        self, states: NDArray[np.int64], units: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """`asr.lm.automaton.step` for many at once."""
        lm = self._lm
        states = states.copy()
        following = np.zeros(len(states), np.int64)
        total = np.zeros(len(states))
        waiting = np.arange(len(states))
        while len(waiting):
            wanted = states[waiting] * self._width + units[waiting]
            order = np.argsort(wanted)  # near places one after the other: far fewer cache misses
            waiting, wanted = waiting[order], wanted[order]
            at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
            found = self._keys[at] == wanted
            done = waiting[found]
            following[done] = lm.arc_next[at[found]]
            total[done] += lm.arc_logp[at[found]]
            waiting = waiting[~found]
            total[waiting] += lm.backoff_logp[states[waiting]]
            states[waiting] = lm.backoff_state[states[waiting]]
        return following, total


def _likeliest(
    keys: NDArray[np.int64], logp: NDArray[np.float32], states: NDArray[np.int64]
) -> dict[int, NDArray[np.int64]]:
    """The states of the CONTEXTS highest ``logp`` for each key."""
    order = np.lexsort((-logp, keys))
    different, begins, counts = np.unique(keys[order], return_index=True, return_counts=True)
    return {
        key: states[order[begin : begin + min(count, CONTEXTS)]]
        for key, begin, count in zip(different.tolist(), begins, counts, strict=True)
    }
