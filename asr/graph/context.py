"""L ∘ C ∘ H on the fly: states of the lexicon with their word positions, contexts and HMM states.

The phone to the left is known on entering a state. The phone to the right is not: where it matters,
a state stands for a *set* of right neighbours, those that give the same HMM states, and only arcs
to phones of the set leave it (through a pending state, which keeps the set). So a state is split no
further than its HMM states are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from asr.graph.emissions import OPEN, Emissions, HmmState, PhoneAt, positions_after
from asr.graph.lexicon import SILENCE, START, Arc, Kind, Lexicon, State
from asr.hmm.phones import Position

POSITIONS = tuple(Position)
UNPLACED = POSITIONS.index(Position.NONE)
ANY = -1
"""The number of the set of all right neighbours."""
NO_STATES = -1
"""In place of HMM states, for pending states."""
NO_LOOP = 1e6
"""Cost in nats of a self-loop that does not exist."""


class Node(NamedTuple):
    """A state of L ∘ C ∘ H.

    state: of L, without its left phone unless it is pending; position: index into ``POSITIONS``;
    hmm: number of its sequence of HMM states; rights: number of the set of its right neighbours.
    """

    state: State
    position: int
    hmm: int
    rights: int


class Edge(NamedTuple):
    """To ``target`` at ``cost`` (nats, transitions of the HMM not counted), spelling ``unit``."""

    target: Node
    cost: float
    unit: str


Place = tuple[int, int, int]
"""Position, HMM states and right neighbours of a node, as numbers."""


class Expansion:
    """Expands L ∘ C ∘ H from its start.

    Attributes:
        start: the state before the first frame. A model with one HMM state a phone and no
            transition costs waits there in silence; any other begins with a pause or without one.
    """

    def __init__(self, lexicon: Lexicon, emissions: Emissions) -> None:
        self._lexicon = lexicon
        self._emissions = emissions
        self._rights = tuple(emissions.rights)
        self._hmms: dict[tuple[HmmState, ...], int] = {}
        self._sets: dict[frozenset[PhoneAt], int] = {}
        self._members: list[frozenset[PhoneAt]] = []
        self._followers: dict[State, frozenset[str]] = {}
        self._groups: dict[tuple[PhoneAt, PhoneAt], dict[int, frozenset[PhoneAt]]] = {}
        self._places: dict[tuple[object, ...], tuple[Place, ...]] = {}
        silence = (SILENCE, Position.NONE)
        waits = () if self._rights else emissions.states(silence, silence, None)
        self._is_waiting = len(waits) == 1 and waits[0].loop_cost == waits[0].forward_cost == 0.0
        hmm = self._hmm(waits if self._is_waiting else (HmmState(0, 0, NO_LOOP),))
        self.start = Node(_without_left(START), UNPLACED, hmm, ANY)

    @property
    def hmms(self) -> list[tuple[HmmState, ...]]:
        """Sequences of HMM states by number."""
        return list(self._hmms)

    def edges(self, node: Node) -> list[Edge]:
        """All arcs that leave a node, the cheapest to each target under each unit."""
        cheapest: dict[tuple[Node, str], float] = {}
        for arc in self._arcs(node):
            for place in self._places_of(node, arc.target):
                target = arc.target
                if target.kind != Kind.PENDING:
                    target = _without_left(target)
                key = (Node(target, *place), arc.unit)
                cheapest[key] = min(arc.cost, cheapest.get(key, arc.cost))
        return [Edge(target, cost, unit) for (target, unit), cost in cheapest.items()]

    def is_final(self, node: Node) -> bool:
        """Whether an utterance may end here."""
        may_pause = node.rights == ANY or (SILENCE, Position.NONE) in self._members[node.rights]
        is_open = POSITIONS[node.position] in OPEN
        return may_pause and not is_open and self._lexicon.is_final(node.state)

    def _arcs(self, node: Node) -> Iterator[Arc]:
        yield from self._lexicon.arcs(node.state)
        if node == self.start and not self._is_waiting:
            yield Arc(START, 0.0)

    def _places_of(self, node: Node, target: State) -> tuple[Place, ...]:
        """The positions, HMM states and right neighbours that an arc's target may have."""
        source = node.state
        if target.kind == Kind.PENDING:
            return ((node.position, NO_STATES, node.rights),)
        name = source.left if source.kind == Kind.PENDING else source.phone
        followers = self._following(target) if self._rights else None
        key = (
            source.kind, name, node.position, node.rights,
            target.kind, target.phone, target.initial, followers,
        )  # fmt: skip
        places = self._places.get(key)
        if places is None:
            places = self._places[key] = tuple(self._find_places(node, name, target, followers))
        return places

    def _find_places(
        self, node: Node, name: str, target: State, followers: frozenset[str] | None
    ) -> Iterator[Place]:
        left = (name, POSITIONS[node.position])
        positions: tuple[Position, ...] = (Position.NONE,)
        if self._emissions.has_positions:
            positions = positions_after(node.state, left[1], target)
        for position in positions:
            phone = (target.phone, position)
            if node.rights != ANY and phone not in self._members[node.rights]:
                continue
            number = POSITIONS.index(position)
            if followers is None:
                yield number, self._hmm(self._emissions.states(left, phone, None)), ANY
                continue
            for hmm, rights in self._by_states(left, phone).items():
                fitting = frozenset(right for right in rights if right[0] in followers)
                if fitting:
                    yield number, hmm, self._set(fitting)

    def _by_states(self, left: PhoneAt, phone: PhoneAt) -> dict[int, frozenset[PhoneAt]]:
        """Right neighbours by the HMM states that they lead to."""
        key = (left, phone)
        if key not in self._groups:
            groups: dict[int, set[PhoneAt]] = {}
            for right in self._rights:
                hmm = self._hmm(self._emissions.states(left, phone, right))
                groups.setdefault(hmm, set()).add(right)
            self._groups[key] = {hmm: frozenset(rights) for hmm, rights in groups.items()}
        return self._groups[key]

    def _following(self, state: State) -> frozenset[str]:
        """Names of the phones that may come next after a state."""
        state = state if state.kind == Kind.PENDING else _without_left(state)
        if state not in self._followers:
            names = {SILENCE} if self._lexicon.is_final(state) else set()
            for arc in self._lexicon.arcs(state):
                is_pending = arc.target.kind == Kind.PENDING
                names |= self._following(arc.target) if is_pending else {arc.target.phone}
            self._followers[state] = frozenset(names)
        return self._followers[state]

    def _hmm(self, states: tuple[HmmState, ...]) -> int:
        return self._hmms.setdefault(states, len(self._hmms))

    def _set(self, rights: frozenset[PhoneAt]) -> int:
        if rights not in self._sets:
            self._sets[rights] = len(self._members)
            self._members.append(rights)
        return self._sets[rights]


def _without_left(state: State) -> State:
    """States that differ in their left phone only merge where their HMM states are the same."""
    return state._replace(left="")
