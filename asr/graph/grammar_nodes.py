"""What a grammar is made of, once read: a tree of small nodes (shared where a slot is used twice).

Nodes are compared and hashed by identity: the same node is the same place of the grammar.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from asr.hangul.jamo import CODAS, decompose, is_syllable

NO_CODA, LIQUID, CODA, NOTHING = range(4)
"""How the syllable before a place ends: open, in ㄹ, in another consonant; or there is none."""


def ending(syllable: str) -> int:
    """``NO_CODA``, ``LIQUID`` or ``CODA``.

    >>> [ending(syllable) for syllable in "부울산"] == [NO_CODA, LIQUID, CODA]
    True
    """
    coda = decompose(syllable)[2]
    if coda == 0:
        return NO_CODA
    return LIQUID if CODAS[coda] == "ㄹ" else CODA


def syllables_of(spoken: str) -> str:
    """The Hangul syllables of a text, all else left out.

    >>> syllables_of("네, 맞아요!")
    '네맞아요'
    """
    return "".join(character for character in spoken if is_syllable(character))


@dataclass(frozen=True, slots=True, eq=False)
class Literal:
    """Fixed words: how they are written, and how they are said (Hangul and spaces)."""

    written: str
    spoken: str


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """A space of the written form."""


@dataclass(frozen=True, slots=True, eq=False)
class Particle:
    """A particle with two forms: 을 after a coda, 를 after a vowel.

    ``line`` is where it stands. Forms that begin with 으 lose it after ㄹ, too: 서울로.
    """

    after_coda: str
    after_vowel: str
    line: int

    def form(self, before: int) -> str:
        """The form after a syllable that ends so (`ending`)."""
        open_ = before == NO_CODA or (before == LIQUID and self.after_coda.startswith("으"))
        return self.after_vowel if open_ else self.after_coda


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """One after the other; without items, nothing is said."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One of several, as likely as their weights (above 0; they need not sum to 1)."""

    options: tuple[Node, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """A named part, whose written form the result tells."""

    name: str
    body: Node


@dataclass(frozen=True, slots=True)
class Entry:
    """One of many fixed words."""

    written: str
    spoken: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """One of many words: names, numbers. Of two that are said alike the first one counts.

    ``loose``: a pause is as likely as none before each and at its spaces, as in numbers.
    """

    words: tuple[Entry, ...]
    loose: bool = False
    by_syllables: dict[str, Entry] = field(init=False, repr=False)
    total: float = field(init=False)
    longest: int = field(init=False)

    def __post_init__(self) -> None:
        table: dict[str, Entry] = {}
        for entry in self.words:
            table.setdefault(syllables_of(entry.spoken), entry)
        object.__setattr__(self, "by_syllables", table)
        object.__setattr__(self, "total", sum(entry.weight for entry in table.values()))
        object.__setattr__(self, "longest", max(map(len, table), default=0))


Node = Literal | Space | Particle | Sequence | Choice | Slot | Entries
EMPTY = Sequence(())


def optional(node: Node) -> Choice:
    """``node``, or nothing: equally likely."""
    return Choice((node, EMPTY), (1.0, 1.0))


def children(node: Node) -> Iterator[Node]:
    """The nodes right below."""
    if isinstance(node, Sequence):
        yield from node.items
    elif isinstance(node, Choice):
        yield from node.options
    elif isinstance(node, Slot):
        yield node.body
