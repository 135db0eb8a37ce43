"""The graph of one text, for forced alignment: HCL cut down to the ways to say it.

A node is a pair (HCL state, place in the text). Pending states are folded away, so every edge that
is left takes one frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.decoder import align_kernels as kernels
from asr.errors import ModelError, UsageError
from asr.graph.hcl import HclGraph
from asr.hangul.phones import PHONES


class Step(NamedTuple):
    """From a place in the text to a later one by saying a unit; ``cost`` in nats."""

    source: int
    target: int
    unit: int
    cost: float = 0.0


class IndexedGraph(NamedTuple):
    kind: NDArray[np.int8]
    arc_begin: NDArray[np.int64]
    arc_target: NDArray[np.int32]
    arc_cost: NDArray[np.float32]
    arc_unit: NDArray[np.int32]
    final: NDArray[np.uint8]
    start: NDArray[np.int32]
    unit_begin: NDArray[np.int64]  # states that labelled arcs leave, by unit
    unit_source: NDArray[np.int32]
    reverse_begin: NDArray[np.int64]  # sources of unlabelled arcs, by target
    reverse_source: NDArray[np.int32]


class PackedSteps(NamedTuple):
    begin: NDArray[np.int64]  # steps by the place they leave; the last place has none
    target: NDArray[np.int32]
    unit: NDArray[np.int32]
    cost: NDArray[np.float32]


class TextGraph(NamedTuple):
    """The ways to say one text: emitting nodes, and the edges that enter each of them."""

    state: NDArray[np.int32]
    forward: NDArray[np.int32]
    loop: NDArray[np.int32]
    loop_cost: NDArray[np.float32]
    final_cost: NDArray[np.float32]  # infinite where the text is not done
    final_step: NDArray[np.int32]  # the step that ending here completes, or less than 0
    edge_begin: NDArray[np.int64]
    edge_source: NDArray[np.int32]
    edge_cost: NDArray[np.float32]
    edge_step: NDArray[np.int32]


class PhoneLoop(NamedTuple):
    """Emissions of any phone after any other; see :func:`kernels.best_of_any_phones`."""

    phone: NDArray[np.int32]
    forward: NDArray[np.int32]
    loop: NDArray[np.int32]
    left_begin: NDArray[np.int64]
    left: NDArray[np.int32]
    phones: int
    start: int


def text_graph(hcl: HclGraph, graph: IndexedGraph, steps: PackedSteps) -> TextGraph:
    """The text's graph, its pending states folded into edges between emitting nodes."""
    state, place, source, target, cost, step = kernels.expand(graph, steps)
    emitting = state < len(hcl.forward)
    ends = (place == len(steps.begin) - 2) & (hcl.final[state] > 0)
    folded = _folded(emitting, ends, source, target, cost, step)
    number = np.cumsum(emitting, dtype=np.int32) - 1
    kept = state[emitting]
    order = np.argsort(number[folded.target], kind="stable")
    counts = np.bincount(number[folded.target], minlength=len(kept))
    if counts.max(initial=0) >= kernels.NO_PATH:
        raise ModelError("the graph has too many ways between two sounds to align with")
    return TextGraph(
        state=kept,
        forward=hcl.forward[kept],
        loop=hcl.loop[kept],
        loop_cost=hcl.loop_cost[kept],
        final_cost=folded.final_cost[emitting],
        final_step=folded.final_step[emitting],
        edge_begin=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        edge_source=number[folded.source][order],
        edge_cost=folded.cost[order],
        edge_step=folded.step[order],
    )


def packed(steps: Sequence[Step], units: int) -> PackedSteps:
    """Sorted steps as arrays; those whose unit no arc spells are kept and lead nowhere."""
    if any(not 0 <= step.source < step.target for step in steps):
        raise UsageError("a step of the text must lead from a place to a later one")
    if any(step.unit < 0 for step in steps):
        raise UsageError("a step of the text has no unit")
    places = 1 + max((step.target for step in steps), default=0)
    counts = np.bincount([step.source for step in steps], minlength=places)
    ids = np.array([step.unit for step in steps], np.int32)
    return PackedSteps(
        begin=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        target=np.array([step.target for step in steps], np.int32),
        unit=np.where(ids < units, ids, units - 1).astype(np.int32),
        cost=np.array([step.cost for step in steps], np.float32),
    )


def indexed(graph: HclGraph) -> IndexedGraph:
    """The graph with its arcs listed backwards too."""
    states = len(graph.kind)
    source = np.repeat(np.arange(states, dtype=np.int32), np.diff(graph.arc_begin))
    silent = graph.arc_unit < 0
    by_target = np.argsort(graph.arc_target[silent], kind="stable")
    by_unit = np.argsort(graph.arc_unit[~silent], kind="stable")
    units = 2 + int(graph.arc_unit.max(initial=-1))  # one more, that no arc spells
    return IndexedGraph(
        kind=graph.kind,
        arc_begin=graph.arc_begin,
        arc_target=graph.arc_target,
        arc_cost=graph.arc_cost,
        arc_unit=graph.arc_unit,
        final=graph.final,
        start=graph.start,
        unit_begin=_begins(graph.arc_unit[~silent], units),
        unit_source=source[~silent][by_unit],
        reverse_begin=_begins(graph.arc_target[silent], states),
        reverse_source=source[silent][by_target],
    )


def _begins(keys: NDArray[np.int32], size: int) -> NDArray[np.int64]:
    """Where each key's entries begin among entries sorted by key: [size + 1]."""
    counts = np.bincount(keys, minlength=size)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


class _Folded(NamedTuple):
    source: NDArray[np.int32]
    target: NDArray[np.int32]
    cost: NDArray[np.float32]
    step: NDArray[np.int32]
    final_cost: NDArray[np.float32]
    final_step: NDArray[np.int32]


def _folded(
    emitting: NDArray[np.bool_],
    ends: NDArray[np.bool_],
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    cost: NDArray[np.float32],
    step: NDArray[np.int32],
) -> _Folded:
    """Edges between emitting nodes only: each pair of edges through a pending node becomes one."""
    into = ~emitting[target]
    out = ~emitting[source]
    direct = ~(into | out)
    by_source = np.flatnonzero(out)[np.argsort(source[out], kind="stable")]
    begin = _begins(source[out], len(emitting))
    entering = np.flatnonzero(into)
    counts = (begin[1:] - begin[:-1])[target[entering]]
    first = np.repeat(entering, counts)
    within = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    second = by_source[begin[target[first]] + within]
    final_cost = np.where(ends & emitting, 0.0, np.inf).astype(np.float32)
    final_step = np.full(len(emitting), kernels.INNER, np.int32)
    for edge in entering[ends[target[entering]]].tolist():
        if cost[edge] < final_cost[source[edge]]:
            final_cost[source[edge]] = cost[edge]
            final_step[source[edge]] = step[edge]
    return _Folded(
        source=np.concatenate([source[direct], source[first]]),
        target=np.concatenate([target[direct], target[second]]),
        cost=np.concatenate([cost[direct], cost[first] + cost[second]]),
        step=np.concatenate([np.full(int(direct.sum()), kernels.DIRECT, np.int32), step[first]]),
        final_cost=final_cost,
        final_step=final_step,
    )


def phone_loop(graph: HclGraph) -> PhoneLoop:
    """Every emission that the graph has, and what phones it lets stand to the left of each."""
    emitting = len(graph.forward)
    phone = graph.phone.astype(np.int32) + 1  # 0 is silence
    columns = np.stack([phone, graph.forward, graph.loop], axis=1)
    kinds, number = np.unique(columns, axis=0, return_inverse=True)
    source = np.repeat(np.arange(len(graph.kind)), np.diff(graph.arc_begin))
    target = graph.arc_target.astype(np.int64)
    lefts = np.zeros((len(graph.kind), len(PHONES) + 1), bool)  # of a pending state: its vowels
    lefts[np.arange(emitting), phone] = True
    into = target >= emitting
    lefts[target[into], phone[source[into]]] = True
    pairs = np.zeros((len(kinds), len(PHONES) + 1), bool)
    np.logical_or.at(pairs, number[target[~into]], lefts[source[~into]])
    said, forward, loop = (np.ascontiguousarray(column, np.int32) for column in kinds.T)
    return PhoneLoop(
        phone=said,
        forward=forward,
        loop=loop,
        left_begin=np.concatenate([[0], np.cumsum(pairs.sum(axis=1))]).astype(np.int64),
        left=np.nonzero(pairs)[1].astype(np.int32),
        phones=len(PHONES) + 1,
        start=int(number[graph.start[0]]),
    )
