"""The arrays that the inner loops of the search work on, bundled by what they are for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.graph.hcl import HclGraph
from asr.graph.lexicon import Kind

SCORE_BINS = 1024
"""Ranges in which the scores of a frame are counted, to find the kth best."""


class GraphArrays(NamedTuple):
    """HCL, with what the inner loop needs of an arc's target laid beside the arc."""

    kind: NDArray[np.int8]
    node: NDArray[np.int32]
    first: NDArray[np.uint8]
    forward: NDArray[np.int32]
    loop: NDArray[np.int32]
    loop_cost: NDArray[np.float32]
    arc_begin: NDArray[np.int64]
    arc_target: NDArray[np.int32]
    arc_cost: NDArray[np.float32]
    arc_unit: NDArray[np.int32]
    final: NDArray[np.uint8]
    arc_forward: NDArray[np.int32]
    arc_node: NDArray[np.int32]
    label_begin: NDArray[np.int64]  # where a state's arcs with labels begin
    labels: NDArray[np.int32]  # states with the same list of labels have the same number


class Options(NamedTuple):
    """Options of one search; most_gain: no arc costs less than −most_gain."""

    beam: float
    max_active: int
    lm_scale: float
    bonus: NDArray[np.float32]
    lookahead_step: float
    lattice_beam: float
    most_records: int
    most_gain: float


class Memo(NamedTuple):
    """LM scores of a vowel state's labels after an LM state, as computed lately.

    key: [:, 0] of int64 [N, 2]; best: [:, 2] of the same memory as float32 [N, 4], the largest of
    the row's ``hope``; logp: float32 [N, labels]; following: int32 [N, labels], the next LM states;
    ahead: int32 [N, labels], their look-ahead rows; hope: float32 [N, labels], what the label adds
    to a score, scaled, with bonuses and the look-ahead of whatever may follow.
    """

    key: NDArray[np.int64]
    best: NDArray[np.float32]
    logp: NDArray[np.float32]
    following: NDArray[np.int32]
    ahead: NDArray[np.int32]
    hope: NDArray[np.float32]


class Table(NamedTuple):
    """Hash table of the frame's new tokens: two views of 16-byte slots, read in one go.

    key: [:, 0] of int64 [N, 2]; whose: [:, 2] (the frame's stamp) and [:, 3] (the token) of
    int32 [N, 4].
    """

    key: NDArray[np.int64]
    whose: NDArray[np.int32]


class Tokens(NamedTuple):
    """The tokens of a frame: int32 or float64 [N]."""

    state: NDArray[np.int32]
    lm_state: NDArray[np.int32]
    bias: NDArray[np.int32]
    score: NDArray[np.float64]
    record: NDArray[np.int32]
    start: NDArray[np.int32]


class Scratch(NamedTuple):
    """What the arcs of a state gain in one frame: its emission less their costs.

    gain: float32 [A], of each arc; best: float32 [S], the best of a state's; stamp: int64 [S], of
    the frame that they hold for. value: float32 [most arcs of a state], what they gain less their
    look-ahead; bins: int64, for :func:`asr.decoder.selection.kth_best`.
    """

    gain: NDArray[np.float32]
    best: NDArray[np.float32]
    stamp: NDArray[np.int64]
    value: NDArray[np.float32]
    bins: NDArray[np.int64]


class Found(NamedTuple):
    """Ways in which an utterance may end; see :func:`asr.decoder.ends.endings`."""

    token: NDArray[np.int32]
    unit: NDArray[np.int32]
    score: NDArray[np.float64]
    lm: NDArray[np.float32]
    bonus: NDArray[np.float32]
    end: NDArray[np.float32]


def flat_graph(graph: HclGraph) -> GraphArrays:
    """The graph with what the inner loop needs of an arc's target laid beside the arc."""
    emitting = graph.arc_target < len(graph.forward)
    forward = np.zeros(len(graph.arc_target), np.int32)
    forward[emitting] = graph.forward[graph.arc_target[emitting]]
    without = np.concatenate([[0], np.cumsum(graph.arc_unit < 0)])
    unlabelled = without[graph.arc_begin[1:]] - without[graph.arc_begin[:-1]]
    label_begin = graph.arc_begin[:-1] + unlabelled
    lists: dict[bytes, int] = {}
    labels = np.zeros(len(graph.kind), np.int32)
    for state in np.flatnonzero(graph.kind == Kind.VOWEL).tolist():
        units = graph.arc_unit[label_begin[state] : graph.arc_begin[state + 1]]
        labels[state] = lists.setdefault(units.tobytes(), len(lists))
    return GraphArrays(
        kind=graph.kind,
        node=graph.node,
        first=graph.first,
        forward=graph.forward,
        loop=graph.loop,
        loop_cost=graph.loop_cost,
        arc_begin=graph.arc_begin,
        arc_target=graph.arc_target,
        arc_cost=graph.arc_cost,
        arc_unit=graph.arc_unit,
        final=graph.final,
        arc_forward=forward,
        arc_node=graph.node[graph.arc_target],
        label_begin=label_begin.astype(np.int64),
        labels=labels,
    )


def most_records_of(graph: HclGraph) -> int:
    """The most records that one token can make in a frame.

    An arc into an emitting state may make a pause and a union, and a label one record more.
    """
    out = np.diff(graph.arc_begin)
    pending = graph.arc_target >= len(graph.forward)
    made = np.where(pending, 1 + 2 * out[graph.arc_target], 2)
    total = np.concatenate([[0], np.cumsum(made)])
    return int((total[graph.arc_begin[1:]] - total[graph.arc_begin[:-1]]).max(initial=0)) + 2


def new_tokens(capacity: int) -> Tokens:
    """Room for that many tokens."""
    return Tokens(
        np.zeros(capacity, np.int32),
        np.zeros(capacity, np.int32),
        np.zeros(capacity, np.int32),
        np.zeros(capacity, np.float64),
        np.zeros(capacity, np.int32),
        np.zeros(capacity, np.int32),
    )


def new_scratch(graph: GraphArrays) -> Scratch:
    """Room for a graph's arcs."""
    states, arcs = len(graph.kind), len(graph.arc_target)
    most = int(np.diff(graph.arc_begin).max(initial=0))
    return Scratch(
        gain=np.zeros(arcs, np.float32),
        best=np.zeros(states, np.float32),
        stamp=np.zeros(states, np.int64),
        value=np.zeros(most, np.float32),
        bins=np.zeros(SCORE_BINS, np.int64),
    )


def new_found(capacity: int) -> Found:
    """Room for that many endings."""
    return Found(
        np.zeros(capacity, np.int32),
        np.zeros(capacity, np.int32),
        np.zeros(capacity, np.float64),
        np.zeros(capacity, np.float32),
        np.zeros(capacity, np.float32),
        np.zeros(capacity, np.float32),
    )


def chosen_endings(found: Found, which: slice | NDArray[np.bool_]) -> Found:
    """Some of the endings."""
    return Found(
        token=found.token[which],
        unit=found.unit[which],
        score=found.score[which],
        lm=found.lm[which],
        bonus=found.bonus[which],
        end=found.end[which],
    )
