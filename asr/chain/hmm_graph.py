"""Graphs of HMM states without words: what is summed over in training.

The convention is that of HCL (:mod:`asr.graph.hcl`): entering a state takes a frame, scored by the
state's *forward* pdf; each further frame there is scored by its *loop* pdf.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.decoder.align_graph import TextGraph
from asr.errors import DataError


class HmmGraph(NamedTuple):
    """S emitting states and E edges between them; state 0 is occupied before the first frame.

    forward, loop: int32 [S], pdfs. loop_cost: float32 [S], nats for each further frame.
    edge_begin: int64 [S + 1]; the edges into state s are ``edge_begin[s]:edge_begin[s + 1]``.
    edge_source: int32 [E]; edge_cost: float32 [E], nats.
    final_cost: float32 [S], nats; infinite where an utterance may not end.
    """

    forward: NDArray[np.int32]
    loop: NDArray[np.int32]
    loop_cost: NDArray[np.float32]
    edge_begin: NDArray[np.int64]
    edge_source: NDArray[np.int32]
    edge_cost: NDArray[np.float32]
    final_cost: NDArray[np.float32]

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.forward)

    @property
    def edges(self) -> int:
        """How many edges there are, self-loops not counted."""
        return len(self.edge_source)

    @property
    def edge_target(self) -> NDArray[np.int64]:
        """The state into which each edge leads: int64 [E]."""
        return np.repeat(np.arange(self.states), np.diff(self.edge_begin))

    @property
    def num_pdfs(self) -> int:
        """How many pdfs the scores of a frame must have at least."""
        return 1 + int(max(self.forward.max(), self.loop.max()))


def from_text_graph(graph: TextGraph) -> HmmGraph:
    """The ways to say a text, without what is in it.

    Raises:
        DataError: the text cannot be said.
    """
    if len(graph.state) == 0 or not np.isfinite(graph.final_cost).any():
        raise DataError("the text cannot be said with the model's units; check its spelling")
    return HmmGraph(
        forward=graph.forward,
        loop=graph.loop,
        loop_cost=graph.loop_cost,
        edge_begin=graph.edge_begin,
        edge_source=graph.edge_source,
        edge_cost=graph.edge_cost,
        final_cost=graph.final_cost,
    )


def from_edges(
    forward: NDArray[np.int32],
    loop: NDArray[np.int32],
    loop_cost: NDArray[np.float32],
    edges: tuple[NDArray[np.integer], NDArray[np.integer], NDArray[np.floating]],
    final_cost: NDArray[np.float32],
) -> HmmGraph:
    """Group edges (sources, targets, costs; in any order) by their targets."""
    source, target, cost = edges
    order = np.argsort(target, kind="stable")
    counts = np.bincount(target, minlength=len(forward))
    return HmmGraph(
        forward=np.ascontiguousarray(forward, np.int32),
        loop=np.ascontiguousarray(loop, np.int32),
        loop_cost=np.ascontiguousarray(loop_cost, np.float32),
        edge_begin=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        edge_source=np.ascontiguousarray(source[order], np.int32),
        edge_cost=np.ascontiguousarray(cost[order], np.float32),
        final_cost=np.ascontiguousarray(final_cost, np.float32),
    )
