"""HCL: the lexicon transducer with context and HMM states, as flat arrays for the search.

The chain topology gives one HMM state a phone: its first frame emits the *forward* pdf, every
further frame the *self-loop* pdf. A left-biphone tree maps a phone and its left neighbour straight
to that pair of pdfs, so a state of HCL is a state of L with a pair of pdfs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.graph.emissions import OPEN, EmissionModel
from asr.graph.lexicon import SILENCE, START, Arc, Kind, State, SyllableLexicon
from asr.hangul.jamo import CODAS, NUCLEI, ONSETS
from asr.hangul.phones import PHONES
from asr.hmm.phones import Position

#: Look-ahead nodes: 0 = any unit; then by (initial, onset); then by (initial, onset, nucleus).
ROOT_NODE = 0
MAX_PDFS = 1 << 20
DTYPES = {
    "kind": np.int8, "node": np.int32, "first": np.uint8, "final": np.uint8,
    "phone": np.int16, "forward": np.int32, "loop": np.int32, "loop_cost": np.float32,
    "arc_begin": np.int64, "arc_target": np.int32, "arc_cost": np.float32,
    "arc_unit": np.int32, "start": np.int32,
}  # fmt: skip
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
        node: int32 [S], look-ahead node of the first syllable of the unit that is being spelled;
            ``ROOT_NODE`` in pauses and between units. States of a unit's further syllables, and
            the codas and pending states before them, keep the vowel node of the first.
        first: uint8 [S], 1 for onsets and vowels of a unit's first syllable, else 0.
        phone: int16 [E], the phone that a state speaks, an index into
            :data:`asr.hangul.phones.PHONES`, or −1 in pauses.
        forward: int32 [E], the pdf scored in a state's first frame.
        loop: int32 [E], the pdf scored in its further frames.
        loop_cost: float32 [E] (nats), what each further frame costs; 0 in chain models.
        arc_begin: int64 [S + 1], arcs of state s are ``arc_begin[s]:arc_begin[s + 1]``.
        arc_target: int32 [A]; arc_cost: float32 [A] (nats); arc_unit: int32 [A], LM unit or −1,
            ascending within a state.
        final: uint8 [S], 1 where an utterance may end.
        start: int32 [1], the start state.
    """

    kind: NDArray[np.int8]
    node: NDArray[np.int32]
    first: NDArray[np.uint8]
    phone: NDArray[np.int16]
    forward: NDArray[np.int32]
    loop: NDArray[np.int32]
    loop_cost: NDArray[np.float32]
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
            raise ModelError(
                f"the decoding graph lacks {', '.join(missing)}; import the model again"
            )
        graph = cls(**{field.name: np.asarray(tensors[field.name]) for field in fields(cls)})
        graph.validate()
        return graph

    def validate(self) -> None:
        """Refuse arrays that would make the search read or write outside of them (ModelError)."""
        if not (self._is_shaped() and self._is_connected()):
            raise ModelError(
                "the decoding graph's arrays do not fit together; import the model again"
            )

    def _is_shaped(self) -> bool:
        states, arcs, emitting = len(self.kind), len(self.arc_target), len(self.forward)
        lengths = {
            "kind": states, "node": states, "first": states, "final": states,
            "phone": emitting, "forward": emitting, "loop": emitting, "loop_cost": emitting,
            "arc_begin": states + 1, "start": 1,
            "arc_target": arcs, "arc_cost": arcs, "arc_unit": arcs,
        }  # fmt: skip
        return 0 < emitting <= states and all(
            getattr(self, name).shape == (length,) and getattr(self, name).dtype == DTYPES[name]
            for name, length in lengths.items()
        )

    def _is_connected(self) -> bool:
        """Whether indices are in range, and arcs lead where the search expects."""
        states, arcs, emitting = len(self.kind), len(self.arc_target), len(self.forward)
        counts = np.diff(self.arc_begin)
        return (
            np.array_equal(self.kind == Kind.PENDING, np.arange(states) >= emitting)
            and _within(self.kind, len(Kind))
            and _within(self.arc_target, states)
            and _within(self.node, NUM_NODES)
            and _within(self.first, 2)
            and _within(self.phone + 1, 1 + len(PHONES))
            and np.array_equal(self.phone < 0, self.kind[:emitting] == Kind.SILENCE)
            and _within(self.forward, MAX_PDFS)
            and _within(self.loop, MAX_PDFS)
            and _within(self.start, emitting)
            and (self.arc_begin[0], self.arc_begin[-1]) == (0, arcs)
            and bool(np.all(counts >= 0))
            and bool(np.isfinite(self.arc_cost).all() and np.isfinite(self.loop_cost).all())
            and self._is_spelled(np.repeat(np.arange(states), counts))
        )

    def _is_spelled(self, source: NDArray[np.int64]) -> bool:
        """Whether labels, inner and outer pending states and pauses are where they may be.

        ``source`` is each arc's state. A vowel's unlabelled arcs lead to inner pending states (in
        the midst of a unit), its labelled ones to outer pending states (between units).
        """
        states = len(self.kind)
        vowel, pending = self.kind == Kind.VOWEL, self.kind == Kind.PENDING
        inner = pending & (self.node != ROOT_NODE)
        labelled = self.arc_unit >= 0
        to_silence = self.kind[self.arc_target] == Kind.SILENCE
        within_state = np.diff(source) == 0
        return (
            np.array_equal(pending[self.arc_target], vowel[source])
            and np.array_equal(inner[self.arc_target], vowel[source] & ~labelled)
            and bool(np.all(vowel[source[labelled]]))
            and bool(np.all(np.diff(self.arc_unit)[within_state] >= 0))
            and bool(np.all(self.arc_unit >= -1))
            and _most(source[vowel[source] & labelled], states) <= len(CODAS)
            and _most(source[vowel[source] & ~labelled], states) <= len(CODAS)
            and _most(source[pending[source] & to_silence], states) <= 1
            and not bool(np.any(inner[source] & to_silence))
            and not bool(np.any(inner & (self.final > 0)))
            and bool(np.all(np.isin(self.kind[self.first > 0], (Kind.ONSET, Kind.VOWEL))))
        )


def _within(indices: NDArray[np.generic], size: int) -> bool:
    values = np.asarray(indices)
    return bool(values.size == 0 or (int(values.min()) >= 0 and int(values.max()) < size))


def _most(states: NDArray[np.int64], size: int) -> int:
    """How often the most frequent state occurs."""
    return int(np.bincount(states, minlength=size).max(initial=0))


@dataclass(frozen=True, slots=True)
class _Node:
    """A state of L, its phone's position, and its pdfs in place of its left phone."""

    state: State
    position: Position
    forward: int = -1
    loop: int = -1


@dataclass(frozen=True, slots=True)
class _Edge:
    target: _Node
    cost: float
    unit: str


def compile_hcl(
    lexicon: SyllableLexicon, emissions: EmissionModel, units: Mapping[str, int]
) -> HclGraph:
    """Compose L with context and HMM states, breadth-first from the start.

    Args:
        lexicon: the jamo lexicon transducer.
        emissions: the acoustic model's pdfs by phone, left phone and position.
        units: LM unit → id, for the arcs' labels.
    """
    edges = _prune_dead_ends(_expand(lexicon, emissions), lexicon)
    if not any(edge.unit for out in edges.values() for edge in out):
        raise ModelError(
            "the language model knows no syllable that may start an eojeol (written ▁가): "
            "its units are not those of `asr train-lm`"
        )
    emitting = [node for node in edges if node.state.kind != Kind.PENDING]
    nodes = emitting + [node for node in edges if node.state.kind == Kind.PENDING]
    index = {node: number for number, node in enumerate(nodes)}
    # labels ascend, so that the search can walk them along an LM state's arcs
    flat = [
        edge for node in nodes for edge in sorted(edges[node], key=lambda e: units.get(e.unit, -1))
    ]
    counts = [len(edges[node]) for node in nodes]
    return HclGraph(
        kind=np.array([node.state.kind for node in nodes], np.int8),
        node=np.array([_lookahead_node(node.state) for node in nodes], np.int32),
        first=np.array([node.state.kind in (Kind.ONSET, Kind.VOWEL) for node in nodes], np.uint8),
        phone=np.array([_phone(node.state) for node in emitting], np.int16),
        forward=np.array([node.forward for node in emitting], np.int32),
        loop=np.array([node.loop for node in emitting], np.int32),
        loop_cost=np.zeros(len(emitting), np.float32),
        arc_begin=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        arc_target=np.array([index[edge.target] for edge in flat], np.int32),
        arc_cost=np.array([edge.cost for edge in flat], np.float32),
        arc_unit=np.array([units[edge.unit] if edge.unit else -1 for edge in flat], np.int32),
        final=np.array([_is_final(lexicon, node) for node in nodes], np.uint8),
        start=np.array([0], np.int32),  # the first state that was expanded
    )


def _expand(lexicon: SyllableLexicon, emissions: EmissionModel) -> dict[_Node, list[_Edge]]:
    silent = (SILENCE, Position.NONE)
    start = _Node(_without_left(START), Position.NONE, *emissions.pdfs(silent, silent))
    edges: dict[_Node, list[_Edge]] = {start: []}
    order = [start]
    for node in order:  # grows while it is walked
        cheapest: dict[tuple[_Node, str], float] = {}
        for arc in lexicon.arcs(node.state):
            for target in _targets(node, arc, emissions):
                key = (target, arc.unit)
                cheapest[key] = min(arc.cost, cheapest.get(key, arc.cost))
                if target not in edges:
                    edges[target] = []
                    order.append(target)
        edges[node] = [_Edge(target, cost, unit) for (target, unit), cost in cheapest.items()]
    return edges


def _targets(node: _Node, arc: Arc, emissions: EmissionModel) -> Iterator[_Node]:
    """The arc's target in each position that may follow."""
    source = node.state
    name = source.left if source.kind == Kind.PENDING else source.phone
    for position in emissions.positions(source, node.position, arc.target):
        if arc.target.kind == Kind.PENDING:
            yield _Node(arc.target, position)
        else:
            pdfs = emissions.pdfs((name, node.position), (arc.target.phone, position))
            yield _Node(_without_left(arc.target), position, *pdfs)


def _without_left(state: State) -> State:
    """States that differ in their left phone only merge where their pdfs are the same."""
    return replace(state, left="")


def _prune_dead_ends(
    edges: dict[_Node, list[_Edge]], lexicon: SyllableLexicon
) -> dict[_Node, list[_Edge]]:
    """Drop states from which nothing follows (a piece that goes on into a pause)."""
    while True:
        dead = {n for n, out in edges.items() if not out and not _is_final(lexicon, n)}
        if not dead:
            return edges
        edges = {
            node: [edge for edge in out if edge.target not in dead]
            for node, out in edges.items()
            if node not in dead
        }


def _is_final(lexicon: SyllableLexicon, node: _Node) -> bool:
    return node.position not in OPEN and lexicon.is_final(node.state)


def _phone(state: State) -> int:
    return -1 if state.kind == Kind.SILENCE else PHONES.index(state.phone)


def _lookahead_node(state: State) -> int:
    if state.kind == Kind.ONSET:
        return onset_node(state.initial, state.onset)
    if state.kind == Kind.VOWEL:
        return vowel_node(state.initial, state.onset, state.nucleus)
    return ROOT_NODE
