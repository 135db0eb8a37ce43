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
from asr.graph.static_graph import StaticGraph


@dataclass(frozen=True, slots=True, eq=False)
class Arcs:
    """Arcs by the state that they leave, all tensors int32 but the costs.

    Attributes:
        first: [S], the first arc of each state. count: [S], how many it has.
        target: [A]. cost: float32 [A], nats. unit: [A], id or −1.
        pdf: [A], what scores the frame; of empty arcs 0.
    """

    first: Tensor
    count: Tensor
    target: Tensor
    cost: Tensor
    unit: Tensor
    pdf: Tensor


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
        num_pdfs: how many pdfs the graph reads.
    """

    emitting: Arcs
    empty: Arcs
    level: Tensor
    depth: int
    final_cost: Tensor
    late_units: bool
    num_pdfs: int

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
    source = _sources(graph)
    if not _is_sound(graph, source):
        raise ModelError("the static graph's arrays do not fit together; compile it again")
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
            device,
        ),
        level=torch.from_numpy(levels).to(device),
        depth=int(levels.max(initial=0)),
        final_cost=torch.from_numpy(np.array(graph.final_cost, np.float32)).to(device),
        late_units=bool(np.any(graph.arc_unit[late] >= 0)),
        num_pdfs=1 + int(max(graph.forward.max(), graph.loop.max())),
    )


def _sources(graph: StaticGraph) -> NDArray[np.int32]:
    """The state that each arc leaves."""
    counts = np.diff(graph.arc_begin)
    if len(counts) != graph.states or np.any(counts < 0) or counts.sum() != graph.arcs:
        raise ModelError("the static graph's arcs do not belong to its states; compile it again")
    return np.repeat(np.arange(graph.states, dtype=np.int32), counts)


def _is_sound(graph: StaticGraph, source: NDArray[np.int32]) -> bool:
    target = graph.arc_target
    empty = (source >= graph.emitting) & (target >= graph.emitting)
    return (
        0 < graph.emitting <= graph.states < 2**31
        and graph.arcs + graph.emitting < 2**31
        and len(graph.arc_cost) == len(graph.arc_unit) == graph.arcs
        and len(graph.loop) == len(graph.loop_cost) == graph.emitting
        and 0 <= graph.start < graph.emitting
        and bool(np.all((target >= 0) & (target < graph.states)))
        and bool(np.all(target[empty] > source[empty]))
        and int(min(graph.forward.min(), graph.loop.min())) >= 0
        and int(graph.arc_unit.max(initial=-1)) < len(graph.units)
        and bool(np.isfinite(graph.arc_cost).all() and np.isfinite(graph.loop_cost).all())
        and not bool(np.isnan(graph.final_cost).any() or np.isneginf(graph.final_cost).any())
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
    columns = (
        sources,
        np.concatenate([itself, target]),
        np.concatenate([graph.loop_cost, graph.arc_cost[real]]),
        np.concatenate([np.full(graph.emitting, -1, np.int32), graph.arc_unit[real]]),
        np.concatenate([graph.loop, graph.forward[target]]),
    )
    return _arcs(graph.states, *(column[order] for column in columns), device)


def _arcs(
    states: int,
    source: NDArray[np.int32],
    target: NDArray[np.int32],
    cost: NDArray[np.float32],
    unit: NDArray[np.int32],
    pdf: NDArray[np.int32],
    device: torch.device,
) -> Arcs:
    """Arcs given in the order of their sources."""
    count = np.bincount(source, minlength=states)
    arrays = (np.cumsum(count) - count, count, target, cost, unit, pdf)
    kinds = (np.int32, np.int32, np.int32, np.float32, np.int32, np.int32)
    return Arcs(
        *(
            torch.from_numpy(np.ascontiguousarray(array, kind)).to(device)
            for array, kind in zip(arrays, kinds, strict=True)
        )
    )
