"""The search on a static graph that is composed as far as searches come: nothing is built before.

The states, arcs and costs are those of :func:`asr.graph.static_compile.compile_static`, so best
paths and lattices are those of :mod:`asr.decoder.static_search` on the finished graph. What one
utterance made the next ones find made; it counts in nothing but speed.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.decoder import graph_rows as rows
from asr.decoder import lazy_kernels as kernels
from asr.decoder import static_records as trails
from asr.decoder.config import DecoderConfig
from asr.decoder.growing import Growing, number_of, rehashed
from asr.decoder.language import UnitTable
from asr.decoder.lazy_compose import Cache, Lexicon, LmArcs
from asr.decoder.path import checked_scores
from asr.decoder.static_search import StaticSearch, _Graph, _Tokens
from asr.graph.hcl import ROOT_NODE, HclGraph
from asr.graph.lexicon import Kind
from asr.graph.static_ahead import unit_classes
from asr.graph.static_compile import LmWeights, backoff_depth, check_graph, lm_costs
from asr.graph.static_graph import Role
from asr.graph.static_kernels import LmLists, root_ahead
from asr.lm.automaton import LmAutomaton

FIRST_STATES, FIRST_ARCS, FIRST_TODO = 1 << 16, 1 << 17, 1 << 14
MOST_BYTES = 512 << 20
"""A cache that takes more is thrown away when its utterance ends."""


class LazyDecoder:
    """HCL and a language model, composed as they are searched. May serve many threads.

    Args:
        graph: compiled HCL.
        lm: the language model over the graph's units.
        weights: ``lm_scale``, ``unit_bonus`` and ``space_bonus`` go into the costs.
        most_bytes: what may be kept between utterances, for each of as many caches as searches
            run at a time.

    Raises:
        ModelError: the units are not the model's, or no lexicon makes such a graph.
    """

    def __init__(
        self, graph: HclGraph, lm: LmAutomaton, weights: LmWeights, most_bytes: int = MOST_BYTES
    ) -> None:
        check_graph(graph, lm)
        words = lm.vocabulary.units
        self.num_pdfs = 1 + int(max(graph.forward.max(), graph.loop.max()))
        self.unit_table = UnitTable.of(words)
        self.final = graph.final.astype(bool)
        self.most_arcs = 2 + int(np.diff(graph.arc_begin).max())
        self.lexicon, classes = _lexicon(graph, len(words))
        self.classes = classes
        spelled = np.unique(graph.arc_unit[graph.arc_unit >= 0])
        lists, self.end = lm_costs(lm, weights)
        depth = backoff_depth(lm)
        self.lm_rows, self.lm_arcs = _lm_rows(lists, depth, spelled, len(words))
        self.levels = 2 + int(depth.max())
        self._start = (int(graph.start[0]), lm.start_state)
        self._most_bytes = most_bytes
        # a search that goes out of reach gives its cache back amid whatever this thread does
        self._lock = threading.RLock()
        self._idle: list[Cache] = []

    def search(self, config: DecoderConfig | None = None) -> LazySearch:
        """A new search for one utterance; the language model's options are those given before."""
        return LazySearch(self, config or DecoderConfig())

    def take(self) -> Cache:
        """A cache that no other search has."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._empty()

    def give_back(self, cache: Cache) -> None:
        """Keep what an utterance made for the next."""
        if _nbytes(cache) <= self._most_bytes:
            with self._lock:
                self._idle.append(cache)

    @property
    def cached_states(self) -> int:
        """How many states the caches hold that no search has."""
        with self._lock:
            return sum(int(cache.filled[rows.STATES]) for cache in self._idle)

    @property
    def nbytes(self) -> int:
        """Memory of lexicon and language model, and of the caches that no search has."""
        with self._lock:
            kept = sum(map(_nbytes, self._idle))
        return _nbytes(self.lexicon) + _nbytes(self.lm_arcs) + self.lm_rows.nbytes + kept

    def _empty(self) -> Cache:
        states = np.zeros((FIRST_STATES, 8), np.int32)
        arcs = np.zeros((FIRST_ARCS, 4), np.int32)
        entries = np.zeros((max(1 << 16, 8 * self.classes), 2), np.int32)
        lm = self.lm_rows.copy()
        cache = Cache(
            states, states.view(np.float32), arcs, arcs.view(np.float32), lm, lm.view(np.float32),
            entries, entries.view(np.float32), np.full((4 * FIRST_STATES, 2), -1, np.int64),
            np.zeros(FIRST_TODO, np.int32), np.zeros(self.classes, np.float32),
            np.full(self.classes, -1, np.int32), np.zeros(self.most_arcs, np.int32),
            np.zeros(self.most_arcs, np.int32), np.zeros(self.most_arcs, np.float32),
            np.zeros(3, np.int64),
        )  # fmt: skip
        state, lm_state = self._start
        row = self.lexicon.states[state]
        states[0] = (-1, 0, row[rows.HCL_LOOP], row[rows.HCL_LOOP_COST], 0, 2 * state, lm_state, 0)
        number_of(cache.table, (lm_state * len(self.lexicon.states) + state) * 2, 0)
        cache.filled[rows.STATES] = 1
        return cache


class LazySearch(StaticSearch):
    """The state of one utterance's search: feed scores with :meth:`advance`, then read the path.

    Not to be shared between threads.
    """

    def __init__(self, decoder: LazyDecoder, config: DecoderConfig) -> None:
        self._lazy = decoder
        self._cache = decoder.take()
        self._set_graph()
        self._prepare(
            config, np.zeros(len(self._cache.states), np.int32), decoder.levels, decoder.unit_table
        )
        self._begin()

    def __del__(self) -> None:
        cache = self.__dict__.pop("_cache", None)
        if cache is not None:
            self._lazy.give_back(cache)

    def _begin(self) -> None:
        tokens, at, lazy = self._tokens, self._at, self._lazy
        tokens.state[0, 0] = 0
        tokens.record[0, 0] = tokens.unit[0, 0] = -1
        at[trails.EMITTING] = 1
        while full := kernels.close_on(
            self._graph, self._options, self._tokens, self._trail, at, 0, -self._options.beam, 0,
            lazy.lexicon, lazy.lm_arcs, self._cache, lazy.most_arcs,
        ):  # fmt: skip
            self._make_room(full)

    def advance(self, loglikes: NDArray[np.float32]) -> None:
        """Search on through ``loglikes``: float32 [T, pdfs], log-likelihoods or chain scores."""
        lazy, at = self._lazy, self._at
        scores = checked_scores(loglikes, lazy.num_pdfs)
        at[trails.ROW] = 0
        while at[trails.ROW] < len(scores):
            kernels.advance(
                self._graph, self._options, self._tokens, self._trail, scores, at,
                lazy.lexicon, lazy.lm_arcs, self._cache, lazy.most_arcs,
            )  # fmt: skip
            if at[trails.FULL]:
                self._make_room(int(at[trails.FULL]))
                at[trails.FULL] = 0

    def _make_room(self, full: int) -> None:
        if full != trails.GRAPH_FULL:
            super()._make_room(full)
            return
        self._cache = _grown(self._cache, self._lazy.most_arcs, self._lazy.classes)
        self._set_graph()
        place = np.zeros(len(self._cache.states), np.int32)
        place[: len(self._tokens.place)] = self._tokens.place
        self._tokens = _Tokens(*self._tokens[:-2], place, self._tokens.heads)

    def _set_graph(self) -> None:
        cache, lexicon = self._cache, self._lazy.lexicon
        growing = Growing(
            cache.table, cache.filled, lexicon.states, lexicon.state_floats, cache.lm,
            cache.lm_floats, cache.entries, cache.entry_floats,
        )  # fmt: skip
        self._graph = _Graph(
            cache.states, cache.state_floats, cache.arcs, cache.arc_floats, 0, rows.END, growing
        )

    def _final_cost(self, states: NDArray[np.int32]) -> NDArray[np.floating]:
        cache, lazy = self._cache, self._lazy
        hcl, lm = cache.states[states, rows.HCL], cache.states[states, rows.LM]
        may_end = lazy.final[hcl >> 1] & (hcl & 1 == 0)  # exits are between, but no place to end
        return np.where(may_end, lazy.end[lm] - cache.state_floats[states, rows.PAID], np.inf)


def _nbytes(arrays: tuple[NDArray[Any], ...]) -> int:
    """Memory of arrays, views of the same memory counted once."""
    return sum({array.ctypes.data: array.nbytes for array in arrays}.values())


def _lexicon(hcl: HclGraph, units: int) -> tuple[Lexicon, int]:
    """HCL as the kernels take it, and how many classes there are."""
    between = hcl.node == ROOT_NODE
    state_class, (class_begin, class_of) = unit_classes(hcl, between, units)
    size = len(between)
    source = np.repeat(np.arange(size), np.diff(hcl.arc_begin))
    labelled = hcl.arc_unit >= 0
    inside = ~labelled & ~between[hcl.arc_target]
    role = np.where(between, Role.BETWEEN, Role.SPELLING)
    role[hcl.kind == Kind.SILENCE] = Role.PAUSE
    key = np.where(labelled, hcl.arc_unit, np.where(inside, state_class[hcl.arc_target], -1))
    order = np.lexsort((key, labelled, ~inside, source))
    target = hcl.arc_target[order]
    silent = hcl.kind == Kind.PENDING
    forward = np.zeros(size, np.int64)
    forward[: len(hcl.forward)] = hcl.forward
    arcs = np.zeros((len(order), 4), np.int32)
    arcs[:, rows.KEY], arcs[:, rows.TO] = key[order], target
    arcs[:, rows.ENTERS] = forward[target] | (role[target] << rows.ROLE_SHIFT)
    arcs.view(np.float32)[:, rows.ARC_COST] = hcl.arc_cost[order]
    states = np.zeros((size, 8), np.int32)
    counts = [np.bincount(source[which], minlength=size) for which in (inside, labelled)]
    begin, end = hcl.arc_begin[:-1], hcl.arc_begin[1:]
    states[:, rows.ARC], states[:, rows.LAST] = begin, end
    states[:, rows.OUT], states[:, rows.LABEL] = begin + counts[0], end - counts[1]
    some = begin < end
    frames = np.zeros(size, np.bool_)
    frames[some] = ~silent[target[begin[some]]]
    states[:, rows.FLAGS] = role + rows.FRAMES * frames
    states[:, rows.FLAGS] += rows.BACKS_OFF * (between & (counts[0] > 0))
    states[:, rows.CLASS] = state_class
    states[: len(hcl.loop), rows.HCL_LOOP] = hcl.loop
    states.view(np.float32)[: len(hcl.loop), rows.HCL_LOOP_COST] = hcl.loop_cost
    lexicon = Lexicon(
        states, states.view(np.float32), arcs, arcs.view(np.float32),
        np.ascontiguousarray(arcs[:, rows.KEY]), class_begin, class_of,
    )  # fmt: skip
    return lexicon, 1 + int(class_of.max(initial=0))


def _lm_rows(
    lists: LmLists, depth: NDArray[np.int64], spelled: NDArray[np.int32], units: int
) -> tuple[NDArray[np.int32], LmArcs]:
    """The language model as the kernels take it."""
    states = np.zeros((len(depth), 8), np.int32)
    floats = states.view(np.float32)
    states[:, rows.BEGIN], states[:, rows.BEYOND] = lists.begin[:-1], lists.begin[1:]
    states[:, rows.AHEAD], states[:, rows.BACKOFF] = -1, lists.backoff_state
    states[:, rows.EXIT_LEVEL] = 1 + depth.max() - depth
    floats[:, rows.BACKOFF_COST] = lists.backoff_cost
    arcs = np.zeros((len(lists.word), 4), np.int32)
    costs = arcs.view(np.float32)
    arcs[:, rows.WORD], arcs[:, rows.NEXT] = lists.word, lists.following
    costs[:, rows.WORD_COST] = lists.cost
    usable = np.zeros(units, np.bool_)
    usable[spelled] = True
    floats[:, rows.ROOT] = root_ahead(lists, usable)
    costs[:, rows.NEXT_ROOT] = floats[lists.following, rows.ROOT]
    return states, LmArcs(arcs, costs)


def _grown(cache: Cache, most: int, classes: int) -> Cache:
    """A copy with twice the room of what is nearly full."""
    made, drawn, listed = cache.filled.tolist()
    fields = cache._asdict()
    if 2 * (made + most) > min(len(cache.states), len(cache.table) // 2):
        fields |= _wider("states", "state_floats", cache.states, made)
        fields["table"] = rehashed(cache.table)
    if 2 * (drawn + most) > len(cache.arcs):
        fields |= _wider("arcs", "arc_floats", cache.arcs, drawn)
    if 2 * (listed + 4 * classes) > len(cache.entries):
        fields |= _wider("entries", "entry_floats", cache.entries, listed)
    return Cache(**fields)


def _wider(name: str, floats: str, old: NDArray[np.int32], used: int) -> dict[str, NDArray[Any]]:
    """Rows with twice the room, and their view."""
    new = np.zeros((2 * len(old), old.shape[1]), np.int32)
    new[:used] = old[:used]
    return {name: new, floats: new.view(np.float32)}
