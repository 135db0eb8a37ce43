"""The search: acoustic scores in, best path of LM units with times out.

One :class:`Decoder` (immutable, shared between threads) makes cheap :class:`Search` objects, one
per utterance. HCL and the language model are composed on the fly with look-ahead; see
:mod:`asr.decoder.kernels` for the inner loop.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.decoder import kernels
from asr.decoder.config import DecoderConfig
from asr.errors import ModelError
from asr.graph.hcl import NUM_NODES, HclGraph
from asr.graph.lexicon import Kind
from asr.graph.lookahead import STEP, last_words, lookahead_table, unit_nodes
from asr.lm.automaton import LmAutomaton
from asr.lm.units import EOJEOL_MARK


@dataclass(frozen=True, slots=True)
class DecodedUnit:
    """One LM unit of the best path; ``start`` and ``end`` are frames, end exclusive."""

    unit: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class BestPath:
    """The best path: its units and its total score (nats; acoustic plus scaled LM and bonuses).

    ``complete`` is false where no path could end the utterance properly and the best unfinished
    one was taken; its score still holds look-ahead for what did not come.
    """

    units: tuple[DecodedUnit, ...]
    score: float
    complete: bool


MEMO_ROWS = 1 << 14
log = logging.getLogger(__name__)

#: Room for new tokens. The bound is tightened as they come; should they fill it all the same, those
#: that come last in the frame are lost.
TOKENS_PER_ACTIVE = 6


class _Graph(NamedTuple):
    kind: NDArray[np.int8]
    node: NDArray[np.int32]
    forward: NDArray[np.int32]
    loop: NDArray[np.int32]
    arc_begin: NDArray[np.int64]
    arc_target: NDArray[np.int32]
    arc_cost: NDArray[np.float32]
    arc_unit: NDArray[np.int32]
    final: NDArray[np.uint8]
    arc_forward: NDArray[np.int32]
    arc_node: NDArray[np.int32]
    labels: NDArray[np.int32]  # states with the same list of labels have the same number


class _Lm(NamedTuple):
    arc_begin: NDArray[np.int32]
    arc_word: NDArray[np.uint16]
    arc_next: NDArray[np.int32]
    arc_logp: NDArray[np.float32]
    backoff_state: NDArray[np.int32]
    backoff_logp: NDArray[np.float32]
    last_word: NDArray[np.int32]
    lookahead: NDArray[np.uint8]


class _Options(NamedTuple):
    beam: float
    max_active: int
    lm_scale: float
    bonus: NDArray[np.float32]
    lookahead_step: float


class _Memo(NamedTuple):
    """LM scores of a vowel state's labels after an LM state, as computed lately.

    key: int64 [N]; logp: float32 [N, labels]; following: int32 [N, labels], the next LM states.
    """

    key: NDArray[np.int64]
    logp: NDArray[np.float32]
    following: NDArray[np.int32]


class _Table(NamedTuple):
    """Hash table of the frame's new tokens: two views of 16-byte slots, read in one go.

    key: [:, 0] of int64 [N, 2]; whose: [:, 2] (the frame's stamp) and [:, 3] (the token) of
    int32 [N, 4].
    """

    key: NDArray[np.int64]
    whose: NDArray[np.int32]


class _Tokens(NamedTuple):
    state: NDArray[np.int32]
    lm_state: NDArray[np.int32]
    score: NDArray[np.float64]
    record: NDArray[np.int32]
    start: NDArray[np.int32]


class _Records(NamedTuple):
    previous: NDArray[np.int32]
    unit: NDArray[np.int32]
    start: NDArray[np.int32]


class Decoder:
    """Graph, language model and look-ahead, ready to search. Immutable.

    Args:
        graph: compiled HCL.
        lm: the language model as an automaton over the same units as the graph's labels.
        lookahead: the table of :func:`~asr.graph.lookahead.lookahead_table`, if at hand.
    """

    def __init__(
        self, graph: HclGraph, lm: LmAutomaton, lookahead: NDArray[np.uint8] | None = None
    ) -> None:
        words = lm.vocabulary.units
        if lookahead is not None and lookahead.shape != (len(words) + 1, NUM_NODES):
            raise ModelError("the look-ahead table does not fit the language model; build it again")
        if graph.arc_unit.size and int(graph.arc_unit.max()) >= len(words):
            raise ModelError("the graph has units that the language model lacks; build it again")
        self.words = words
        self.eos = lm.eos
        self.initial = np.array([word.startswith(EOJEOL_MARK) for word in words])
        self.start_state = int(lm.start_state)
        self.graph_start = int(graph.start[0])
        self.num_pdfs = 1 + int(max(graph.forward.max(), graph.loop.max()))
        self._graph = _flat(graph)
        vowels = np.flatnonzero(graph.kind == Kind.VOWEL)
        labels = graph.arc_begin[vowels + 1] - graph.arc_begin[vowels]
        self.most_labels = int(labels.max(initial=1))
        if lookahead is None:
            lookahead = lookahead_table(lm, unit_nodes(words))
        self._lm = _Lm(
            lm.arc_begin,
            lm.arc_word,
            lm.arc_next,
            lm.arc_logp,
            lm.backoff_state,
            lm.backoff_logp,
            last_words(lm),
            lookahead,
        )

    def search(self, config: DecoderConfig | None = None) -> Search:
        """A new search for one utterance."""
        return Search(self, config or DecoderConfig())

    def check_scores(self, loglikes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Acoustic scores, float32 [T, pdfs] and C-contiguous.

        Raises:
            ModelError: fewer pdfs than the graph has, or values that are not finite.
        """
        if loglikes.ndim != 2 or loglikes.shape[1] < self.num_pdfs:
            raise ModelError(
                f"the acoustic model gave scores of shape {loglikes.shape}, "
                f"the graph needs (frames, at least {self.num_pdfs})"
            )
        if not np.isfinite(loglikes).all():
            raise ModelError("the acoustic model gave scores that are not finite numbers")
        return np.ascontiguousarray(loglikes, np.float32)


class Search:
    """The state of one utterance's search: feed scores with :meth:`advance`, then read the path."""

    def __init__(self, decoder: Decoder, config: DecoderConfig) -> None:
        self._decoder = decoder
        bonus = config.unit_bonus + config.space_bonus * decoder.initial
        self._options = _Options(
            float(config.beam),
            config.max_active,
            float(config.lm_scale),
            bonus.astype(np.float32),
            STEP,
        )
        capacity = TOKENS_PER_ACTIVE * config.max_active + 4096
        self._tokens = _new_tokens(capacity)
        self._spare = _new_tokens(capacity)
        slots = 1 << (2 * capacity - 1).bit_length()
        table = np.zeros((slots, 2), np.int64)
        self._table = _Table(table, table.view(np.int32))
        rows = (MEMO_ROWS, decoder.most_labels)
        self._memo = _Memo(
            np.full(MEMO_ROWS, -1, np.int64), np.empty(rows, np.float32), np.empty(rows, np.int32)
        )
        self._records = _new_records(1 << 16)
        self._at = np.zeros(5, np.int64)  # see kernels.ROW and what follows it
        self._begin(config.lm_scale)

    def _begin(self, lm_scale: float) -> None:
        decoder, lm = self._decoder, self._decoder._lm
        self._tokens.state[0] = decoder.graph_start
        self._tokens.lm_state[0] = decoder.start_state
        self._tokens.score[0] = (
            -lm_scale * STEP * float(lm.lookahead[lm.last_word[decoder.start_state], 0])
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
        scores = self._decoder.check_scores(loglikes)
        self._at[kernels.ROW] = 0
        while self._at[kernels.ROW] < len(scores):
            needed = self._at[kernels.MADE] + kernels.RECORDS_PER_TOKEN * self.active + 1
            if needed > len(self._records.unit):
                self._records = _grown(self._records, int(2 * needed))
            kernels.advance(
                self._decoder._graph,
                self._decoder._lm,
                self._options,
                self._memo,
                self._table,
                self._tokens,
                self._spare,
                self._records,
                scores,
                self._at,
            )

    def best_path(self) -> BestPath:
        """The best path so far, as if the utterance ended here."""
        score, token, unit = kernels.finish(
            self._decoder._graph,
            self._decoder._lm,
            self._options,
            self._tokens,
            self.active,
            self._decoder.eos,
        )
        complete = token >= 0
        if not complete:
            if self.active == 0:
                log.warning("the search lost every path; use a wider beam")
                return BestPath((), -math.inf, False)
            token = int(np.argmax(self._tokens.score[: self.active]))
            score = float(self._tokens.score[token])
        steps = self._trace(int(self._tokens.record[token]))
        if unit >= 0:
            steps.append((unit, int(self._tokens.start[token])))
        return BestPath(self._units(steps), float(score), complete)

    def _trace(self, record: int) -> list[tuple[int, int]]:
        steps = []
        while record >= 0:
            steps.append((int(self._records.unit[record]), int(self._records.start[record])))
            record = int(self._records.previous[record])
        return steps[::-1]

    def _units(self, steps: list[tuple[int, int]]) -> tuple[DecodedUnit, ...]:
        ends = [*(start for _, start in steps[1:]), self.frames][: len(steps)]
        return tuple(
            DecodedUnit(self._decoder.words[unit], start, end)
            for (unit, start), end in zip(steps, ends, strict=True)
            if unit != kernels.PAUSE_UNIT
        )


def _flat(graph: HclGraph) -> _Graph:
    """The graph with what the inner loop needs of an arc's target laid beside the arc."""
    emitting = graph.arc_target < len(graph.forward)
    forward = np.zeros(len(graph.arc_target), np.int32)
    forward[emitting] = graph.forward[graph.arc_target[emitting]]
    lists: dict[bytes, int] = {}
    labels = np.zeros(len(graph.kind), np.int32)
    for state in np.flatnonzero(graph.kind == Kind.VOWEL).tolist():
        units = graph.arc_unit[graph.arc_begin[state] : graph.arc_begin[state + 1]]
        labels[state] = lists.setdefault(units.tobytes(), len(lists))
    return _Graph(
        kind=graph.kind,
        node=graph.node,
        forward=graph.forward,
        loop=graph.loop,
        arc_begin=graph.arc_begin,
        arc_target=graph.arc_target,
        arc_cost=graph.arc_cost,
        arc_unit=graph.arc_unit,
        final=graph.final,
        arc_forward=forward,
        arc_node=graph.node[graph.arc_target],
        labels=labels,
    )


def _new_tokens(capacity: int) -> _Tokens:
    return _Tokens(
        np.zeros(capacity, np.int32),
        np.zeros(capacity, np.int32),
        np.zeros(capacity, np.float64),
        np.zeros(capacity, np.int32),
        np.zeros(capacity, np.int32),
    )


def _new_records(capacity: int) -> _Records:
    return _Records(*(np.zeros(capacity, np.int32) for _ in _Records._fields))


def _grown(records: _Records, capacity: int) -> _Records:
    larger = _new_records(capacity)
    for old, new in zip(records, larger, strict=True):
        new[: len(old)] = old
    return larger
