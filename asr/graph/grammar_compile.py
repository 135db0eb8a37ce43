"""From a grammar's network to the arrays that the search walks: subset construction, look-ahead.

The automaton is deterministic over syllables. Its probabilities are those of the network: where
several ways through the network share a state of the automaton, its arcs get the average over all
ways to it, weighted by how likely they are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.errors import DataError
from asr.graph.grammar_network import INSIDE, LOOSE, SPACED, Network
from asr.graph.grammar_nodes import NOTHING, ending
from asr.graph.hcl import NUM_NODES, ROOT_NODE
from asr.graph.lookahead import STEP, unit_nodes
from asr.lm.automaton import LmAutomaton
from asr.lm.units import EOJEOL_MARK, Vocabulary

NEVER = -10_000.0
"""Log-probability of what the grammar does not allow: finite, and far below any beam."""
START = 1
"""The automaton's start state; state 0 is the empty context, where everything is ``NEVER``."""


@dataclass(frozen=True, slots=True)
class SpacingConfig:
    """How likely a syllable is heard with a space before it (else: joined to the one before)."""

    spaced: float = 0.7  # where a space is written
    loose: float = 0.5  # before a number or digit, and between the parts of a number
    inside: float = 0.02  # inside an eojeol

    def chance(self, gap: int) -> float:
        """By what is written: ``INSIDE``, ``LOOSE`` or ``SPACED``."""
        return {INSIDE: self.inside, LOOSE: self.loose, SPACED: self.spaced}[gap]


@dataclass
class _Subset:
    """A state: where in the network one may stand, and how often so (index, spaced) → mass."""

    arcs: dict[str, int]
    mass: dict[tuple[int, bool], float]


def compile_network(
    network: Network, vocabulary: Vocabulary, spacing: SpacingConfig
) -> LmAutomaton:
    """The closed automaton over a vocabulary of syllables ("가" and "▁가").

    State 0 lists every unit with ``NEVER``; all others back off to it with ``NEVER``; </s> has a
    probability at final states only. A syllable that the vocabulary has in one form only gets that.

    Raises:
        DataError: it grows too large, or no phrase is left.
    """
    subsets = _subsets(network)
    order = _topological(subsets)
    rows = _flows(network, subsets, order, spacing)
    return _automaton(rows, vocabulary)


def _subsets(network: Network) -> list[_Subset]:
    """Subset construction, breadth-first. A subset is named by its network states."""
    start = network.closure(0, NOTHING)
    subsets = [_Subset({}, {})]
    members = [tuple(sorted({state for state, _, _ in start}))]
    index = {members[0]: 0}
    for number, subset in enumerate(subsets):  # grows while it is walked
        targets: dict[str, set[int]] = defaultdict(set)
        for state in members[number]:
            for arc in network.arcs[state]:
                targets[arc.syllable].add(arc.target)
        for syllable, states in targets.items():
            after = ending(syllable)
            reached = {s for target in states for s, _, _ in network.closure(target, after)}
            network.count(len(reached))
            name = tuple(sorted(reached))
            if name not in index:
                index[name] = len(subsets)
                subsets.append(_Subset({}, {}))
                members.append(name)
            subset.arcs[syllable] = index[name]
    return subsets


def _topological(subsets: list[_Subset]) -> list[int]:
    """States, each before those it leads to (Kahn 1962). Grammars have no circles."""
    waiting = [0] * len(subsets)
    for subset in subsets:
        for target in subset.arcs.values():
            waiting[target] += 1
    order = [0]
    for state in order:
        for target in subsets[state].arcs.values():
            waiting[target] -= 1
            if waiting[target] == 0:
                order.append(target)
    return order


@dataclass(frozen=True, slots=True)
class _Row:
    """Of one state: (syllable, target, probability, share of it with a space), and the end's."""

    arcs: list[tuple[str, int, float, float]]
    end: float


def _flows(
    network: Network, subsets: list[_Subset], order: list[int], spacing: SpacingConfig
) -> list[_Row]:
    rows: list[_Row | None] = [None] * len(subsets)
    subsets[0].mass = {(state, spaced): p for state, spaced, p in network.closure(0, NOTHING)}
    for number in order:
        subset = subsets[number]
        total: dict[str, float] = defaultdict(float)
        marked: dict[str, float] = defaultdict(float)
        end = 0.0
        for (state, spaced), mass in subset.mass.items():
            if state == network.final:
                end += mass
            for arc in network.arcs[state]:
                flow = mass * arc.chance
                total[arc.syllable] += flow
                marked[arc.syllable] += flow * spacing.chance(SPACED if spaced else arc.gap)
                goal = subsets[subset.arcs[arc.syllable]].mass
                for place, gap, chance in network.closure(arc.target, ending(arc.syllable)):
                    goal[place, gap] = goal.get((place, gap), 0.0) + flow * chance
        if number == 0:
            end = 0.0  # silence is no phrase
        whole = end + sum(total.values())
        rows[number] = _Row(
            [(s, subset.arcs[s], total[s] / whole, marked[s] / total[s]) for s in total],
            end / whole if whole else 0.0,
        )
        subset.mass = {}
    return [row for row in rows if row is not None]


def _automaton(rows: list[_Row], vocabulary: Vocabulary) -> LmAutomaton:
    width = len(vocabulary)
    words, targets, logps = list(range(width)), [0] * width, [NEVER] * width
    begins = [0, width]
    for number, row in enumerate(rows):
        arcs = list(_unit_arcs(row, vocabulary.ids, opens=number == 0))
        if row.end > 0:
            arcs.append((vocabulary.eos, 0, math.log(row.end)))
        for word, target, logp in sorted(arcs):
            words.append(word)
            targets.append(target)
            logps.append(max(logp, 0.5 * NEVER))
        begins.append(len(words))
    states = len(begins) - 1
    backoff = np.full(states, NEVER, np.float32)
    backoff[0] = 0.0
    return LmAutomaton(
        vocabulary=vocabulary,
        arc_begin=np.array(begins, np.int32),
        arc_word=np.array(words, np.uint16),
        arc_next=np.array(targets, np.int32),
        arc_logp=np.array(logps, np.float32),
        backoff_state=np.zeros(states, np.int32),
        backoff_logp=backoff,
        start_state=START,
        order=1,
    )


def _unit_arcs(row: _Row, ids: Mapping[str, int], opens: bool) -> list[tuple[int, int, float]]:
    arcs = []
    for syllable, target, chance, marked in row.arcs:
        initial, inner = ids.get(EOJEOL_MARK + syllable), ids.get(syllable)
        if opens or inner is None:
            shares = [(initial, 1.0)]
        elif initial is None:
            shares = [(inner, 1.0)]
        else:
            shares = [(initial, marked), (inner, 1.0 - marked)]
        for unit, share in shares:
            if unit is None:
                raise DataError(f"the model does not know the syllable {syllable} in this place")
            if share > 0:
                arcs.append((unit, target + START, math.log(chance) + math.log(share)))
    return arcs


def grammar_lookahead(lm: LmAutomaton) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Look-ahead of a closed automaton, exact in every state.

    Returns:
        row: int32 [lm states], the row of ``table`` that belongs to each state.
        table: uint8 [rows, NUM_NODES]; an entry q stands for −q · ``lookahead.STEP`` nats, 255 for
            what is impossible. Equal rows are stored once. The root holds the end of the sentence
            too, so that a finished phrase is not cut off.
    """
    nodes = unit_nodes(lm.vocabulary.units)
    nodes[lm.eos] = ROOT_NODE
    costs = np.clip(np.rint(-lm.arc_logp / STEP), 0, 255).astype(np.uint8)
    row = np.zeros(lm.states, np.int32)
    rows = {b"": 0}
    table = [np.full(NUM_NODES, 255, np.uint8)]
    for state in range(START, lm.states):
        arcs = slice(int(lm.arc_begin[state]), int(lm.arc_begin[state + 1]))
        words, cost = lm.arc_word[arcs], costs[arcs]
        key = words.tobytes() + cost.tobytes()
        if key not in rows:
            rows[key] = len(table)
            entry = np.full(NUM_NODES, 255, np.uint8)
            for column in range(nodes.shape[1]):
                np.minimum.at(entry, nodes[words, column], cost)
            table.append(entry)
        row[state] = rows[key]
    return row, np.array(table)
