"""A static graph as torch tensors, laid out for searching many utterances at once.

Arcs are kept in two lists. Those into emitting states take a frame; self-loops are among them, so
that one list says everything that may happen in a frame. Those into non-emitting states (empty
arcs) take none. Every non-emitting state has a *level*: the most empty arcs by which an emitting
state can lead there. Level by level, each is reached by all of its arcs before it is left.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.errors import ModelError
from asr.graph.static_graph import Role, StaticGraph

MOST_ARCS = 2**31 - 1
UNIT_BEGINS, PAUSE_BEGINS = 1, 2


@dataclass(frozen=True, slots=True, eq=False)
class Arcs:
    """Arcs by the state that they leave, all tensors int32 but costs and events.

    Attributes:
        first: [S], the first arc of each state. count: [S], how many it has.
        target: [A]. cost: float32 [A], nats. unit: [A], id or −1.
        pdf: [A], what scores the frame; of empty arcs 0.
        event: uint8 [A], UNIT_BEGINS or PAUSE_BEGINS with the frame that the arc takes, else 0.
    """

    first: Tensor
    count: Tensor
    target: Tensor
    cost: Tensor
    unit: Tensor
    pdf: Tensor
    event: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class DeviceGraph:
    """The graph on one device.

    Attributes:
        emitting: arcs into emitting states, self-loops among them.
        empty: arcs into non-emitting states.
        level: int32 [S], 0 for emitting states, else as above.
        depth: the highest level.
        final_cost: float32 [S], nats.
        late_units: whether arcs from non-emitting states bear units, so that a path may say more
            than one unit between two frames.
    """

    emitting: Arcs
    empty: Arcs
    level: Tensor
    depth: int
    final_cost: Tensor
    late_units: bool

    @property
    def num_bytes(self) -> int:
        """Memory of all tensors."""
        both = (self.emitting, self.empty)
        tensors = [getattr(arcs, field.name) for arcs in both for field in fields(Arcs)]
        return sum(t.numel() * t.element_size() for t in (*tensors, self.level, self.final_cost))


def to_device(graph: StaticGraph, device: torch.device) -> DeviceGraph:
    """The graph's tensors on a device.

    Raises:
        ModelError: an index outside the graph, costs that are no numbers, or empty arcs that lead
            back.
    """
    graph.validate()
    if graph.arcs + graph.emitting > MOST_ARCS:
        raise ModelError("the static graph has too many arcs; prune the language model more")
    source = np.repeat(np.arange(graph.states, dtype=np.int32), np.diff(graph.arc_begin))
    empties = graph.arc_target >= graph.emitting
    levels = _levels(graph, source[empties], graph.arc_target[empties])
    late = source >= graph.emitting
    return DeviceGraph(
        emitting=_emitting_arcs(graph, source, device),
        empty=_arcs(
            graph.states,
            source[empties],
            graph.arc_target[empties],
            graph.arc_cost[empties],
            graph.arc_unit[empties],
            np.zeros(int(empties.sum()), np.int32),
            np.zeros(int(empties.sum()), np.uint8),
            device,
        ),
        level=torch.from_numpy(levels).to(device),
        depth=int(levels.max(initial=0)),
        final_cost=torch.from_numpy(np.array(graph.final_cost, np.float32)).to(device),
        late_units=bool(np.any(graph.arc_unit[late] >= 0)),
    )


def _levels(
    graph: StaticGraph, source: NDArray[np.int32], target: NDArray[np.int32]
) -> NDArray[np.int32]:
    """The longest way to each state along empty arcs (those given): int32 [S]."""
    levels = np.zeros(graph.states, np.int32)
    levels[graph.emitting :] = 1
    inner = source >= graph.emitting
    source, target = source[inner], target[inner]
    while True:
        higher = levels[source] + 1 > levels[target]
        if not higher.any():
            return levels
        np.maximum.at(levels, target[higher], levels[source[higher]] + 1)


def _emitting_arcs(graph: StaticGraph, source: NDArray[np.int32], device: torch.device) -> Arcs:
    """Arcs into emitting states; the first arc of an emitting state is its self-loop."""
    real = graph.arc_target < graph.emitting
    itself = np.arange(graph.emitting, dtype=np.int32)
    target = graph.arc_target[real]
    sources = np.concatenate([itself, source[real]])
    order = np.argsort(sources, kind="stable")
    cost = np.concatenate([graph.loop_cost, graph.arc_cost[real]])
    unit = np.concatenate([np.full(graph.emitting, -1, np.int32), graph.arc_unit[real]])
    pdf = np.concatenate([graph.loop, graph.forward[target]])
    nothing = np.zeros(graph.emitting, np.uint8)
    event = np.concatenate([nothing, _events(graph, source[real], target)])
    return _arcs(
        graph.states,
        sources[order],
        np.concatenate([itself, target])[order],
        cost[order],
        unit[order],
        pdf[order],
        event[order],
        device,
    )


def _events(
    graph: StaticGraph, source: NDArray[np.int32], target: NDArray[np.int32]
) -> NDArray[np.uint8]:
    """What begins with arcs into emitting states: uint8, one an arc."""
    role = graph.role
    if role is None:
        role = np.full(graph.states, Role.BETWEEN, np.uint8)
        role[: graph.emitting] = Role.SPELLING
    enters = role[target] != role[source]
    events = np.zeros(len(source), np.uint8)
    events[enters & (role[target] == Role.SPELLING)] = UNIT_BEGINS
    events[enters & (role[target] == Role.PAUSE)] = PAUSE_BEGINS
    return events


def _arcs(
    states: int,
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    cost: NDArray[np.float32],
    unit: NDArray[np.int32],
    pdf: NDArray[np.int32],
    event: NDArray[np.uint8],
    device: torch.device,
) -> Arcs:
    """Arcs given in the order of their sources."""
    count = np.bincount(source, minlength=states)
    arrays = (np.cumsum(count) - count, count, target, cost, unit, pdf, event)
    kinds = (np.int32, np.int32, np.int32, np.float32, np.int32, np.int32, np.uint8)
    return Arcs(
        *(
            torch.from_numpy(np.ascontiguousarray(array, kind)).to(device)
            for array, kind in zip(arrays, kinds, strict=True)
        )
    )
