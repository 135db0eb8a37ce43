"""Small static graphs for the tests, and plain searches over them."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from asr.graph.emissions import EmissionModel
from asr.graph.hcl import HclGraph, compile_hcl
from asr.graph.lexicon import SILENCE, Lexicon
from asr.graph.static_graph import StaticGraph
from asr.hangul.phones import PHONES
from asr.hmm.phones import Position
from asr.lm.automaton import LmAutomaton, build_automaton
from asr.lm.ngram import NgramModel, NgramOrder
from asr.lm.units import SPECIALS, Vocabulary

UNITS = ("▁나", "▁값", "▁옷", "▁안", "▁밥", "는", "이", "간", "다")
NAMES = (SILENCE, *PHONES)
NUM_PDFS = 4 * len(NAMES)

Texts = dict[tuple[int, ...], float]
"""The best score of each text (unit ids)."""


def random_scores(seed: int, frames: int, pdfs: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (frames, pdfs)).astype(np.float32)


def tiny_model(seed: int, backoff: float, order: int) -> NgramModel:
    """A random model over a dozen units (its probabilities do not sum to one)."""
    rng = np.random.default_rng(seed)
    vocabulary = Vocabulary((*SPECIALS, *UNITS))
    size = len(vocabulary)
    unigrams = NgramOrder(
        np.zeros(size, np.int32),
        np.arange(size, dtype=np.uint16),
        rng.uniform(-4, -1, size).astype(np.float32),
        rng.uniform(backoff - 0.5, backoff, size).astype(np.float32),
    )
    orders = [unigrams]
    for count in (40, 60)[: order - 1]:
        below = len(orders[-1].word)
        drawn = {(int(c), int(w)) for c, w in rng.integers(0, (below, size), (count, 2))}
        pairs = sorted(
            (c, w) for c, w in drawn if orders[-1].word[c] != vocabulary.eos and w != vocabulary.bos
        )
        logp = rng.uniform(-3, -0.2, len(pairs)).astype(np.float32)
        # composed graphs differ in whether a listed end may be backed off: let none gain by it
        logp[[word == vocabulary.eos for _, word in pairs]] = -0.1
        orders.append(
            NgramOrder(
                np.array([c for c, _ in pairs], np.int32),
                np.array([w for _, w in pairs], np.uint16),
                logp,
                rng.uniform(backoff - 0.5, backoff, len(pairs)).astype(np.float32)
                * (len(orders) + 1 < order),
            )
        )
    return NgramModel(vocabulary, tuple(orders))


def tiny_lm(seed: int, backoff: float = -0.5, order: int = 3) -> LmAutomaton:
    return build_automaton(tiny_model(seed, backoff, order))


def tiny_hcl(lm: LmAutomaton) -> HclGraph:
    """HCL over the units; vowels have other pdfs after silence."""

    def pdf(left: str, phone: str) -> int:
        return 2 * (NAMES.index(phone) + (len(NAMES) if left == SILENCE else 0))

    table = {
        ((left, Position.NONE), (phone, Position.NONE)): (pdf(left, phone), pdf(left, phone) + 1)
        for left in NAMES
        for phone in NAMES
    }
    emissions = EmissionModel(table, has_positions=False)
    return compile_hcl(Lexicon(lm.vocabulary.units), emissions, lm.vocabulary.ids)


def random_graph(seed: int, emitting: int = 9, silent: int = 7, pdfs: int = 12) -> StaticGraph:
    """Any graph that may be: chains of silent states, labels anywhere, several ends."""
    rng = np.random.default_rng(seed)
    arcs = []
    for source in range(emitting + silent):
        lowest = max(emitting, source + 1)
        reach = [*range(emitting), *range(lowest, emitting + silent)]
        for target in rng.choice(reach, min(len(reach), int(rng.integers(1, 6))), replace=False):
            arcs.append((source, int(target)))
    source, target = np.array(sorted(arcs)).T
    final = np.full(emitting + silent, np.inf, np.float32)
    ends = rng.choice(len(final), 4, replace=False)
    final[ends] = rng.normal(0, 1, 4)
    unit = np.where(rng.random(len(arcs)) < 0.4, rng.integers(0, len(UNITS), len(arcs)), -1)
    return StaticGraph(
        forward=rng.integers(0, pdfs, emitting).astype(np.int32),
        loop=rng.integers(0, pdfs, emitting).astype(np.int32),
        loop_cost=rng.normal(0, 1, emitting).astype(np.float32),
        arc_begin=np.searchsorted(source, np.arange(len(final) + 1)).astype(np.int64),
        arc_target=target.astype(np.int32),
        arc_cost=rng.normal(0.5, 1, len(arcs)).astype(np.float32),
        arc_unit=unit.astype(np.int32),
        final_cost=final,
        start=int(rng.integers(emitting)),
        units=UNITS,
    )


def all_texts(graph: StaticGraph, scores: np.ndarray) -> Texts:
    """Every text that the graph can say in so many frames, with its best score. No pruning."""
    tokens: list[Texts] = [{} for _ in range(graph.states)]
    tokens[graph.start][()] = 0.0
    _follow(graph, tokens, range(graph.emitting), None)
    _follow(graph, tokens, range(graph.emitting, graph.states), None)
    for row in scores:
        before, tokens = tokens, [defaultdict(lambda: -np.inf) for _ in range(graph.states)]
        for state in range(graph.emitting):
            stay = float(row[graph.loop[state]]) - float(graph.loop_cost[state])
            _add(tokens[state], before[state], stay, -1)
        _follow(graph, tokens, range(graph.states), row, before)
        _follow(graph, tokens, range(graph.states), None)
    ended: Texts = defaultdict(lambda: -np.inf)
    for state, cost in enumerate(graph.final_cost.tolist()):
        if np.isfinite(cost):
            _add(ended, tokens[state], -cost, -1)
    return dict(ended)


def _follow(graph, tokens, states, row, before=None) -> None:
    """Along arcs that take a frame (scores ``row``, from ``before``), or that take none."""
    for state in states:
        for arc in range(int(graph.arc_begin[state]), int(graph.arc_begin[state + 1])):
            target, gain = int(graph.arc_target[arc]), -float(graph.arc_cost[arc])
            if (target < graph.emitting) != (row is not None):
                continue
            if row is not None:
                gain += float(row[graph.forward[target]])
            source = tokens if before is None else before
            _add(tokens[target], source[state], gain, int(graph.arc_unit[arc]))


def _add(into: Texts, texts: Texts, gain: float, unit: int) -> None:
    for text, score in texts.items():
        said = (*text, unit) if unit >= 0 else text
        into[said] = max(into.get(said, -np.inf), score + gain)
