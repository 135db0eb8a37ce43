"""All hypotheses of a query in one acyclic graph of phones, equal beginnings and ends shared.

Its paths are the hypotheses and no others; a path costs what its hypothesis is less likely than
the best one. So the distance of an entry is computed once for a hundred texts that differ in a few
words, in the time of two or three.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.search.config import SearchConfig
from asr.search.hypotheses import Hypothesis, Token, tokens
from asr.search.phonetic import Phones, phones_of_surface

WEIGHT_STEP = 0.25
"""Nats to which the costs of branches are rounded, so that more ends are alike."""


class QueryGraph(NamedTuple):
    """A arcs between N nodes; node 0 is the start, and arcs lead to nodes of larger numbers.

    source, target: int32 [A], arcs sorted by source.
    phone: uint8 [A].
    weight: float32 [A], nats that taking the arc costs.
    start: float32 [A], nats of a stretch that begins with the arc, with all it took to get there;
    inf inside syllables.
    end: float32 [A], nats of a stretch that ends with the arc; inf inside syllables.
    join: float32 [A], nats of a stretch that goes on with the arc from an eojeol to the next.
    depth: int32 [A], syllables before the arc's own, at least.
    nodes: N.
    """

    source: NDArray[np.int32]
    target: NDArray[np.int32]
    phone: Phones
    weight: NDArray[np.float32]
    start: NDArray[np.float32]
    end: NDArray[np.float32]
    join: NDArray[np.float32]
    depth: NDArray[np.int32]
    nodes: int


def text_cost(one: Hypothesis, best_share: float, config: SearchConfig) -> float:
    """Nats by which a hypothesis is less likely than the best one, rounded to a step."""
    cost = -config.text_scale * math.log(one.share / best_share)
    return round(cost / WEIGHT_STEP) * WEIGHT_STEP


class _Branch(NamedTuple):
    """A branch of the graph of syllables: what it says, what it costs, where it leads."""

    token: Token
    weight: float
    state: int


class _Trie:
    """Beginnings of hypotheses; ``best`` is the least cost of a hypothesis below."""

    def __init__(self) -> None:
        self.children: dict[Token, _Trie] = {}
        self.ends = math.inf
        self.best = math.inf


def query_graph(found: Sequence[Hypothesis], config: SearchConfig) -> QueryGraph:
    """The graph of hypotheses, of which there is one at least."""
    root = _Trie()
    for one in found:
        _enter(root, tokens(one, config), text_cost(one, found[0].share, config))
    states: dict[tuple[float, tuple[_Branch, ...]], int] = {}
    _merge(root, states)
    return _laid_out([branches for _, branches in states])


def _enter(root: _Trie, syllables: Sequence[Token], cost: float) -> None:
    node = root
    node.best = min(node.best, cost)
    for token in syllables:
        node = node.children.setdefault(token, _Trie())
        node.best = min(node.best, cost)
    node.ends = min(node.ends, cost)


def _merge(root: _Trie, states: dict[tuple[float, tuple[_Branch, ...]], int]) -> None:
    """Number the different continuations, each after those that it leads to."""
    stack: list[tuple[_Trie, bool]] = [(root, False)]
    numbers: dict[int, int] = {}
    while stack:
        node, ready = stack.pop()
        if not ready:
            stack.append((node, True))
            stack += [(child, False) for child in node.children.values()]
            continue
        branches = [
            _Branch(token, child.best - node.best, numbers[id(child)])
            for token, child in sorted(node.children.items(), key=lambda item: _order(item[0]))
        ]
        key = (node.ends - node.best, tuple(branches))
        numbers[id(node)] = states.setdefault(key, len(states))


def _order(token: Token) -> tuple[str, float, float, float]:
    return token.surface, token.start, token.end, token.join


def _laid_out(states: Sequence[tuple[_Branch, ...]]) -> QueryGraph:
    """The graph of phones; states that lead to others have larger numbers than those."""
    node_of: dict[int, int] = {}
    inner: dict[tuple[int, int], int] = {}
    nodes = 0
    phones = {
        token.surface: phones_of_surface(token.surface)[0]
        for branches in states
        for token, _, _ in branches
    }
    for state in range(len(states) - 1, -1, -1):
        node_of[state] = nodes
        nodes += 1
        for number, branch in enumerate(states[state]):
            inner[state, number] = nodes
            nodes += len(phones[branch.token.surface]) - 1
    forward, depth = [math.inf] * nodes, [nodes] * nodes
    forward[0], depth[0] = 0.0, 0
    arcs: list[tuple[int, int, int, float, float, float, float, int]] = []
    for state in range(len(states) - 1, -1, -1):
        for number, branch in enumerate(states[state]):
            source, begin = node_of[state], inner[state, number]
            said = phones[branch.token.surface].tolist()
            targets = [*range(begin, begin + len(said) - 1), node_of[branch.state]]
            here, syllables = forward[source], depth[source]
            end_node = targets[-1]
            depth[end_node] = min(depth[end_node], syllables + 1)
            for place, (phone, target) in enumerate(zip(said, targets, strict=True)):
                first, last = place == 0, place == len(said) - 1
                arcs.append((
                    source, target, phone, branch.weight * first,
                    here + branch.token.start if first else math.inf,
                    branch.token.end if last else math.inf,
                    branch.token.join * first, syllables,
                ))  # fmt: skip
                forward[target] = min(forward[target], here + branch.weight)
                source = target
    columns = list(zip(*sorted(arcs, key=lambda arc: arc[0]), strict=True)) or [()] * 8
    kinds = (np.int32, np.int32, np.uint8, *[np.float32] * 4, np.int32)
    made: list[Any] = [np.array(c, kind) for c, kind in zip(columns, kinds, strict=True)]
    return QueryGraph(*[*made, nodes])
