"""The search on a static graph: acoustic scores in, the best path of units or a lattice out.

As :mod:`asr.decoder.search`, with the language model already in the graph: nothing is looked up,
and a state has one token, so no hash table is needed. See :mod:`asr.decoder.static_kernels`.
"""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.decoder import static_kernels as kernels
from asr.decoder import static_records as trails
from asr.decoder.config import DecoderConfig
from asr.decoder.growing import Growing, not_growing
from asr.decoder.language import UnitTable
from asr.decoder.lattice import Endings, Lattice
from asr.decoder.path import BestPath, checked_scores, timed_units, traced
from asr.decoder.records import UNION, Records
from asr.graph.static_graph import Role, StaticGraph

FIRST_RECORDS = 1 << 16
FIRST_TOKENS = 1 << 13
log = logging.getLogger(__name__)


class _Graph(NamedTuple):
    """states: int32 [S + 1, 4], arcs: int32 [A, 4], fields as numbered in the kernels; the same
    memory as float32 beside them. The arcs of state s end where field ``end_field`` of row
    s + ``end_row`` says.
    """

    states: NDArray[np.int32]
    state_floats: NDArray[np.float32]
    arcs: NDArray[np.int32]
    arc_floats: NDArray[np.float32]
    end_row: int = 1
    end_field: int = kernels.FIRST
    growing: Growing = not_growing()


class _Options(NamedTuple):
    beam: float
    max_active: int
    lattice_beam: float


class _Tokens(NamedTuple):
    """Two sides of tokens, those of the last frame and those in the making; all [2, N].

    source: the token whose record this one shares; unit: the unit whose record is yet to be written
    or −1; link: the next token of the same level. place: int32 [S], where the state's token may be
    (it is there if that token's state is this one). heads: int32 [L], first token of each level.
    """

    state: NDArray[np.int32]
    score: NDArray[np.float64]
    record: NDArray[np.int32]
    start: NDArray[np.int32]
    source: NDArray[np.int32]
    unit: NDArray[np.int32]
    link: NDArray[np.int32]
    place: NDArray[np.int32]
    heads: NDArray[np.int32]


class _Trail(NamedTuple):
    """What was said: rows of records, int32 [N, 4], fields as numbered in the kernels; and the loss
    of those that are unions, float32 [N].
    """

    records: NDArray[np.int32]
    losses: NDArray[np.float32]


class StaticDecoder:
    """A static graph, ready to search. Immutable: one may serve many threads.

    Args:
        graph: of :func:`~asr.graph.static_compile.compile_static` or alike.

    Raises:
        ModelError: the graph's arrays do not fit together.
    """

    def __init__(self, graph: StaticGraph) -> None:
        graph.validate()
        self.units = graph.units
        self.num_pdfs = graph.num_pdfs
        self.start = graph.start
        self.final_cost = graph.final_cost
        self.unit_table = UnitTable.of(graph.units)
        self._graph, self._levels = _packed(graph)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that the search reads."""
        return int(self._graph.states.nbytes + self._graph.arcs.nbytes + self.final_cost.nbytes)

    def search(self, config: DecoderConfig | None = None) -> StaticSearch:
        """A new search for one utterance; the language model's options are in the graph."""
        return StaticSearch(self, config or DecoderConfig())


class StaticSearch:
    """The state of one utterance's search: feed scores with :meth:`advance`, then read the path.

    Not to be shared between threads.
    """

    def __init__(self, decoder: StaticDecoder, config: DecoderConfig) -> None:
        self._decoder = decoder
        self._graph = decoder._graph
        place = np.zeros(len(decoder.final_cost), np.int32)
        self._prepare(config, place, decoder._levels, decoder.unit_table)
        self._begin()

    def _prepare(
        self, config: DecoderConfig, place: NDArray[np.int32], levels: int, table: UnitTable
    ) -> None:
        self._config = config
        self._unit_table = table
        lattice_beam = float(config.lattice_beam)
        self._options = _Options(float(config.beam), config.max_active, lattice_beam or -1.0)
        self._tokens = _new_tokens(FIRST_TOKENS, place, np.zeros(levels, np.int32))
        self._trail = _Trail(
            np.empty((FIRST_RECORDS, 4), np.int32), np.empty(FIRST_RECORDS, np.float32)
        )
        self._at = np.zeros(9, np.int64)
        self._collected = -1

    def _begin(self) -> None:
        tokens, at = self._tokens, self._at
        tokens.state[0, 0] = self._decoder.start
        tokens.record[0, 0] = tokens.unit[0, 0] = -1
        at[trails.EMITTING] = 1
        graph, options = self._graph, self._options
        while full := kernels.close(
            graph, options, self._tokens, self._trail, at, 0, -options.beam, 0
        ):
            self._make_room(full)

    @property
    def frames(self) -> int:
        """Frames searched so far."""
        return int(self._at[trails.FRAME])

    @property
    def active(self) -> int:
        """Tokens alive after the last frame, those in non-emitting states included."""
        return int(self._at[trails.COUNT])

    def advance(self, loglikes: NDArray[np.float32]) -> None:
        """Search on through ``loglikes``: float32 [T, pdfs], log-likelihoods or chain scores."""
        scores = checked_scores(loglikes, self._decoder.num_pdfs)
        at = self._at
        at[trails.ROW] = 0
        while at[trails.ROW] < len(scores):
            kernels.advance(self._graph, self._options, self._tokens, self._trail, scores, at)
            if at[trails.FULL]:
                self._make_room(int(at[trails.FULL]))
                at[trails.FULL] = 0

    def _make_room(self, full: int) -> None:
        if full == trails.TOKENS_FULL:
            self._tokens = _grown_tokens(self._tokens)
            return
        trails.collect(self._tokens, self._trail, self._at)
        stuck = self._collected == self.frames  # one frame may need more than was freed
        self._collected = self.frames
        if stuck or 2 * int(self._at[trails.MADE]) > len(self._trail.losses):
            self._trail = _grown_trail(self._trail)

    def best_path(self) -> BestPath:
        """The best path so far, as if the utterance ended here."""
        endings, complete = self._endings()
        if len(endings.score) == 0:
            log.warning("the search lost every path; use a wider beam")
            return BestPath((), -math.inf, False)
        best = int(np.argmax(endings.score))
        steps = traced(self._trail.records, int(endings.record[best]))
        units = timed_units(steps, self.frames, self._unit_table.units)
        return BestPath(units, float(endings.score[best]), complete)

    def lattice(self) -> Lattice | None:
        """All paths so far within the lattice beam, as if the utterance ended here.

        What the language model gave is not told apart from the rest of a score. None where the
        search lost every path.
        """
        endings, complete = self._endings()
        if len(endings.score) == 0:
            return None
        made = int(self._at[trails.MADE])
        return Lattice(
            _records(self._trail, made),
            made,
            endings,
            self.frames,
            self._unit_table,
            0.0,
            self._config.lattice_beam,
            complete,
        )

    def _endings(self) -> tuple[Endings, bool]:
        """Where the utterance may end; else every token, and false."""
        while full := trails.write_all(self._tokens, self._trail, self._at):
            self._make_room(full)
        side, count = int(self._at[trails.SIDE]), self.active
        score = self._tokens.score[side, :count].copy()
        record = self._tokens.record[side, :count].copy()
        cost = self._final_cost(self._tokens.state[side, :count])
        final = np.isfinite(cost)
        complete = bool(final.any())
        if complete:
            score, record = score[final] - cost[final], record[final]
        return Endings(record, score, np.zeros(len(score), np.float32)), complete

    def _final_cost(self, states: NDArray[np.int32]) -> NDArray[np.floating]:
        return self._decoder.final_cost[states]


def _packed(graph: StaticGraph) -> tuple[_Graph, int]:
    """The graph with what one step needs side by side, arcs sorted; and how many levels it has."""
    emitting, source = graph.emitting, _sources(graph)
    takes_frame = graph.arc_target < emitting
    order = np.lexsort((graph.arc_cost, ~takes_frame, source))
    target, takes_frame = graph.arc_target[order], takes_frame[order]
    level = _levels(graph, source)
    role = graph.role
    if role is None:
        role = np.full(graph.states, Role.SPELLING, np.uint8)
        role[emitting:] = Role.BETWEEN
    enters = role[target] != role[source]
    flags = np.where(enters & (role[target] == Role.PAUSE), kernels.PAUSES, 0)
    flags[enters & (role[target] == Role.SPELLING)] |= kernels.BEGINS
    arcs = np.zeros((graph.arcs, 4), np.int32)
    arcs[:, kernels.TARGET] = target
    arcs.view(np.float32)[:, kernels.COST] = graph.arc_cost[order]
    arcs[:, kernels.UNIT] = graph.arc_unit[order]
    arcs[takes_frame, kernels.PDF] = graph.forward[target[takes_frame]] | flags[takes_frame]
    arcs[~takes_frame, kernels.PDF] = level[target[~takes_frame] - emitting]
    states = np.zeros((graph.states + 1, 4), np.int32)
    states[:, kernels.FIRST] = graph.arc_begin
    framed = np.bincount(source[takes_frame], minlength=graph.states)
    states[:-1, kernels.SILENT] = graph.arc_begin[:-1] + framed
    states[:emitting, kernels.LOOP] = graph.loop
    states.view(np.float32)[:emitting, kernels.LOOP_COST] = graph.loop_cost
    packed = _Graph(states, states.view(np.float32), arcs, arcs.view(np.float32))
    return packed, 1 + int(level.max(initial=0))


def _sources(graph: StaticGraph) -> NDArray[np.int64]:
    return np.repeat(np.arange(graph.states), np.diff(graph.arc_begin))


def _levels(graph: StaticGraph, source: NDArray[np.int64]) -> NDArray[np.int32]:
    """The longest way to each non-emitting state along such states: int32 [S − E]."""
    emitting = graph.emitting
    inner = (source >= emitting) & (graph.arc_target >= emitting)
    source, target = source[inner] - emitting, graph.arc_target[inner] - emitting
    level = np.zeros(graph.states - emitting, np.int32)
    while True:  # as often as there are levels
        before = level.copy()
        np.maximum.at(level, target, level[source] + 1)
        if np.array_equal(level, before):
            return level


def _new_tokens(capacity: int, place: NDArray[np.int32], heads: NDArray[np.int32]) -> _Tokens:
    state, record, start, source, unit, link = np.zeros((6, 2, capacity), np.int32)
    score = np.zeros((2, capacity), np.float64)
    return _Tokens(state, score, record, start, source, unit, link, place, heads)


def _grown_tokens(tokens: _Tokens) -> _Tokens:
    capacity = tokens.state.shape[1]
    larger = _new_tokens(2 * capacity, tokens.place, tokens.heads)
    for name in _Tokens._fields[:-2]:
        getattr(larger, name)[:, :capacity] = getattr(tokens, name)
    return larger


def _grown_trail(trail: _Trail) -> _Trail:
    capacity = len(trail.losses)
    larger = _Trail(np.empty((2 * capacity, 4), np.int32), np.empty(2 * capacity, np.float32))
    for old, new in zip(trail, larger, strict=True):
        new[:capacity] = old
    return larger


def _records(trail: _Trail, made: int) -> Records:
    """The records as a lattice takes them; all scores are of the path as a whole."""
    rows = np.ascontiguousarray(trail.records[:made].T)
    nothing = np.zeros(made, np.float32)
    loss = np.where(rows[trails.SAID] == UNION, trail.losses[:made], np.float32(0.0))
    return Records(
        previous=rows[trails.PREVIOUS],
        other=rows[trails.OTHER],
        unit=rows[trails.SAID],
        start=rows[trails.START],
        lm=nothing,
        bonus=nothing,
        loss=loss,
    )
