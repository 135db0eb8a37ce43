"""The decoder's view of a back-off model: a deterministic automaton in flat arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr.errors import ModelError
from asr.lm.ngram import NgramModel
from asr.lm.units import Vocabulary

_ARRAYS = {
    "arc_begin": np.int32,
    "arc_word": np.uint16,
    "arc_next": np.int32,
    "arc_logp": np.float32,
    "backoff_state": np.int32,
    "backoff_logp": np.float32,
}


@dataclass(frozen=True)
class LmAutomaton:
    """States are contexts, arcs are n-grams; logs are natural. All arrays are C-contiguous.

    State 0 is the empty context and has one arc for every unit, so that arc `word` of state 0 is
    found by direct index; other states' arcs are sorted by word. A word without an arc is scored
    by adding `backoff_logp[s]` and asking again in `backoff_state[s]`. `</s>` is an ordinary word
    (`eos`); so is `<unk>`; `<s>` has no probability to speak of (-99 in base 10).

    arc_begin: int32 [S + 1]; the arcs of state s are arc_begin[s] to arc_begin[s + 1].
    arc_word: uint16 [A].
    arc_next: int32 [A], the state after the word: the longest suffix that is a context.
    arc_logp: float32 [A].
    backoff_state: int32 [S]; 0 for state 0, which never backs off.
    backoff_logp: float32 [S].
    start_state: the state after <s>.
    licence, attribution: on what terms and with whose name the model may be passed on.
    """

    vocabulary: Vocabulary
    arc_begin: np.ndarray
    arc_word: np.ndarray
    arc_next: np.ndarray
    arc_logp: np.ndarray
    backoff_state: np.ndarray
    backoff_logp: np.ndarray
    start_state: int
    order: int
    licence: str = ""
    attribution: str = ""

    @property
    def eos(self) -> int:
        return self.vocabulary.eos

    @property
    def states(self) -> int:
        return len(self.backoff_state)

    @property
    def arcs(self) -> int:
        return len(self.arc_word)

    def to_tensors(self) -> dict[str, np.ndarray]:
        """Return the arrays by name, for a bundle."""
        return {name: getattr(self, name) for name in _ARRAYS}

    def metadata(self) -> dict[str, Any]:
        """Return the rest as a JSON object."""
        return {
            "units": list(self.vocabulary.units),
            "costs": list(self.vocabulary.costs),
            "order": self.order,
            "start_state": self.start_state,
            "licence": self.licence,
            "attribution": self.attribution,
        }

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]
    ) -> LmAutomaton:
        """Put together what `to_tensors` and `metadata` gave.

        Raises:
            ModelError: something is missing or does not fit.
        """
        try:
            arrays = {name: tensors[name] for name in _ARRAYS}
            automaton = cls(
                vocabulary=Vocabulary(tuple(metadata["units"]), tuple(metadata.get("costs", ()))),
                start_state=int(metadata["start_state"]),
                order=int(metadata["order"]),
                licence=str(metadata["licence"]),
                attribution=str(metadata["attribution"]),
                **arrays,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the language model lacks {error}; import it again") from error
        automaton._check()
        return automaton

    def _check(self) -> None:
        """Refuse arrays that a search would run out of; costs a few milliseconds."""
        arcs, states, width = self.arcs, self.states, len(self.vocabulary)
        good = (
            all(getattr(self, name).dtype == dtype for name, dtype in _ARRAYS.items())
            and self.arc_word.shape == self.arc_next.shape == self.arc_logp.shape == (arcs,)
            and self.backoff_state.shape == self.backoff_logp.shape == (states,)
            and self.arc_begin.shape == (states + 1,)
            and states > 0
            and 0 <= self.start_state < states
            and self.arc_begin[0] == 0
            and self.arc_begin[-1] == arcs
            and bool((self.arc_begin[1:] >= self.arc_begin[:-1]).all())
            and np.array_equal(self.arc_word[: self.arc_begin[1]], np.arange(width))
            and 0 <= int(self.arc_next.min()) <= int(self.arc_next.max()) < states
            and int(self.arc_word.max()) < width
            and bool(np.isfinite(self.arc_logp).all() and np.isfinite(self.backoff_logp).all())
            and self.backoff_state[0] == 0
            and int(self.backoff_state.min()) >= 0
            and bool((self.backoff_state[1:] < np.arange(1, states)).all())
        )
        if not good:
            raise ModelError("the language model's arrays do not fit together; import it again")


def build_automaton(model: NgramModel) -> LmAutomaton:
    """Turn a model into its automaton.

    Every n-gram that another continues, or that has a back-off weight, is a state. An n-gram's
    suffixes may be missing from the model (entropy pruning drops some); the longest one that is a
    context is found by following the back-off states (as in Aho & Corasick, CACM 18(6), 1975).

    Raises:
        ModelError: the model does not list every unit of the vocabulary as a unigram.
    """
    width = len(model.vocabulary)
    unigrams = model.orders[0].word
    if len(unigrams) != width or not np.array_equal(unigrams, np.arange(width)):
        raise ModelError("the language model's unigrams are not its vocabulary; train it again")
    state_of = _number_states(model)
    begins = np.cumsum([0, *(len(table) for table in model.orders)])
    states = 1 + sum(int(np.count_nonzero(s)) for s in state_of)
    degree = np.zeros(states, np.int64)
    source = [np.zeros(width, np.int64)]
    for n in range(2, model.order + 1):
        source.append(state_of[n - 2][model.orders[n - 1].context])
    for s in source:
        degree += np.bincount(s, minlength=states)
    arc_begin = np.concatenate([[0], np.cumsum(degree)])
    arc_next = np.zeros(begins[-1], np.int64)
    backoff_state = np.zeros(states, np.int64)
    backoff_logp = np.zeros(states, np.float32)
    keys = np.empty(0, np.int64)
    for n, table in enumerate(model.orders, 1):
        here = slice(begins[n - 1], begins[n])
        fail = np.zeros(len(table), np.int64)
        if n > 1:
            fail = _follow(keys, arc_next, backoff_state, backoff_state[source[n - 1]],
                           table.word.astype(np.int64), width)  # fmt: skip
        own = state_of[n - 1]
        arc_next[here] = np.where(own > 0, own, fail)
        backoff_state[own[own > 0]] = fail[own > 0]
        backoff_logp[own[own > 0]] = table.backoff[own > 0]
        keys = np.concatenate([keys, source[n - 1] * width + table.word])
    return LmAutomaton(
        vocabulary=model.vocabulary,
        arc_begin=arc_begin.astype(np.int32),
        arc_word=np.concatenate([table.word for table in model.orders]),
        arc_next=arc_next.astype(np.int32),
        arc_logp=np.concatenate([table.logp for table in model.orders]),
        backoff_state=backoff_state.astype(np.int32),
        backoff_logp=backoff_logp,
        start_state=int(arc_next[model.vocabulary.bos]),
        order=model.order,
        licence=model.licence,
        attribution=model.attribution,
    )


def _number_states(model: NgramModel) -> list[np.ndarray]:
    """Return for each order the int64 state of each n-gram, 0 where it is no context."""
    result = []
    total = 1
    for n, table in enumerate(model.orders, 1):
        is_context = np.zeros(len(table), bool)
        if n < model.order:
            is_context[model.orders[n].context] = True
            is_context |= table.backoff != 0.0
        numbers = np.where(is_context, total - 1 + np.cumsum(is_context), 0)
        total += int(is_context.sum())
        result.append(numbers)
    return result


def _follow(
    keys: np.ndarray,
    arc_next: np.ndarray,
    backoff_state: np.ndarray,
    state: np.ndarray,
    word: np.ndarray,
    width: int,
) -> np.ndarray:
    """Return the state after each word from each state, backing off as far as needed."""
    state = state.copy()
    result = np.full(len(state), -1, np.int64)
    open_ = np.arange(len(state))
    while len(open_):
        wanted = state[open_] * width + word[open_]
        at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = keys[at] == wanted
        result[open_[found]] = arc_next[at[found]]
        open_ = open_[~found]
        state[open_] = backoff_state[state[open_]]
    return result


def step(automaton: LmAutomaton, state: int, word: int) -> tuple[int, float]:
    """Return the state after a word and the natural log probability of the word."""
    total = 0.0
    while True:
        if state == 0:
            return int(automaton.arc_next[word]), total + float(automaton.arc_logp[word])
        begin, end = int(automaton.arc_begin[state]), int(automaton.arc_begin[state + 1])
        at = begin + int(np.searchsorted(automaton.arc_word[begin:end], word))
        if at < end and automaton.arc_word[at] == word:
            return int(automaton.arc_next[at]), total + float(automaton.arc_logp[at])
        total += float(automaton.backoff_logp[state])
        state = int(automaton.backoff_state[state])


def score_sentence(automaton: LmAutomaton, unit_ids: Sequence[int], eos: bool = True) -> float:
    """Return the natural log probability of a sentence from <s>, with </s> unless `eos` is false.

    The plain reference of what a decoder computes; equal to `NgramModel.score`.
    """
    state, total = automaton.start_state, 0.0
    for word in [*unit_ids, *([automaton.eos] if eos else [])]:
        state, logp = step(automaton, state, word)
        total += logp
    return total
