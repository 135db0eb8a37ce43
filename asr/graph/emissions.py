"""Context C: which pdfs score a phone of the Korean lexicon after another, by piece position.

A Kaldi model with word-position-dependent phones (``a_B``, ``a_I``, ``a_E``, ``a_S``) was trained
with a lexicon of pieces, and where the pieces of an eojeol begin and end is not known here. What is
known: pieces begin and end between syllables, never inside one, and an eojeol's edges are pieces'
edges. So every boundary between syllables may be a piece boundary, the search takes the better
reading, and positions stay consistent along a path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    goes_on = position in OPEN
    if target.kind == Kind.PENDING:
        return (position,)
    if target.kind == Kind.SILENCE:
        return () if goes_on else (NONE,)
    if target.kind == Kind.CODA or source.kind == Kind.ONSET:
        return (INTERNAL, END) if goes_on else ()
    if goes_on and target.initial:
        return ()
    if target.kind == Kind.ONSET:
        return (INTERNAL,) if goes_on else (BEGIN,)
    return (INTERNAL, END) if goes_on else (BEGIN, SINGLE)


@dataclass(frozen=True, slots=True)
class EmissionModel:
    """Pdf-ids by left phone and phone, each with its position.

    Attributes:
        table: ((left, position), (phone, position)) → (forward pdf, self-loop pdf).
        has_positions: false for models whose phones have none; every position is NONE then.
    """

    table: Mapping[tuple[PhoneAt, PhoneAt], tuple[int, int]]
    has_positions: bool = True

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

    def positions(self, source: State, position: Position, target: State) -> tuple[Position, ...]:
        """As :func:`positions_after`, for this model's phones."""
        return positions_after(source, position, target) if self.has_positions else (NONE,)

    def pdfs(self, left: PhoneAt, phone: PhoneAt) -> tuple[int, int]:
        """(forward pdf, self-loop pdf) of ``phone`` after ``left``.

        Raises:
            ModelError: the acoustic model has no such phone.
        """
        try:
            return self.table[left, phone]
        except KeyError:
            raise ModelError(
                f"the acoustic model has no state for phone {'_'.join((phone[0], phone[1].value))} "
                f"after {left[0]}; its phone set does not fit the Korean lexicon"
            ) from None
