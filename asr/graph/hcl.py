"""HCL: the lexicon transducer with context and HMM states, as flat arrays for the search.

Each HMM state is a state of its own: its first frame emits the *forward* pdf, every further frame
the *self-loop* pdf. The chain topology gives one HMM state a phone, so with a left-biphone tree a
state of HCL is a state of L with a pair of pdfs; classical models have three states a phone, one
after the other, whose two pdfs are the same.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.graph.context import NO_STATES, Expansion, Node
from asr.graph.emissions import Emissions, HmmState
from asr.graph.lexicon import Kind, Lexicon, State
from asr.graph.nodes import NUM_NODES, ROOT_NODE, onset_node, vowel_node
from asr.graph.reachability import leading_to_an_end
from asr.hangul.jamo import CODAS
from asr.hangul.phones import PHONES

__all__ = ["NUM_NODES", "ROOT_NODE", "HclGraph", "compile_hcl", "onset_node", "vowel_node"]

MAX_PDFS = 1 << 20
DTYPES = {
    "kind": np.int8, "node": np.int32, "first": np.uint8, "final": np.uint8,
    "phone": np.int16, "forward": np.int32, "loop": np.int32, "loop_cost": np.float32,
    "arc_begin": np.int64, "arc_target": np.int32, "arc_cost": np.float32,
    "arc_unit": np.int32, "start": np.int32,
}  # fmt: skip


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


def compile_hcl(lexicon: Lexicon, emissions: Emissions, units: Mapping[str, int]) -> HclGraph:
    """Compose L with context and HMM states, breadth-first from the start.

    Args:
        lexicon: the jamo lexicon transducer.
        emissions: the acoustic model's HMM states by phone, neighbours and position.
        units: LM unit → id, for the arcs' labels.

    Raises:
        ModelError: no unit opens an eojeol, or the acoustic model lacks a phone.
    """
    expansion = Expansion(lexicon, emissions)
    found = _expand(expansion, units)
    if found.unit.max(initial=-1) < 0:
        raise ModelError(
            "the language model knows no syllable that may start an eojeol (written ▁가): "
            "its units are not those of `asr train-lm`"
        )
    return _lay_out(found, expansion.hmms)


class _Found(NamedTuple):
    """All nodes, breadth-first from the start, and their arcs, grouped by source."""

    nodes: list[Node]
    final: NDArray[np.bool_]
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    cost: NDArray[np.float64]
    unit: NDArray[np.int64]


def _expand(expansion: Expansion, units: Mapping[str, int]) -> _Found:
    number = {expansion.start: 0}
    nodes = [expansion.start]
    sources, targets, costs, labels = array("q"), array("q"), array("d"), array("q")
    for source, node in enumerate(nodes):  # grows while it is walked
        for edge in expansion.edges(node):
            target = number.get(edge.target)
            if target is None:
                target = number[edge.target] = len(nodes)
                nodes.append(edge.target)
            sources.append(source)
            targets.append(target)
            costs.append(edge.cost)
            labels.append(units[edge.unit] if edge.unit else -1)
    return _Found(
        nodes,
        np.fromiter(map(expansion.is_final, nodes), bool, len(nodes)),
        *(np.array(column) for column in (sources, targets, costs, labels)),
    )


def _lay_out(found: _Found, hmms: Sequence[tuple[HmmState, ...]]) -> HclGraph:
    """Number the states: a node's HMM states in a row; pending states after all others.

    What it costs to leave an HMM state is paid on entering it: a path that enters it leaves it, and
    so the end of an utterance needs no costs of its own.
    """
    # where a piece goes on into a pause, no utterance ends
    alive = leading_to_an_end(found.final, found.source, found.target)
    nodes = [node for node, is_alive in zip(found.nodes, alive.tolist(), strict=True) if is_alive]
    length = np.array([len(hmms[node.hmm]) if node.hmm != NO_STATES else 0 for node in nodes])
    emitting, pending = int(length.sum()), int((length == 0).sum())
    head = np.where(length > 0, np.cumsum(length) - length, emitting + np.cumsum(length == 0) - 1)
    tail = head + np.maximum(length, 1) - 1
    # a row for each HMM state, then one for each pending state: its node, its place in it
    order = np.concatenate([np.repeat(np.arange(len(nodes)), length), np.flatnonzero(length == 0)])
    place = np.arange(len(order)) - head[order]
    is_last = place == tail[order] - head[order]
    chains = [hmms[node.hmm] for node in nodes if node.hmm != NO_STATES]
    states = [state for chain in chains for state in chain]
    kind = np.array([node.state.kind for node in nodes], np.int8)[order]
    kind[(kind == Kind.VOWEL) & ~is_last] = Kind.ONSET
    renumbered = np.cumsum(alive) - 1
    kept = alive[found.source] & alive[found.target]
    source = tail[renumbered[found.source[kept]]]
    target = head[renumbered[found.target[kept]]]
    cost, unit = found.cost[kept], found.unit[kept]
    on = np.flatnonzero(~is_last)  # from each HMM state of a phone to its next
    source, target = np.concatenate([source, on]), np.concatenate([target, on + 1])
    cost = np.concatenate([cost, np.zeros(len(on))])
    unit = np.concatenate([unit, np.full(len(on), -1)])
    forward_cost = np.array([state.forward_cost for state in states] + [0.0] * pending)
    cost += forward_cost[target]
    # labels ascend, so that the search can walk them along an LM state's arcs
    rank = np.lexsort((unit, source))
    counts = np.bincount(source, minlength=len(order))
    return HclGraph(
        kind=kind,
        node=np.array([node.state.above for node in nodes], np.int32)[order],
        first=np.array([node.state.first for node in nodes], np.uint8)[order],
        phone=np.array([_phone(nodes[number].state) for number in order[:emitting]], np.int16),
        forward=np.array([state.forward for state in states], np.int32),
        loop=np.array([state.loop for state in states], np.int32),
        loop_cost=np.array([state.loop_cost for state in states], np.float32),
        arc_begin=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        arc_target=target[rank].astype(np.int32),
        arc_cost=cost[rank].astype(np.float32),
        arc_unit=unit[rank].astype(np.int32),
        final=(found.final[alive][order] & is_last).astype(np.uint8),
        start=np.array([0], np.int32),  # the first node that was expanded
    )


def _phone(state: State) -> int:
    return -1 if state.kind == Kind.SILENCE else PHONES.index(state.phone)
