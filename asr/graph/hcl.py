"""HCL: the lexicon transducer with context and HMM states, as flat arrays for the search.

The chain topology gives one HMM state a phone: its first frame emits the *forward* pdf, every
further frame the *self-loop* pdf. A lexicon state holds its phone and left phone, so a left-biphone
tree maps it straight to a pair of pdfs and L's states are HCL's states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.graph.emissions import EmissionModel
from asr.graph.lexicon import START, Arc, Kind, State, SyllableLexicon
from asr.hangul.jamo import NUCLEI, ONSETS

#: Look-ahead nodes: 0 = any unit; then by (initial, onset); then by (initial, onset, nucleus).
ROOT_NODE = 0
NUM_NODES = 1 + 2 * len(ONSETS) * (1 + len(NUCLEI))


def onset_node(initial: bool, onset: int) -> int:
    """The look-ahead node of all units that begin with this onset."""
    return 1 + int(initial) * len(ONSETS) + onset


def vowel_node(initial: bool, onset: int, nucleus: int) -> int:
    """The look-ahead node of all units that begin with this onset and vowel."""
    first = 1 + 2 * len(ONSETS)
    return first + (int(initial) * len(ONSETS) + onset) * len(NUCLEI) + nucleus


@dataclass(frozen=True, slots=True)
class HclGraph:
    """Arrays of the compiled graph. Emitting states come first, pending states after them.

    Attributes:
        kind: int8 [S], :class:`~asr.graph.lexicon.Kind`.
        node: int32 [S], look-ahead node of onset and vowel states, else ``ROOT_NODE``.
        forward: int32 [E], row of ``emission_pdfs`` scored in a phone's first frame.
        loop: int32 [E], the row scored in its further frames.
        emission_pdfs: int32 [K, M], pdf-ids of each emission class, padded by repetition; a class
            scores as the best of its pdfs.
        arc_begin: int64 [S + 1], arcs of state s are ``arc_begin[s]:arc_begin[s + 1]``.
        arc_target: int32 [A]; arc_cost: float32 [A] (nats); arc_unit: int32 [A], LM unit or −1.
        final: uint8 [S], 1 where an utterance may end.
        start: int32 [1], the start state.
    """

    kind: NDArray[np.int8]
    node: NDArray[np.int32]
    forward: NDArray[np.int32]
    loop: NDArray[np.int32]
    emission_pdfs: NDArray[np.int32]
    arc_begin: NDArray[np.int64]
    arc_target: NDArray[np.int32]
    arc_cost: NDArray[np.float32]
    arc_unit: NDArray[np.int32]
    final: NDArray[np.uint8]
    start: NDArray[np.int32]

    def to_tensors(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by name, for a bundle."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[np.generic]]) -> HclGraph:
        """Inverse of :meth:`to_tensors`.

        Raises:
            ModelError: an array is missing or an index points outside the graph.
        """
        missing = [field.name for field in fields(cls) if field.name not in tensors]
        if missing:
            raise ModelError(f"the decoding graph lacks {', '.join(missing)}; import the model again")
        graph = cls(**{field.name: np.asarray(tensors[field.name]) for field in fields(cls)})
        graph.validate()
        return graph

    def validate(self) -> None:
        """Refuse indices that would make the search read outside its arrays (ModelError)."""
        states, arcs, emitting = len(self.kind), len(self.arc_target), len(self.forward)
        classes = len(self.emission_pdfs)
        sound = (
            len(self.arc_begin) == states + 1
            and self.arc_begin[0] == 0
            and self.arc_begin[-1] == arcs
            and bool(np.all(np.diff(self.arc_begin) >= 0))
            and _within(self.arc_target, states)
            and _within(self.node, NUM_NODES)
            and _within(self.forward, classes)
            and _within(self.loop, classes)
            and len(self.loop) == emitting <= states
            and len(self.arc_cost) == len(self.arc_unit) == arcs
            and len(self.final) == len(self.node) == states
            and _within(self.start, emitting)
        )
        if not sound:
            raise ModelError("the decoding graph's arrays do not fit together; import the model again")


def _within(indices: NDArray[np.generic], size: int) -> bool:
    values = np.asarray(indices)
    return bool(values.size == 0 or (int(values.min()) >= 0 and int(values.max()) < size))


def compile_hcl(
    lexicon: SyllableLexicon, emissions: EmissionModel, units: Mapping[str, int]
) -> HclGraph:
    """Expand ``lexicon`` breadth-first and attach pdfs.

    Args:
        lexicon: the jamo lexicon transducer.
        emissions: the acoustic model's pdfs by phone and left phone.
        units: LM unit → id, for the arcs' labels.
    """
    order, arcs = _expand(lexicon)
    emitting = [state for state in order if state.kind != Kind.PENDING]
    states = emitting + [state for state in order if state.kind == Kind.PENDING]
    index = {state: number for number, state in enumerate(states)}
    classes: dict[tuple[int, ...], int] = {}
    forward, loop = [], []
    for state in emitting:
        first, further = emissions.pdfs(state.left, state.phone)
        forward.append(classes.setdefault(tuple(sorted(set(first))), len(classes)))
        loop.append(classes.setdefault(tuple(sorted(set(further))), len(classes)))
    flat = [arc for state in states for arc in arcs[state]]
    counts = [len(arcs[state]) for state in states]
    return HclGraph(
        kind=np.array([state.kind for state in states], np.int8),
        node=np.array([_node(state) for state in states], np.int32),
        forward=np.array(forward, np.int32),
        loop=np.array(loop, np.int32),
        emission_pdfs=_padded(list(classes)),
        arc_begin=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        arc_target=np.array([index[arc.target] for arc in flat], np.int32),
        arc_cost=np.array([arc.cost for arc in flat], np.float32),
        arc_unit=np.array([units[arc.unit] if arc.unit else -1 for arc in flat], np.int32),
        final=np.array([lexicon.is_final(state) for state in states], np.uint8),
        start=np.array([index[START]], np.int32),
    )


def _expand(lexicon: SyllableLexicon) -> tuple[list[State], dict[State, list[Arc]]]:
    order = [START]
    arcs: dict[State, list[Arc]] = {START: []}
    for state in order:  # grows while it is walked
        cheapest: dict[tuple[State, str], Arc] = {}
        for arc in lexicon.arcs(state):
            known = cheapest.get((arc.target, arc.unit))
            if known is None or arc.cost < known.cost:
                cheapest[arc.target, arc.unit] = arc
        arcs[state] = list(cheapest.values())
        for arc in arcs[state]:
            if arc.target not in arcs:  # seen for the first time: queue it
                arcs[arc.target] = []
                order.append(arc.target)
    return order, arcs


def _node(state: State) -> int:
    if state.kind == Kind.ONSET:
        return onset_node(state.initial, state.onset)
    if state.kind == Kind.VOWEL:
        return vowel_node(state.initial, state.onset, state.nucleus)
    return ROOT_NODE


def _padded(sets: Sequence[tuple[int, ...]]) -> NDArray[np.int32]:
    width = max(len(ids) for ids in sets)
    return np.array([ids + (ids[0],) * (width - len(ids)) for ids in sets], np.int32)
