"""HCLG: the search graph with its language model composed in, as flat arrays.

For comparison with other decoders, and for searching many utterances at once. HCL and G apart
(:mod:`asr.graph.hcl`) are smaller and take another language model at once; this one needs no
look-ups while it is searched. :mod:`asr.graph.static_compile` makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError

MAX_PDFS = 1 << 20
MAX_STATES = (1 << 31) - 1


class Role(IntEnum):
    """What a state of a static graph stands for; tells when units and pauses begin."""

    BETWEEN = 0  # no unit has begun, or its last coda is spoken
    SPELLING = 1  # in the midst of a unit
    PAUSE = 2


@dataclass(frozen=True, slots=True, eq=False)
class StaticGraph:
    """Arrays of a static graph: E emitting states come first, non-emitting ones after them.

    Entering emitting state t takes a frame, scored by pdf ``forward[t]``; staying there for another
    frame is scored by ``loop[t]`` and costs ``loop_cost[t]``. Entering a non-emitting state takes
    no frame; arcs between non-emitting states lead to higher numbers, so there are no empty loops.

    Attributes:
        forward: int32 [E]. loop: int32 [E]. loop_cost: float32 [E], nats.
        arc_begin: int64 [S + 1], arcs of state s are ``arc_begin[s]:arc_begin[s + 1]``.
        arc_target: int32 [A]. arc_cost: float32 [A], nats. arc_unit: int32 [A], id or −1.
        final_cost: float32 [S], nats; infinite where no utterance may end.
        start: the start state (emitting; it is occupied before the first frame).
        units: the language model's units, by id.
        role: uint8 [S], :class:`Role`; None where it is not known. Then a unit is taken to begin
            where the one before it ends, and pauses are not told apart.
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
    role: NDArray[np.uint8] | None = None

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

    @property
    def num_pdfs(self) -> int:
        """How many pdfs the scores of a frame must have at least."""
        return 1 + int(max(self.forward.max(), self.loop.max()))

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (getattr(self, name) for name in self.__slots__)
        return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))

    def validate(self) -> None:
        """Refuse arrays that would make a search read or write outside of them (ModelError)."""
        if not (self._is_shaped() and self._is_connected()):
            raise ModelError("the static graph's arrays do not fit together; compile it again")

    def _is_shaped(self) -> bool:
        states, arcs, emitting = self.states, self.arcs, self.emitting
        shapes: list[tuple[NDArray[Any], Any, int]] = [
            (self.forward, np.int32, emitting), (self.loop, np.int32, emitting),
            (self.loop_cost, np.float32, emitting), (self.final_cost, np.float32, states),
            (self.arc_begin, np.int64, states + 1), (self.arc_target, np.int32, arcs),
            (self.arc_cost, np.float32, arcs), (self.arc_unit, np.int32, arcs),
        ]  # fmt: skip
        if self.role is not None:
            shapes.append((self.role, np.uint8, states))
        return 0 < emitting <= states <= MAX_STATES and all(
            array.dtype == dtype and array.shape == (length,) for array, dtype, length in shapes
        )

    def _is_connected(self) -> bool:
        states, arcs, emitting = self.states, self.arcs, self.emitting
        if not (
            _within(self.forward, MAX_PDFS)
            and _within(self.loop, MAX_PDFS)
            and _within(self.arc_target, states)
            and 0 <= self.start < emitting
            and (self.arc_begin[0], self.arc_begin[-1]) == (0, arcs)
            and bool(np.all(np.diff(self.arc_begin) >= 0))
            and bool(np.isfinite(self.arc_cost).all() and np.isfinite(self.loop_cost).all())
            and bool((self.final_cost > -np.inf).all())  # false for what is no number, too
            and (arcs == 0 or int(self.arc_unit.min()) >= -1)
            and (arcs == 0 or int(self.arc_unit.max()) < len(self.units))
            and (self.role is None or _within(self.role, len(Role)))
        ):
            return False
        silent = slice(int(self.arc_begin[emitting]), None)
        source = np.repeat(np.arange(emitting, states), np.diff(self.arc_begin[emitting:]))
        target = self.arc_target[silent]
        return bool(np.all((target < emitting) | (target > source)))


def _within(indices: NDArray[np.integer], size: int) -> bool:
    return bool(indices.size == 0 or (int(indices.min()) >= 0 and int(indices.max()) < size))
