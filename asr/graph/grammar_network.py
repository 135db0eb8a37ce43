"""A grammar's tree laid out as a network over syllables: what the subset construction reads.

States have *syllable arcs*, which consume a syllable, and *free arcs*, which do not: they may carry
a space, or ask how the syllable before them ends (particles). Free arcs lead to higher states only,
so what can be reached freely is found in one pass.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field

from asr.errors import DataError
from asr.graph.grammar_nodes import (
    CODA,
    EMPTY,
    LIQUID,
    NO_CODA,
    NOTHING,
    Choice,
    Entries,
    Literal,
    Node,
    Particle,
    Sequence,
    Slot,
    Space,
)
from asr.hangul.jamo import is_syllable

MOST_STATES = 500_000
"""A list of 200,000 names fits."""
MOST_STEPS = 6_000_000
"""Work of the subset construction: some seconds."""
INSIDE, LOOSE, SPACED = range(3)
"""What is written before a syllable: nothing; nothing, where a pause is likely; a space."""


@dataclass(frozen=True, slots=True)
class SyllableArc:
    """``chance`` is the probability of the arc among all that leave its state."""

    syllable: str
    target: int
    chance: float
    gap: int


@dataclass(frozen=True, slots=True)
class FreeArc:
    """``before`` lists the endings (`grammar_nodes.ending`) after which the arc may be taken."""

    target: int
    chance: float
    spaced: bool = False
    before: tuple[int, ...] | None = None
    line: int = 0


@dataclass
class Network:
    """States 0 (start) to ``final``; see the module."""

    source: str
    arcs: list[list[SyllableArc]] = field(default_factory=list)
    free: list[list[FreeArc]] = field(default_factory=list)
    final: int = 0
    steps: int = 0
    reached: dict[tuple[int, int], list[tuple[int, bool, float]]] = field(default_factory=dict)

    def new_state(self) -> int:
        if len(self.arcs) >= MOST_STATES:
            raise self.too_large()
        self.arcs.append([])
        self.free.append([])
        return len(self.arcs) - 1

    def too_large(self) -> DataError:
        return DataError(
            f"{self.source} grows too large when its slots are written out; use shorter lists, "
            "fewer […] in a row or fewer uses of large slots"
        )

    def count(self, steps: int) -> None:
        """Count work done; raises DataError where a grammar asks for too much."""
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise self.too_large()

    def closure(self, state: int, before: int) -> list[tuple[int, bool, float]]:
        """Where one may stand before the next syllable, after one that ends so.

        Returns (state, whether a space came before, probability); only states with syllable arcs
        and the final one.
        """
        key = (state, before)
        if key not in self.reached:
            self.reached[key] = self._closure(state, before)
        return self.reached[key]

    def _closure(self, state: int, before: int) -> list[tuple[int, bool, float]]:
        mass: dict[tuple[int, bool], float] = defaultdict(float)
        mass[state, False] = 1.0
        queue = [(state, False)]
        result = []
        while queue:
            place = heapq.heappop(queue)
            here, spaced = place
            chance = mass[place]
            if self.arcs[here] or here == self.final:
                result.append((here, spaced, chance))
            for arc in self.free[here]:
                if arc.before is not None:
                    if before == NOTHING:
                        raise DataError(f"{self.source}, line {arc.line}: there is no word before "
                                        "the particle that tells its form; add one")  # fmt: skip
                    if before not in arc.before:
                        continue
                goal = (arc.target, spaced or arc.spaced)
                if goal not in mass:
                    heapq.heappush(queue, goal)
                mass[goal] += chance * arc.chance
        self.count(len(mass))
        return result


def build_network(root: Node, source: str) -> Network:
    """Lay out a tree.

    Raises:
        DataError: it grows too large.
    """
    network = Network(source)
    network.final = _Builder(network).add(root, network.new_state())
    return network


class _Builder:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.trees: dict[int, _WordGraph] = {}

    def add(self, node: Node, start: int) -> int:
        """Add a node's states after ``start``; the state where it ends (a higher one, or start)."""
        if isinstance(node, Sequence):
            for item in node.items:
                start = self.add(item, start)
            return start
        if isinstance(node, Slot):
            return self.add(node.body, start)
        if isinstance(node, Literal):
            return self._words(node.spoken, start)
        if isinstance(node, Space):
            return self._free(start, spaced=True)
        if isinstance(node, Particle):
            return self._particle(node, start)
        if isinstance(node, Entries):
            return self._entries(node, start)
        return self._choice(node, start)

    def _free(self, start: int, spaced: bool = False) -> int:
        end = self.network.new_state()
        self.network.free[start].append(FreeArc(end, 1.0, spaced))
        return end

    def _words(self, spoken: str, start: int) -> int:
        gap = INSIDE
        for character in spoken:
            if not is_syllable(character):
                gap = SPACED
                continue
            end = self.network.new_state()
            self.network.arcs[start].append(SyllableArc(character, end, 1.0, gap))
            start, gap = end, INSIDE
        return start

    def _choice(self, node: Choice, start: int) -> int:
        total = sum(node.weights)
        ends = []
        for options, weight in _factored(node):
            begin = self.network.new_state()
            self.network.free[start].append(FreeArc(begin, weight / total))
            ends.append(self.add(options, begin))
        end = self.network.new_state()
        for state in ends:
            self.network.free[state].append(FreeArc(end, 1.0))
        return end

    def _particle(self, node: Particle, start: int) -> int:
        forms: dict[str, list[int]] = defaultdict(list)
        for before in (NO_CODA, LIQUID, CODA):
            forms[node.form(before)].append(before)
        ends = []
        for form, endings in forms.items():
            begin = self.network.new_state()
            self.network.free[start].append(
                FreeArc(begin, 1.0, before=tuple(endings), line=node.line)
            )
            ends.append(self._words(form, begin))
        end = self.network.new_state()
        for state in ends:
            self.network.free[state].append(FreeArc(end, 1.0))
        return end

    def _entries(self, node: Entries, start: int) -> int:
        """A copy of the words' graph; its first state is ``start`` itself."""
        tree = self.trees.get(id(node))
        if tree is None:
            tree = self.trees[id(node)] = _WordGraph(node)
        network = self.network
        begin = self._free(start)
        state_of = {0: begin}
        ends = []
        for state in tree.order:
            source = state_of[state]
            for (syllable, gap), child in tree.arcs[state].items():
                if child not in state_of:
                    state_of[child] = network.new_state()
                network.arcs[source].append(
                    SyllableArc(syllable, state_of[child], tree.mass[child] / tree.mass[state], gap)
                )
            if tree.ends[state]:
                ends.append((source, tree.ends[state] / tree.mass[state]))
        end = network.new_state()
        for source, chance in ends:
            network.free[source].append(FreeArc(end, chance))
        return end


class _WordGraph:
    """A list of words as a graph that shares beginnings and, where weights agree, endings.

    ``mass`` is the summed weight of what may be said from a state, ``ends`` that of ending there;
    ``order`` holds the states that are used, each before those it leads to.
    """

    def __init__(self, entries: Entries) -> None:
        self.arcs: list[dict[tuple[str, int], int]] = [{}]
        self.ends = [0.0]
        for entry in entries.by_syllables.values():
            self._insert(entry.spoken, entry.weight, entries.loose)
        self.mass = self.ends.copy()
        self._share_endings()
        self.order = self._ordered()

    def _insert(self, spoken: str, weight: float, loose: bool) -> None:
        state = 0
        gap = LOOSE if loose else INSIDE
        for character in spoken:
            if not is_syllable(character):
                gap = LOOSE if loose else SPACED
                continue
            label = (character, gap)
            child = self.arcs[state].get(label)
            if child is None:
                child = self.arcs[state][label] = len(self.arcs)
                self.arcs.append({})
                self.ends.append(0.0)
            state, gap = child, INSIDE
        self.ends[state] += weight

    def _share_endings(self) -> None:
        """Merge states from which the same may follow (children have higher numbers)."""
        same: dict[tuple[float, tuple[tuple[tuple[str, int], int], ...]], int] = {}
        kept = list(range(len(self.arcs)))
        for state in range(len(self.arcs) - 1, -1, -1):
            arcs = self.arcs[state]
            for label, child in arcs.items():
                arcs[label] = kept[child]
                self.mass[state] += self.mass[kept[child]]
            key = (self.ends[state], tuple(sorted(arcs.items())))
            kept[state] = same.setdefault(key, state)

    def _ordered(self) -> list[int]:
        """States in the order of a depth-first search, reversed: each before those it leads to."""
        order: list[int] = []
        done = {0}
        stack = [(0, iter(self.arcs[0].values()))]
        while stack:
            state, rest = stack[-1]
            for child in rest:
                if child not in done:
                    done.add(child)
                    stack.append((child, iter(self.arcs[child].values())))
                    break
            else:
                order.append(state)
                stack.pop()
        return order[::-1]


def _factored(node: Choice) -> list[tuple[Node, float]]:
    """The options, those that begin with the same slot as one, so that it is laid out once."""
    groups: dict[object, list[tuple[Node, float]]] = defaultdict(list)
    for number, (option, weight) in enumerate(zip(node.options, node.weights, strict=True)):
        first = _first(option)
        key = id(first.body) if isinstance(first, Slot) else -1 - number
        groups[key].append((option, weight))
    return [group[0] if len(group) == 1 else _common_head(group) for group in groups.values()]


def _first(node: Node) -> Node:
    return node.items[0] if isinstance(node, Sequence) and node.items else node


def _common_head(group: list[tuple[Node, float]]) -> tuple[Node, float]:
    rest = tuple(
        Sequence(option.items[1:]) if isinstance(option, Sequence) else EMPTY for option, _ in group
    )
    weights = tuple(weight for _, weight in group)
    return Sequence((_first(group[0][0]), Choice(rest, weights))), sum(weights)
