"""What the search needs of the language model and of the user's words, as bundles of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.graph.bias import BiasArrays, BiasAutomaton, no_bias, unit_symbols
from asr.graph.hcl import NUM_NODES
from asr.graph.lookahead import last_words, lookahead_table, unit_nodes
from asr.lm.automaton import LmAutomaton


class LmArrays(NamedTuple):
    """A language model for the search: an automaton, and look-ahead rows for its states.

    row: int32 [S], the row of ``lookahead`` (uint8 [R, NUM_NODES]) that holds for each LM state.
    The others are those of :class:`~asr.lm.automaton.LmAutomaton`.
    """

    arc_begin: NDArray[np.int32]
    arc_word: NDArray[np.uint16]
    arc_next: NDArray[np.int32]
    arc_logp: NDArray[np.float32]
    backoff_state: NDArray[np.int32]
    backoff_logp: NDArray[np.float32]
    row: NDArray[np.int32]
    lookahead: NDArray[np.uint8]
    root: NDArray[np.uint8]


class UserWords(NamedTuple):
    """The user's words for the search: how units are spelled, and the automaton over syllables."""

    unit_begin: NDArray[np.int32]
    unit_symbol: NDArray[np.int32]
    automaton: BiasArrays


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """A language model ready to search with."""

    arrays: LmArrays
    units: tuple[str, ...]
    start_state: int
    eos: int

    @classmethod
    def of(
        cls,
        lm: LmAutomaton,
        lookahead: NDArray[np.uint8] | None = None,
        row: NDArray[np.int32] | None = None,
    ) -> Language:
        """Put an automaton and its look-ahead together.

        Args:
            lookahead: uint8 [R, NUM_NODES] in steps of ``STEP``; None to compute it.
            row: int32 [LM states], each state's row; None where it is the last unit of its context
                (:func:`~asr.graph.lookahead.last_words`).

        Raises:
            ModelError: they do not fit together.
        """
        words = lm.vocabulary.units
        if lookahead is None:
            lookahead, row = lookahead_table(lm, unit_nodes(words)), None
        if row is None:
            row = last_words(lm)
        if (
            lookahead.ndim != 2
            or lookahead.dtype != np.uint8
            or lookahead.shape[1] != NUM_NODES
            or row.shape != (lm.states,)
            or int(row.min()) < 0
            or int(row.max()) >= len(lookahead)
        ):
            raise ModelError("the look-ahead table does not fit the language model; build it again")
        arrays = LmArrays(
            lm.arc_begin, lm.arc_word, lm.arc_next, lm.arc_logp,
            lm.backoff_state, lm.backoff_logp, row, lookahead,
            np.ascontiguousarray(lookahead[:, 0]),
        )  # fmt: skip
        return cls(arrays, words, int(lm.start_state), lm.eos)


@dataclass(frozen=True, slots=True, eq=False)
class UnitTable:
    """How units are spelled: unit u has the symbols ``symbol[begin[u]:begin[u + 1]]``.

    A symbol (int32) is 2 · (syllable − 가) + 1 where the syllable opens an eojeol, else + 0.
    """

    units: tuple[str, ...]
    begin: NDArray[np.int32]
    symbol: NDArray[np.int32]

    @classmethod
    def of(cls, units: Sequence[str]) -> UnitTable:
        """The table of a vocabulary; a unit that is not of Hangul syllables has no symbols."""
        return cls(tuple(units), *unit_symbols(units))

    def user_words(self, bias: BiasAutomaton | None) -> UserWords:
        """The user's words, or none, over these units."""
        return UserWords(self.begin, self.symbol, (bias or no_bias()).arrays)

