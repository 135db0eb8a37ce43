"""Context C and topology H: the HMM states of a phone between others, by piece position.

A Kaldi model with word-position-dependent phones (``a_B``, ``a_I``, ``a_E``, ``a_S``) was trained
with a lexicon of pieces, and where the pieces of an eojeol begin and end is not known here. What is
known: pieces begin and end between syllables, never inside one, and an eojeol's edges are pieces'
edges. So every boundary between syllables may be a piece boundary, the search takes the better
reading, and positions stay consistent along a path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from asr.errors import ModelError
from asr.graph.lexicon import SILENCE, Kind, State
from asr.hmm.context import ContextTree
from asr.hmm.phones import PhoneTable, Position

NONE, BEGIN, INTERNAL, END, SINGLE = (
    Position.NONE,
    Position.BEGIN,
    Position.INTERNAL,
    Position.END,
    Position.SINGLETON,
)
OPEN = (BEGIN, INTERNAL)
"""Positions after which the piece goes on."""

PhoneAt = tuple[str, Position]


def positions_after(source: State, position: Position, target: State) -> tuple[Position, ...]:
    """The positions that ``target``'s phone may have after a phone in ``position``.

    Args:
        source: the lexicon state that the arc leaves.
        position: of its phone (of the last vowel, for a pending state).
        target: the state that the arc enters.
    """
    if target.kind == Kind.PENDING:
        return (position,)
    return positions_between(source.kind, position, target.kind, target.initial)


def positions_between(
    source: Kind, position: Position, target: Kind, initial: bool = False
) -> tuple[Position, ...]:
    """The positions that a phone of kind ``target`` may have after one of kind ``source``.

    Args:
        position: of the phone before.
        initial: the phone opens an eojeol; false where that is not known.
    """
    goes_on = position in OPEN
    if target == Kind.SILENCE:
        return () if goes_on else (NONE,)
    if target == Kind.CODA or source == Kind.ONSET:
        return (INTERNAL, END) if goes_on else ()
    if goes_on and initial:
        return ()
    if target == Kind.ONSET:
        return (INTERNAL,) if goes_on else (BEGIN,)
    return (INTERNAL, END) if goes_on else (BEGIN, SINGLE)


class HmmState(NamedTuple):
    """An HMM state of a phone.

    forward: the pdf scored in its first frame; loop: in each further frame, which costs
    ``loop_cost`` nats; forward_cost: nats of leaving it, once.
    """

    forward: int
    loop: int
    loop_cost: float = 0.0
    forward_cost: float = 0.0


class Emissions(Protocol):
    """What a compiled graph needs of an acoustic model: the HMM states of phones in context.

    The utterance begins as after a pause and ends as before one.
    """

    @property
    def has_positions(self) -> bool:
        """False for models whose phones have no word positions; all are NONE then."""

    @property
    def rights(self) -> Sequence[PhoneAt]:
        """All phones, where the phone to the right matters; else nothing."""

    def states(self, left: PhoneAt, phone: PhoneAt, right: PhoneAt | None) -> tuple[HmmState, ...]:
        """The HMM states of ``phone``, first to last; ``right`` is None where it does not matter.

        Raises:
            ModelError: the acoustic model has no such phone.
        """


@dataclass(frozen=True, slots=True)
class EmissionModel:
    """A chain model with left context: one HMM state a phone.

    Attributes:
        table: ((left, position), (phone, position)) → (forward pdf, self-loop pdf).
        has_positions: false for models whose phones have none; every position is NONE then.
    """

    table: Mapping[tuple[PhoneAt, PhoneAt], tuple[int, int]]
    has_positions: bool = True

    @property
    def rights(self) -> Sequence[PhoneAt]:
        """Nothing: the phone to the right does not matter."""
        return ()

    @classmethod
    def from_tree(cls, tree: ContextTree, phones: PhoneTable) -> EmissionModel:
        """From a left-biphone context tree."""
        table = {}
        for left, left_at in phones.symbols.items():
            for phone, phone_at in phones.symbols.items():
                if tree.has(left, phone):
                    table[left_at, phone_at] = tree.pdfs(left, phone)
        positions = {at for name, at in phones.symbols.values() if name != SILENCE}
        return cls(table, positions != {NONE})

    def states(
        self, left: PhoneAt, phone: PhoneAt, right: PhoneAt | None = None
    ) -> tuple[HmmState, ...]:
        """The one state of ``phone`` after ``left``; see :meth:`Emissions.states`."""
        try:
            return (HmmState(*self.table[left, phone]),)
        except KeyError:
            raise _no_state(left, phone) from None


@dataclass(frozen=True, slots=True)
class PhoneModels:
    """Any topology and context up to triphones, as a table.

    Attributes:
        table: (left, phone, right) → HMM states, each phone with its position; ``right`` is None in
            all keys where it does not matter.
        has_positions: as for :class:`EmissionModel`.
    """

    table: Mapping[tuple[PhoneAt, PhoneAt, PhoneAt | None], tuple[HmmState, ...]]
    has_positions: bool = True

    @property
    def rights(self) -> Sequence[PhoneAt]:
        """All right neighbours that the table names, in its order."""
        return tuple(dict.fromkeys(right for _, _, right in self.table if right is not None))

    def states(
        self, left: PhoneAt, phone: PhoneAt, right: PhoneAt | None = None
    ) -> tuple[HmmState, ...]:
        """The states of ``phone`` between ``left`` and ``right``; see :meth:`Emissions.states`."""
        states = self.table.get((left, phone, right))
        if not states:
            raise _no_state(left, phone)
        return states


def _no_state(left: PhoneAt, phone: PhoneAt) -> ModelError:
    return ModelError(
        f"the acoustic model has no state for phone {'_'.join((phone[0], phone[1].value))} "
        f"after {left[0]}; its phone set does not fit the Korean lexicon"
    )
