"""The denominator: every way to say anything, as probable as the phone n-gram has it.

A state is a history of the n-gram whose last phone stands in a position of its piece (models with
word-position-dependent phones); see :mod:`asr.graph.emissions` for what positions may follow.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.chain.hmm_graph import HmmGraph, from_edges
from asr.chain.phone_lm import EDGE, History, PhoneLm
from asr.errors import ModelError
from asr.graph.emissions import OPEN, Emissions, HmmState, positions_between
from asr.graph.lexicon import SILENCE, Kind
from asr.graph.reachability import leading_to_an_end
from asr.hangul.phones import CODA_PHONES, NUCLEUS_PHONES, ONSET_PHONES
from asr.hmm.phones import Position

WARM_UP = 100
"""Frames over which the leaky HMM's probabilities are taken, as Kaldi does."""

NONE = Position.NONE
_KINDS = {
    SILENCE: Kind.SILENCE,
    **dict.fromkeys(ONSET_PHONES, Kind.ONSET),
    **dict.fromkeys(NUCLEUS_PHONES, Kind.VOWEL),
    **dict.fromkeys(CODA_PHONES, Kind.CODA),
}


class _Node(NamedTuple):
    history: History
    position: Position


def denominator(lm: PhoneLm, emissions: Emissions) -> HmmGraph:
    """The graph of all phone sequences that the n-gram has seen.

    The utterance begins and ends as in :func:`asr.graph.hcl.compile_hcl`: in silence.

    Raises:
        ModelError: the acoustic model is not a chain model with left context.
    """
    if emissions.rights:
        raise ModelError("LF-MMI takes models with left context only; this one is of triphones")
    start = _Node(lm.start, NONE), _state(emissions, SILENCE, NONE, SILENCE, NONE)
    number = {start: 0}
    nodes, states = [start[0]], [start[1]]
    edges: list[tuple[int, int, float]] = []
    ends: dict[int, float] = {}
    # what a state emits depends on the phone before its own, which every history holds
    for source, node in enumerate(nodes):  # grows while it is walked
        left = node.history[-1] or SILENCE
        for phone, probability in lm.nexts[node.history].items():
            cost = -math.log(probability)
            if phone == EDGE:
                if node.position not in OPEN:
                    ends[source] = cost
                continue
            after = lm.after(node.history, phone)
            assert after is not None  # what was counted as a next phone was a history, too
            for position in _positions(emissions, left, node.position, phone):
                target = _Node(after, position)
                state = _state(emissions, left, node.position, phone, position)
                place = (target, state)
                if place not in number:
                    number[place] = len(nodes)
                    nodes.append(target)
                    states.append(state)
                edges.append((source, number[place], cost))
    return _graph(states, edges, ends)


def _positions(
    emissions: Emissions, left: str, position: Position, phone: str
) -> tuple[Position, ...]:
    if not emissions.has_positions:
        return (NONE,)
    # where eojeol begin is not known here, so any boundary of syllables may be one
    return positions_between(_KINDS[left], position, _KINDS[phone])


def _state(
    emissions: Emissions, left: str, left_position: Position, phone: str, position: Position
) -> HmmState:
    states = emissions.states((left, left_position), (phone, position), None)
    if len(states) != 1:
        raise ModelError("LF-MMI takes models with one HMM state a phone; this one has more")
    return states[0]


def _graph(
    states: list[HmmState], edges: list[tuple[int, int, float]], ends: dict[int, float]
) -> HmmGraph:
    """Without the states from which no utterance ends."""
    source = np.array([edge[0] for edge in edges])
    target = np.array([edge[1] for edge in edges])
    cost = np.array([edge[2] for edge in edges], np.float32)
    final = np.full(len(states), np.inf, np.float32)
    final[list(ends)] = list(ends.values())
    alive = leading_to_an_end(np.isfinite(final), source, target)
    alive[0] = True
    place = np.cumsum(alive) - 1
    kept = alive[source] & alive[target]
    cost = cost + np.array([states[s].forward_cost for s in target], np.float32)
    return from_edges(
        np.array([state.forward for state in states], np.int32)[alive],
        np.array([state.loop for state in states], np.int32)[alive],
        np.array([state.loop_cost for state in states], np.float32)[alive],
        (place[source[kept]], place[target[kept]], cost[kept]),
        final[alive],
    )


def leaky_probabilities(graph: HmmGraph) -> NDArray[np.float64]:
    """Where a path is likely to be, whatever was said: float64 [S], sums to one.

    The mean over the first frames of the graph on its own, as Kaldi takes it
    (chain/chain-den-graph.cc, SetInitialProbs).
    """
    states = graph.states
    source = graph.edge_source.astype(np.int64)
    target = graph.edge_target
    weight = np.exp(-graph.edge_cost.astype(np.float64))
    stay = np.exp(-graph.loop_cost.astype(np.float64))
    now = np.zeros(states)
    now[0] = 1.0
    total = np.zeros(states)
    for _ in range(WARM_UP):
        moved = np.bincount(target, weight * now[source], minlength=states) + stay * now
        now = moved / moved.sum()
        total += now
    return np.asarray(total / total.sum())
