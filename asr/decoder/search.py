"""The search: acoustic scores in, the best path of LM units or a lattice out.

One :class:`Decoder` (immutable, shared between threads) makes cheap :class:`Search` objects, one
per utterance. HCL and the language model are composed on the fly with look-ahead; see
:mod:`asr.decoder.kernels` for the inner loop.
"""

from __future__ import annotations

import copy
import logging
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.decoder import kernels
from asr.decoder.arrays import (
    Found,
    GraphArrays,
    Memo,
    Options,
    Table,
    chosen_endings,
    flat_graph,
    most_records_of,
    new_found,
    new_scratch,
    new_tokens,
)
from asr.decoder.config import DecoderConfig
from asr.decoder.ends import endings
from asr.decoder.language import Language, UnitTable, UserWords
from asr.decoder.lattice import Endings, Lattice
from asr.decoder.path import BestPath, DecodedUnit, checked_scores, timed_units, traced
from asr.decoder.recombine import LM_BITS, STATE_BITS
from asr.decoder.records import (
    PREVIOUS,
    SAID,
    START,
    UNION,
    add_event,
    grown_trail,
    new_trail,
)
from asr.errors import ModelError
from asr.graph.bias import BiasAutomaton
from asr.graph.hcl import HclGraph
from asr.graph.lexicon import Kind
from asr.graph.lookahead import STEP, state_ahead
from asr.lm.automaton import LmAutomaton
from asr.lm.units import EOJEOL_MARK

__all__ = ["BestPath", "DecodedUnit", "Decoder", "Search", "Standing"]


MEMO_ROWS = 1 << 13
FIRST_RECORDS = 1 << 17
log = logging.getLogger(__name__)

#: Room for a frame's moves. The bound is tightened as they come; should they fill it all the same,
#: those that come last in the frame are lost.
MOVES_PER_ACTIVE = 6


class Decoder:
    """Graph, language model and look-ahead, ready to search. Immutable.

    Args:
        graph: compiled HCL.
        lm: the language model as an automaton over the same units as the graph's labels.
        lookahead: its look-ahead table, if at hand: uint8 [rows, NUM_NODES].
        row: int32 [LM states], the table's row of each; None where that is the last unit.
    """

    def __init__(
        self,
        graph: HclGraph,
        lm: LmAutomaton,
        lookahead: NDArray[np.uint8] | None = None,
        row: NDArray[np.int32] | None = None,
    ) -> None:
        self.language = Language.of(lm, lookahead, row)
        self.hcl = graph
        self.lm = lm
        words = self.language.units
        if graph.arc_unit.size and int(graph.arc_unit.max()) >= len(words):
            raise ModelError("the graph has units that the language model lacks; build it again")
        _check_size("graph", len(graph.kind), STATE_BITS)
        _check_size("language model", lm.states, LM_BITS)
        self.unit_table = UnitTable.of(words)
        self.initial = np.array([word.startswith(EOJEOL_MARK) for word in words])
        self.graph_start = int(graph.start[0])
        self.num_pdfs = 1 + int(max(graph.forward.max(), graph.loop.max()))
        self._graph = flat_graph(graph)
        self._ahead = state_ahead(graph, lm)
        labels = graph.arc_begin[1:] - self._graph.label_begin
        self.most_labels = int(labels[graph.kind == Kind.VOWEL].max(initial=1))
        self.most_records = most_records_of(graph)
        self.no_words = self.unit_table.user_words(None)

    @property
    def words(self) -> tuple[str, ...]:
        """The language model's units by id."""
        return self.language.units

    def with_language(
        self,
        lm: LmAutomaton,
        lookahead: NDArray[np.uint8] | None = None,
        row: NDArray[np.int32] | None = None,
    ) -> Decoder:
        """The same graph with another language model (or grammar) over the same units.

        Raises:
            ModelError: its units differ.
        """
        if lm.vocabulary.units != self.words:
            raise ModelError("the other language model has other units; build a graph for it")
        _check_size("other language model", lm.states, LM_BITS)
        other = copy.copy(self)
        other.lm, other.language = lm, Language.of(lm, lookahead, row)
        other._ahead = state_ahead(self.hcl, lm)
        return other

    def search(
        self, config: DecoderConfig | None = None, bias: BiasAutomaton | None = None
    ) -> Search:
        """A new search for one utterance.

        Args:
            bias: the user's words (:mod:`asr.graph.bias`).
        """
        words = self.no_words if bias is None else self.unit_table.user_words(bias)
        return Search(self, config or DecoderConfig(), words)

    def graph_arrays(self, lm_scale: float) -> GraphArrays:
        """The graph with what is known of a unit beyond its first syllable paid along its arcs.

        What is paid in advance is paid back where the unit ends, so scores stay exact.
        """
        if not self._ahead.any():
            return self._graph
        source = np.repeat(np.arange(len(self._ahead)), np.diff(self._graph.arc_begin))
        gained = self._ahead[self._graph.arc_target] - self._ahead[source]
        cost = (self._graph.arc_cost - lm_scale * gained).astype(np.float32)
        return self._graph._replace(arc_cost=cost)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a search stands.

    Attributes:
        silence: frames since the last unit's end; 0 in its midst.
        said: whether anything was said before.
        final_cost: nats by which the best path that may end here is worse than the best of all
            (Kaldi's FinalRelativeCost); inf where none may.
    """

    silence: int
    said: bool
    final_cost: float


class Search:
    """The state of one utterance's search: feed scores with :meth:`advance`, then read the path."""

    def __init__(self, decoder: Decoder, config: DecoderConfig, words: UserWords) -> None:
        self._decoder = decoder
        self._config = config
        self._words = words
        self._graph = decoder.graph_arrays(config.lm_scale)
        bonus = config.unit_bonus + config.space_bonus * decoder.initial
        self._options = Options(
            float(config.beam),
            config.max_active,
            float(config.lm_scale),
            bonus.astype(np.float32),
            STEP,
            float(config.lattice_beam) or -1.0,
            decoder.most_records,
            max(0.0, -float(self._graph.arc_cost.min(initial=0.0))),
        )
        capacity = MOVES_PER_ACTIVE * config.max_active + 4096 + decoder.most_records
        self._tokens = new_tokens(capacity)
        self._moves = new_tokens(capacity)
        slots = 1 << (2 * capacity - 1).bit_length()
        table = np.zeros((slots, 2), np.int64)
        self._table = Table(table, table.view(np.int32))
        rows = (MEMO_ROWS, decoder.most_labels)
        keys = np.full((MEMO_ROWS, 2), -1, np.int64)
        self._memo = Memo(
            keys,
            keys.view(np.float32),
            np.empty(rows, np.float32),
            np.empty(rows, np.int32),
            np.empty(rows, np.int32),
            np.empty(rows, np.float32),
        )
        self._scratch = new_scratch(self._graph)
        self._trail = new_trail(FIRST_RECORDS)
        self._at = np.zeros(6, np.int64)  # see kernels.ROW and what follows it
        self._begin(config.lm_scale)

    def _begin(self, lm_scale: float) -> None:
        language = self._decoder.language
        lm = language.arrays
        self._tokens.state[0] = self._decoder.graph_start
        self._tokens.lm_state[0] = language.start_state
        self._tokens.score[0] = (
            -lm_scale * STEP * float(lm.lookahead[lm.row[language.start_state], 0])
        )
        self._tokens.record[0] = -1
        self._at[kernels.COUNT] = 1

    @property
    def frames(self) -> int:
        """Frames searched so far."""
        return int(self._at[kernels.FRAME])

    @property
    def active(self) -> int:
        """Tokens alive after the last frame."""
        return int(self._at[kernels.COUNT])

    def advance(self, loglikes: NDArray[np.float32]) -> None:
        """Search on through ``loglikes``: float32 [T, pdfs], log-likelihoods or chain scores."""
        scores = checked_scores(loglikes, self._decoder.num_pdfs)
        self._at[kernels.ROW] = 0
        while self._at[kernels.ROW] < len(scores):
            if self._at[kernels.FULL]:
                needed = len(self._trail.links) + self._decoder.most_records
                self._trail = grown_trail(self._trail, 2 * needed)
                self._at[kernels.FULL] = 0
            kernels.advance(
                self._graph,
                self._decoder.language.arrays,
                self._words,
                self._options,
                self._memo,
                self._table,
                self._tokens,
                self._moves,
                self._trail,
                self._scratch,
                scores,
                self._at,
            )

    def standing(self) -> Standing:
        """What the best path so far says of whether the speaker has finished."""
        if self.active == 0:
            return Standing(0, False, math.inf)
        score, links = self._tokens.score[: self.active], self._trail.links
        best = int(np.argmax(score))
        record = int(self._tokens.record[best])
        while record >= 0 and links[record, SAID] == UNION:
            record = int(links[record, PREVIOUS])
        silence = 0
        if self._decoder.hcl.kind[self._tokens.state[best]] == Kind.SILENCE:
            silence = self.frames - (int(links[record, START]) if record >= 0 else 0)
        ends = self._endings().score
        cost = float(score[best] - ends.max()) if len(ends) else math.inf
        return Standing(silence, record >= 0, max(0.0, cost))

    def best_path(self) -> BestPath:
        """The best path so far, as if the utterance ended here."""
        found = self._endings()
        if len(found.score):
            best = int(np.argmax(found.score))
            token, unit = int(found.token[best]), int(found.unit[best])
            score, complete = float(found.score[best]), True
        else:
            if self.active == 0:
                log.warning("the search lost every path; use a wider beam")
                return BestPath((), -math.inf, False)
            token = int(np.argmax(self._tokens.score[: self.active]))
            score, unit, complete = float(self._tokens.score[token]), -1, False
        steps = traced(self._trail.links, int(self._tokens.record[token]))
        if unit >= 0:
            steps.append((unit, int(self._tokens.start[token])))
        units = timed_units(steps, self.frames, self._decoder.words)
        return BestPath(units, score, complete)

    def lattice(self, *, ended: bool = True) -> Lattice | None:
        """All paths so far within the lattice beam; None where the search lost every path.

        Args:
            ended: as if the utterance ended here, where it may; else it goes on, and the unit in
                progress is not part of the paths.
        """
        found = self._endings() if ended else new_found(0)
        complete = len(found.score) > 0
        if not complete:
            if self.active == 0:
                return None
            found = self._unfinished()
        keep = found.score >= found.score.max() - self._config.lattice_beam
        found = chosen_endings(found, keep)
        made = int(self._at[kernels.MADE])
        trail = self._trail
        if made + len(found.unit) > len(trail.links):
            trail = grown_trail(trail, 2 * (made + len(found.unit)))
        last = self._tokens.record[found.token]
        for i in np.flatnonzero(found.unit >= 0).tolist():
            start = int(self._tokens.start[found.token[i]])
            event = (int(last[i]), int(found.unit[i]), start, found.lm[i], found.bonus[i])
            last[i], made = made, add_event(*trail, made, *event)
        return Lattice(
            trail.records(made),
            made,
            Endings(last, found.score, found.end),
            self.frames,
            self._decoder.unit_table,
            self._config.lm_scale,
            self._config.lattice_beam,
            complete,
        )

    def _endings(self) -> Found:
        room = self._decoder.most_labels * max(1, self.active)
        found = new_found(room)
        count = endings(
            self._graph,
            self._decoder.language.arrays,
            self._words,
            self._options,
            self._tokens,
            self.active,
            self._decoder.language.eos,
            found,
        )
        return chosen_endings(found, slice(count))

    def _unfinished(self) -> Found:
        """Every token as an ending, for want of proper ones."""
        found = new_found(self.active)
        found.token[:] = np.arange(self.active)
        found.unit[:] = -1
        found.score[:] = self._tokens.score[: self.active]
        return found


def _check_size(what: str, states: int, bits: int) -> None:
    if states > 1 << bits:
        raise ModelError(f"the {what} has {states} states; the search takes {1 << bits}")
