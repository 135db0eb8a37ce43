"""HCLG: the search graph with its language model composed in, as flat arrays.

For comparison with other decoders, and for searching many utterances at once. HCL and G apart
(:mod:`asr.graph.hcl`) are smaller and take another language model at once; this one needs no
look-ups while it is searched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class StaticGraph:
    """Arrays of a static graph: E emitting states come first, non-emitting ones after them.

    Entering emitting state t takes a frame, scored by pdf ``forward[t]``; staying there for another
    frame is scored by ``loop[t]`` and costs ``loop_cost[t]``. Entering a non-emitting state takes no
    frame; arcs between non-emitting states lead to higher numbers, so there are no empty loops.

    Attributes:
        forward: int32 [E]. loop: int32 [E]. loop_cost: float32 [E], nats.
        arc_begin: int64 [S + 1], arcs of state s are ``arc_begin[s]:arc_begin[s + 1]``.
        arc_target: int32 [A]. arc_cost: float32 [A], nats. arc_unit: int32 [A], id or −1.
        final_cost: float32 [S], nats; infinite where no utterance may end.
        start: the start state (emitting; it is occupied before the first frame).
        units: the language model's units, by id.
    """

    forward: NDArray[np.int32]
    loop: NDArray[np.int32]
    loop_cost: NDArray[np.float32]
    arc_begin: NDArray[np.int64]
    arc_target: NDArray[np.int32]
    arc_cost: NDArray[np.float32]
    arc_unit: NDArray[np.int32]
    final_cost: NDArray[np.float32]
    start: int
    units: tuple[str, ...]

    @property
    def emitting(self) -> int:
        """How many states emit."""
        return len(self.forward)

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.final_cost)

    @property
    def arcs(self) -> int:
        """How many arcs there are, self-loops not counted."""
        return len(self.arc_target)
