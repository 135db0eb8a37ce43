"""Phones with word positions, as Kaldi numbers them: ``a_B``, ``a_E``, ``a_I``, ``a_S``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from asr.errors import ModelError


class Position(Enum):
    """Where in its lexicon word a phone stands (Kaldi's word-position-dependent phones)."""

    NONE = ""  # silence between words
    BEGIN = "B"
    END = "E"
    INTERNAL = "I"
    SINGLETON = "S"


@dataclass(frozen=True)
class PhoneTable:
    """Phone-ids and what they stand for.

    Attributes:
        symbols: phone-id → (phone name, position); ids start at 1, 0 is "no phone".
    """

    symbols: Mapping[int, tuple[str, Position]]

    @classmethod
    def from_names(cls, silences: Iterable[str], phones: Iterable[str]) -> PhoneTable:
        """Number phones as Kaldi's ``prepare_lang.sh`` does.

        Silence phones come first and take five ids each (bare, B, E, I, S), others four (without
        the bare one).
        """
        speech = (Position.BEGIN, Position.END, Position.INTERNAL, Position.SINGLETON)
        pairs = [(name, p) for name in silences for p in (Position.NONE, *speech)]
        pairs += [(name, p) for name in phones for p in speech]
        return cls(dict(enumerate(pairs, start=1)))

    @classmethod
    def from_symbols(cls, symbols: Mapping[int, str]) -> PhoneTable:
        """From a ``phones.txt``: id → ``name`` or ``name_B``; ``<eps>`` and ``#0`` are left out."""
        table = {}
        for number, symbol in sorted(symbols.items()):
            if number == 0 or symbol.startswith("#"):
                continue
            name, _, mark = symbol.rpartition("_")
            is_marked = bool(name) and mark in {p.value for p in Position} - {""}
            table[number] = (name, Position(mark)) if is_marked else (symbol, Position.NONE)
        return cls(table)

    @cached_property
    def ids(self) -> dict[tuple[str, Position], int]:
        """(phone name, position) → phone-id."""
        return {symbol: number for number, symbol in self.symbols.items()}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The phone names without positions, in order of their ids."""
        return tuple(dict.fromkeys(name for name, _ in self.symbols.values()))

    def id(self, name: str, position: Position) -> int:
        """The id of a phone in a position; ModelError where the model has none."""
        try:
            return self.ids[name, position]
        except KeyError:
            raise ModelError(
                f"the acoustic model has no phone {name!r} in position {position.name.lower()}"
            ) from None

    def variants(self, name: str) -> dict[Position, int]:
        """The ids of a phone by position; empty for an unknown name."""
        return {p: self.ids[name, p] for p in Position if (name, p) in self.ids}

    def to_symbols(self) -> dict[int, str]:
        """Inverse of :meth:`from_symbols`: id → ``name`` or ``name_B``."""
        return {
            number: f"{name}_{position.value}" if position.value else name
            for number, (name, position) in self.symbols.items()
        }
