"""The search on a static graph that is composed as far as searches come: nothing is built before.

The states, arcs and costs are those of :func:`asr.graph.static_compile.compile_static`, so best
paths and lattices are those of :mod:`asr.decoder.static_search` on the finished graph. What one
utterance made the next ones find made; it counts in nothing but speed.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from asr.decoder import lazy_kernels as kernels
from asr.decoder import static_records as trails
from asr.decoder.config import DecoderConfig
from asr.decoder.language import UnitTable
from asr.decoder.path import checked_scores
from asr.decoder.static_kernels import END, LOOP_COST, slot_of
from asr.decoder.static_search import Growing, StaticSearch, _Graph, _Tokens
from asr.errors import ModelError
from asr.graph.hcl import ROOT_NODE, HclGraph
from asr.graph.lexicon import Kind
from asr.graph.static_ahead import unit_classes
from asr.graph.static_compile import LmWeights
from asr.graph.static_graph import Role
from asr.lm.automaton import LmAutomaton
from asr.lm.units import EOJEOL_MARK

FIRST_STATES, FIRST_ARCS = 1 << 16, 1 << 17
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
        ModelError: the units are not the model's.
    """

    def __init__(
        self, graph: HclGraph, lm: LmAutomaton, weights: LmWeights, most_bytes: int = MOST_BYTES
    ) -> None:
        words = lm.vocabulary.units
        if graph.arc_unit.size and int(graph.arc_unit.max()) >= len(words):
            raise ModelError("the graph has units that the language model lacks; build it again")
        self.units = words
        self.eos = lm.eos
        self.num_pdfs = 1 + int(max(graph.forward.max(), graph.loop.max()))
        self.unit_table = UnitTable.of(words)
        self.final = graph.final
        self.most_arcs = 2 + int(np.diff(graph.arc_begin).max())
        self.lexicon, classes = _lexicon(graph, len(words))
        self.classes = classes
        spelled = np.unique(graph.arc_unit[graph.arc_unit >= 0])
        self.lm, self.levels = _lm_costs(lm, weights, spelled)
        self._start = (int(graph.start[0]), lm.start_state)
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._idle: list[kernels.Cache] = []

    def search(self, config: DecoderConfig | None = None) -> LazySearch:
        """A new search for one utterance; the language model's options are those given before."""
        return LazySearch(self, config or DecoderConfig())

    def take(self) -> kernels.Cache:
        """A cache that no other search has."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._empty()

    def give_back(self, cache: kernels.Cache) -> None:
        """Keep what an utterance made for the next."""
        if sum(array.nbytes for array in cache) <= self._most_bytes:
            with self._lock:
                self._idle.append(cache)

    @property
    def cached_states(self) -> int:
        """How many states the caches hold that no search has."""
        with self._lock:
            return sum(int(cache.filled[kernels.STATES]) for cache in self._idle)

    def _empty(self) -> kernels.Cache:
        states = np.zeros((FIRST_STATES, 8), np.int32)
        arcs = np.zeros((FIRST_ARCS, 4), np.int32)
        lm_states = len(self.lm.backoff_state)
        entries = max(1 << 16, 8 * self.classes)
        cache = kernels.Cache(
            states, states.view(np.float32), arcs, arcs.view(np.float32),
            np.zeros(FIRST_STATES), np.full(4 * FIRST_STATES, -1, np.int64),
            np.zeros(4 * FIRST_STATES, np.int32), np.full(lm_states, -1, np.int32),
            np.zeros(lm_states, np.int32), np.zeros(entries, np.int32),
            np.zeros(entries, np.float32), np.zeros(FIRST_STATES, np.int32),
            np.zeros(self.classes, np.float32), np.full(self.classes, -1, np.int32),
            np.zeros(self.most_arcs, np.int32), np.zeros(self.most_arcs, np.int32),
            np.zeros(self.most_arcs), np.zeros(4, np.int64),
        )  # fmt: skip
        state, lm_state = self._start
        key = (lm_state * len(self.lexicon.between) + state) * 2
        cache.states[0] = (-1, 0, self.lexicon.loop[state], 0, 0, state, lm_state, 0)
        cache.state_floats[0, LOOP_COST] = self.lexicon.loop_cost[state]
        slot = int(slot_of(key, np.uintp(len(cache.keys) - 1)))
        cache.keys[slot] = key
        cache.filled[kernels.STATES] = 1
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
            lazy.lexicon, lazy.lm, self._cache, lazy.most_arcs,
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
                lazy.lexicon, lazy.lm, self._cache, lazy.most_arcs,
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
            cache.keys, cache.numbers, cache.filled, cache.potential, lexicon.class_, lexicon.loop,
            lexicon.loop_cost, self._lazy.lm.root, cache.ahead_begin, cache.ahead_end, cache.which,
            cache.ahead,
        )  # fmt: skip
        self._graph = _Graph(
            cache.states, cache.state_floats, cache.arcs, cache.arc_floats, 0, END, growing
        )

    def _final_cost(self, states: NDArray[np.int32]) -> NDArray[np.floating]:
        lazy = self._lazy
        cost = np.empty(len(states))
        kernels.final_costs(lazy.final, lazy.lm, self._cache, lazy.eos, states, cost)
        return cost


def _lexicon(hcl: HclGraph, units: int) -> tuple[kernels.Lexicon, int]:
    """HCL as the kernels take it, and how many classes there are."""
    between = hcl.node == ROOT_NODE
    state_class, (class_begin, class_of) = unit_classes(hcl, between, units)
    source = np.repeat(np.arange(len(between)), np.diff(hcl.arc_begin))
    begins = (hcl.arc_unit < 0) & ~between[hcl.arc_target]
    role = np.where(between, Role.BETWEEN, Role.SPELLING)
    role[hcl.kind == Kind.SILENCE] = Role.PAUSE
    labelled, inside = hcl.arc_unit >= 0, (hcl.arc_unit < 0) & ~between[hcl.arc_target]
    arc_class = np.where(inside, state_class[hcl.arc_target], -1)
    order = np.lexsort((np.where(labelled, hcl.arc_unit, arc_class), labelled, ~inside, source))
    within, labels = (np.bincount(source[which], minlength=len(between)) for which in
                      (inside, labelled))  # fmt: skip
    lexicon = kernels.Lexicon(
        hcl.arc_begin, hcl.arc_target[order], hcl.arc_cost[order], hcl.arc_unit[order], between,
        state_class,
        np.bincount(source[begins], minlength=len(between)) > 0, hcl.kind == Kind.PENDING,
        role.astype(np.int8), hcl.forward, hcl.loop, hcl.loop_cost,
        arc_class[order].astype(np.int32), hcl.arc_begin[:-1] + within,
        hcl.arc_begin[1:] - labels, class_begin, class_of,
    )  # fmt: skip
    return lexicon, 1 + int(class_of.max(initial=0))


def _lm_costs(
    lm: LmAutomaton, weights: LmWeights, spelled: NDArray[np.int32]
) -> tuple[kernels.LmCosts, int]:
    """The language model as the kernels take it, and how many levels silent states have."""
    initial = np.array([unit.startswith(EOJEOL_MARK) for unit in lm.vocabulary.units])
    depth = np.zeros(lm.states, np.int32)
    at = np.arange(lm.states)
    while at.any():
        depth += at != 0
        at = lm.backoff_state[at]
    costs = kernels.LmCosts(
        lm.arc_begin, lm.arc_word, lm.arc_next, lm.arc_logp, lm.backoff_state, lm.backoff_logp,
        weights.unit_bonus + weights.space_bonus * initial, np.zeros(lm.states),
        1 + depth.max() - depth, float(weights.lm_scale),
    )  # fmt: skip
    usable = np.zeros(len(initial), np.bool_)
    usable[spelled] = True
    kernels.list_roots(costs, usable, costs.root)
    return costs, 2 + int(depth.max())


def _grown(cache: kernels.Cache, most: int, classes: int) -> kernels.Cache:
    """A copy with twice the room of what is nearly full."""
    made, drawn, listed, waiting = cache.filled.tolist()
    fields = cache._asdict()
    if 2 * (made + most) > len(cache.states) or 2 * made > len(cache.keys):
        states = np.zeros((2 * len(cache.states), 8), np.int32)
        states[:made] = cache.states[:made]
        potential = np.zeros(len(states))
        potential[:made] = cache.potential[:made]
        keys, numbers = kernels.rehashed(cache.keys, cache.numbers)
        fields |= {"states": states, "state_floats": states.view(np.float32),
                   "potential": potential, "keys": keys, "numbers": numbers}  # fmt: skip
    if 2 * (drawn + most) > len(cache.arcs):
        arcs = np.zeros((2 * len(cache.arcs), 4), np.int32)
        arcs[:drawn] = cache.arcs[:drawn]
        fields |= {"arcs": arcs, "arc_floats": arcs.view(np.float32)}
    if 2 * (listed + 4 * classes) > len(cache.which):
        for name in ("which", "ahead"):
            old = fields[name]
            fields[name] = np.concatenate([old, np.zeros_like(old)])
    if 2 * (waiting + most) > len(cache.todo):
        fields["todo"] = np.concatenate([cache.todo, np.zeros_like(cache.todo)])
    return kernels.Cache(**fields)
