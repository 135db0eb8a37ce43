"""User words in the search: an automaton over syllables that adds to the scores of listed words.

Units are syllables, so every Hangul word is a path of the graph already; what a new word lacks is
probability. Its n-gram score is *lifted* to what a class of N words would give each of them:

    boost = lm_scale · max(0, target − score),    target = −(class_cost + per_word · ln N)

with the score of its units from an empty context (nats). So a word that the language model knows
gets nothing, an unseen one as much as it needs, and the longer the list, the less.

The automaton is Aho & Corasick's (CACM 18(6), 1975). Its states are beginnings of words; the search
carries one beside the graph's and the language model's, and asks :func:`bias_step` at every
syllable. Inside a word, part of its boost is advanced (the *potential*), to be taken back where the
match fails; when a word is complete, its boost is paid for good (the *bonus*). Over a whole text,
with :func:`bias_end` at the end, the advances cancel out and what was paid remains: a word alone
pays its boost, and words inside it nothing more; words that overlap otherwise each pay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import NDArray

from asr.errors import UsageError
from asr.graph.bias_trie import (
    FIRST_SYLLABLE,
    build_trie,
    compile_bias,
    sorted_order,
    symbols_of,
)
from asr.graph.bias_words import BiasWord
from asr.lm.automaton import LmAutomaton
from asr.lm.units import EOJEOL_MARK, UNK, Vocabulary

MOST_STATES = 1 << 20


@dataclass(frozen=True, slots=True)
class BiasConfig:
    """How much user words are boosted, and where they match.

    Chosen on the training and development splits of the corpora in :mod:`asr.data` (14 minutes,
    114 occurrences of 100 rare nouns, listed among 500 and 10,000 names): each nat less of the
    target found 0 to 4 in a hundred more, and put two to three times as many listed words where
    they were not said.

    Attributes:
        class_cost: nats that some word of the list costs, wherever one may stand.
        per_word: how far the cost of each word grows with the list: 1 is a list whose words are
            equally likely, 0 is a list whose length does not matter.
        most_lift: no word is lifted by more than this (nats of the search).
        lookahead: part (0 to 1) of the next syllable's cost that is lifted in advance. The search
            looks ahead in the language model within a syllable, and might prune an unlikely one
            before its lift comes; but a word that is lifted early drives others out of the beam.
        anywhere: words also match inside an eojeol, not only where one begins.
        joined: a word that is written with spaces is also matched without them.
    """

    class_cost: float = 4.0
    per_word: float = 1.0
    most_lift: float = 60.0
    lookahead: float = 0.0
    anywhere: bool = False
    joined: bool = True

    def __post_init__(self) -> None:
        for name in ("class_cost", "per_word", "most_lift"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} must be a number and not negative, not {value}")
        if not 0 <= self.lookahead <= 1:
            raise UsageError(f"lookahead must be a number from 0 to 1, not {self.lookahead}")


class BiasArrays(NamedTuple):
    """The automaton as the search walks it; B states, of which 0 is the root, and A arcs.

    A symbol is 2 · (code − 0xAC00) + (1 where the syllable opens an eojeol).

    arc_begin: int32 [B + 1], arcs of state b are ``arc_begin[b]:arc_begin[b + 1]``.
    arc_symbol: int32 [A], ascending within a state.
    arc_next: int32 [A].
    root_next: int32 [NUM_SYMBOLS], the state after each symbol from the root; 0 for none.
    fail: int32 [B], the longest proper suffix of a state that is the beginning of a word.
    potential: float32 [B], nats advanced so far.
    bonus: float32 [B], nats paid for good on entering the state.
    word: int32 [B], the longest word that ends in the state, or −1.
    """

    arc_begin: NDArray[np.int32]
    arc_symbol: NDArray[np.int32]
    arc_next: NDArray[np.int32]
    root_next: NDArray[np.int32]
    fail: NDArray[np.int32]
    potential: NDArray[np.float32]
    bonus: NDArray[np.float32]
    word: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class BiasAutomaton:
    """Listed words, compiled. Immutable; made by :func:`build_bias`.

    Attributes:
        arrays: what the search walks; ``arrays.word`` counts in ``words``.
        words: the list.
        boosts: float32 [W], the boost of each word (nats of the search; of its first reading).
    """

    arrays: BiasArrays
    words: tuple[BiasWord, ...]
    boosts: NDArray[np.float32]

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.arrays.fail)


@nb.njit(cache=True, nogil=True)
def bias_step(bias: Any, state: int, symbol: int) -> tuple[float, int]:
    """What a syllable after ``state`` adds to the score (nats), and the state that follows.

    Args:
        bias: :class:`BiasArrays`.
        symbol: see there.
    """
    before = bias.potential[state]
    while state != 0:
        low = bias.arc_begin[state]
        end = bias.arc_begin[state + 1]
        high = end
        while low < high:
            middle = (low + high) >> 1
            if bias.arc_symbol[middle] < symbol:
                low = middle + 1
            else:
                high = middle
        if low < end and bias.arc_symbol[low] == symbol:
            following = bias.arc_next[low]
            return bias.potential[following] - before + bias.bonus[following], following
        state = bias.fail[state]
    following = bias.root_next[symbol]
    return bias.potential[following] - before + bias.bonus[following], following


@nb.njit(cache=True, nogil=True)
def bias_end(bias: Any, state: int) -> float:
    """What the utterance's end after ``state`` adds: an unfinished word's advance goes back."""
    return -bias.potential[state]


def unit_symbols(units: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The symbols of each LM unit, for :func:`bias_step`.

    Returns:
        begin int32 [V + 1] and symbol int32 [N]: unit v is ``symbol[begin[v]:begin[v + 1]]``; what
        is no Hangul has none.
    """
    begin, symbols = [0], []
    for unit in units:
        text = unit.removeprefix(EOJEOL_MARK)
        if text and all("가" <= syllable <= "힣" for syllable in text):
            codes = [2 * (ord(syllable) - FIRST_SYLLABLE) for syllable in text]
            codes[0] += int(text != unit)
            symbols += codes
        begin.append(len(symbols))
    return np.array(begin, np.int32), np.array(symbols, np.int32)


def no_bias() -> BiasAutomaton:
    """The automaton of no words: it stays in its root and adds nothing."""
    return build_bias(())


def build_bias(
    words: Sequence[BiasWord],
    lm: LmAutomaton | None = None,
    config: BiasConfig | None = None,
    lm_scale: float = 1.0,
) -> BiasAutomaton:
    """Compile a list of words; ten thousand take about a tenth of a second.

    Args:
        words: in any order; of words said alike the first is taken, with the largest boost.
        lm: the language model of the search; without one, words get no more than their own boost.
        lm_scale: its weight in the search: boosts are nats of the search.

    Raises:
        UsageError: more than 2^20 states, about 200,000 names.
    """
    config = config or BiasConfig()
    readings = _readings(words, lm, config, lm_scale)
    of_word = np.zeros(len(words), np.float32)
    of_word[readings.word[::-1]] = readings.boosts[::-1]
    if config.anywhere:
        readings = _with_inner_forms(readings)
    symbols, begin = readings.symbols, readings.begin
    order = sorted_order(symbols, begin)
    arc_begin, arc_symbol, parent, node = build_trie(symbols, begin, order)
    if len(parent) > MOST_STATES:
        raise UsageError(
            f"the list of words makes {len(parent)} states, at most {MOST_STATES} fit; shorten it"
        )
    arrays = compile_bias(
        arc_begin, arc_symbol, parent, node, begin,
        readings.word, readings.boosts, readings.advances,
    )  # fmt: skip
    return BiasAutomaton(BiasArrays(*arrays), tuple(words), of_word)


class _Readings(NamedTuple):
    """R readings that are matched, of N syllables in all.

    symbols: int32 [N]; begin: int64 [R + 1]; word: int32 [R], the word's number;
    advances: float32 [N], what is advanced after each syllable; of the last, the whole boost.
    """

    symbols: NDArray[np.int32]
    begin: NDArray[np.int64]
    word: NDArray[np.int32]
    advances: NDArray[np.float32]

    @property
    def boosts(self) -> NDArray[np.float32]:
        """float32 [R]."""
        return self.advances[self.begin[1:] - 1]


def _readings(
    words: Sequence[BiasWord], lm: LmAutomaton | None, config: BiasConfig, lm_scale: float
) -> _Readings:
    forms = _forms(words, config)
    texts = [form.text for form in forms]
    symbols, begin = symbols_of(texts)
    word = np.array([form.word for form in forms], np.int32)
    own = np.array([word.boost or 0.0 for word in words], np.float32)[word]
    target = config.class_cost + config.per_word * math.log(max(1, len(words)))
    costs = np.ones(len(symbols), np.float32)
    if lm is None:
        target = math.inf
    else:
        costs = -score_syllables(texts, lm)
    return _Readings(
        symbols, begin, word, _advances(costs, begin, own, target, lm_scale, config)
    )  # fmt: skip


def _with_inner_forms(readings: _Readings) -> _Readings:
    """The readings, and once more as they are inside an eojeol."""
    symbols, begin, word, advances = readings
    inner = symbols.copy()
    inner[begin[:-1]] &= ~1
    return _Readings(
        np.concatenate([symbols, inner]),
        np.concatenate([begin, begin[1:] + begin[-1]]),
        np.concatenate([word, word]),
        np.concatenate([advances, advances]),
    )


class _Form(NamedTuple):
    """A reading that is matched, and the number of its word."""

    text: str
    word: int


def _forms(words: Sequence[BiasWord], config: BiasConfig) -> list[_Form]:
    forms = [_Form(reading, index) for index, word in enumerate(words) for reading in word.readings]
    if config.joined:
        forms += [form._replace(text=form.text.replace(" ", "")) for form in forms
                  if " " in form.text]  # fmt: skip
    return forms


def score_syllables(texts: Sequence[str], lm: LmAutomaton) -> NDArray[np.float32]:
    """Log-probability of each syllable of each text from an empty context: float32 [N] (nats).

    The score of a unit of several syllables is shared out evenly among them.
    """
    vocabulary = lm.vocabulary
    lengths = _unit_lengths(vocabulary)
    encoded = [vocabulary.encode(text) for text in texts]
    begin = np.cumsum([0, *map(len, encoded)])
    units = np.array([unit for ids in encoded for unit in ids], np.int32)
    scores = _score_units(
        units, begin, lm.arc_begin, lm.arc_word, lm.arc_next, lm.arc_logp,
        lm.backoff_state, lm.backoff_logp,
    )  # fmt: skip
    return np.repeat(scores / lengths[units], lengths[units]).astype(np.float32)


def _unit_lengths(vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Syllables of each unit; an unknown one stands for one syllable."""
    texts = (unit.removeprefix(EOJEOL_MARK) for unit in vocabulary.units)
    lengths = np.array([max(1, len(text)) for text in texts], np.int64)
    lengths[vocabulary.ids[UNK]] = 1
    return lengths


@nb.njit(cache=True)
def _score_units(
    units: Any, begin: Any, arc_begin: Any, arc_word: Any, arc_next: Any, arc_logp: Any,
    backoff_state: Any, backoff_logp: Any,
) -> Any:  # fmt: skip
    scores = np.empty(len(units), np.float64)
    for text in range(len(begin) - 1):
        state = 0
        for at in range(begin[text], begin[text + 1]):
            unit = units[at]
            score = 0.0
            place = arc_begin[0] + unit
            while state != 0:
                low, end = arc_begin[state], arc_begin[state + 1]
                place = low + np.searchsorted(arc_word[low:end], unit)
                if place < end and arc_word[place] == unit:
                    break
                score += backoff_logp[state]
                state = backoff_state[state]
                place = arc_begin[0] + unit
            scores[at] = score + arc_logp[place]
            state = arc_next[place]
    return scores


def _advances(
    costs: NDArray[np.float32],
    begin: NDArray[np.int64],
    own: NDArray[np.float32],
    target: float,
    lm_scale: float,
    config: BiasConfig,
) -> NDArray[np.float32]:
    """What of a word's boost is advanced after each of its syllables: float32 [N]; at last, all.

    Of the lift, what brings the syllables so far to the target: a word costs no more than that from
    its beginning on, and never less than its syllables would but for the list. A path that was
    lifted higher than it was ever going to fall would drive all others out of the beam.
    """
    lengths = np.diff(begin)
    done = np.concatenate([[0.0], np.cumsum(costs.astype(np.float64))])
    so_far = done[1:] - np.repeat(done[begin[:-1]], lengths)
    whole = np.repeat(done[begin[1:]] - done[begin[:-1]], lengths)
    coming = np.concatenate([costs[1:], [0.0]])
    coming[begin[1:] - 1] = 0.0
    lift = lm_scale * np.maximum(so_far + config.lookahead * coming - target, 0)
    share = so_far / np.maximum(whole, 1e-6)
    return (np.minimum(lift, config.most_lift) + np.repeat(own, lengths) * share).astype(np.float32)
