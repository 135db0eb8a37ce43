"""The prefix tree of the units, with the costs of pronunciation that units still owe.

Units are strings of Hangul syllables, with the mark "▁" where they open an eojeol; the two kinds
are the two subtrees of the root. A *vowel node* stands where a syllable's onset and vowel are known
and its coda is not; a *coda node* where the whole syllable is known and more must follow.

Inside a unit the cost of a reading depends on the whole word (문자 is 문짜, 문장 not 문짱), which
is known only at its end. So a node holds the units that can still be spelled *and what each still
owes*: the least of the debts is paid at once, where pruning sees it, and the rest goes down the
tree with the unit. Nodes with the same units and debts are one node, so the tree is doubled only
where units with a common beginning part in how they sound, and only until they part in spelling.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from asr.graph.nodes import vowel_node
from asr.hangul.jamo import decompose, is_syllable
from asr.hangul.variants import VariantConfig, inside_piece
from asr.lm.units import EOJEOL_MARK

Debts = dict[int, float]
"""Unit number → nats that it owes."""
DIGITS = 3
"""Decimals of a debt, so that sums in another order are the same."""


@dataclass(frozen=True, slots=True)
class Spelling:
    """A unit: its text, its syllables without the mark, and their indices."""

    unit: str
    piece: str
    initial: bool
    syllables: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, unit: str) -> Spelling | None:
        """The spelling of a unit; None where it is not made of Hangul syllables."""
        piece = unit.removeprefix(EOJEOL_MARK)
        if not piece or not all(map(is_syllable, piece)):
            return None
        return cls(unit, piece, piece != unit, tuple(map(decompose, piece)))


@dataclass(frozen=True, slots=True)
class VowelNode:
    """Where a vowel is known.

    Attributes:
        ends: (coda, cost, unit), the units that end with this syllable.
        inner: (coda, cost, coda node), the codas after which longer units go on.
    """

    ends: tuple[tuple[int, float, str], ...]
    inner: tuple[tuple[int, float, int], ...]


Moves = dict[tuple[int, int, int], tuple[tuple[int, float, int], ...]]
"""(surface coda, surface onset, onset) → (vowel, cost, vowel node) of the next syllable."""


class PrefixTree:
    """The tree over an inventory of units; nodes are numbered as they are asked for.

    Attributes:
        roots: (initial, onset) → {vowel: vowel node} of the units' first syllables.
    """

    def __init__(self, units: Iterable[str], config: VariantConfig) -> None:
        self._config = config
        spellings = map(Spelling.of, dict.fromkeys(units))
        self._units = [spelling for spelling in spellings if spelling is not None]
        self._vowels: list[VowelNode | None] = []
        self._codas: list[Moves | None] = []
        self._members: dict[bool, list[tuple[int, Debts]]] = {False: [], True: []}
        self._numbers: dict[tuple[bool, int, tuple[tuple[int, float], ...]], int] = {}
        self._above: list[int] = []
        self.roots: dict[tuple[bool, int], dict[int, int]] = defaultdict(dict)
        first: dict[tuple[bool, int, int], Debts] = defaultdict(dict)
        for number, spelling in enumerate(self._units):
            onset, nucleus, _ = spelling.syllables[0]
            first[spelling.initial, onset, nucleus][number] = 0.0
        for (initial, onset, nucleus), debts in sorted(first.items()):
            self.roots[initial, onset][nucleus] = self._number(False, 0, debts)

    def above(self, node: int) -> int:
        """The look-ahead node of the first syllable of the units below a vowel node."""
        return self._above[node]

    def vowel(self, node: int) -> VowelNode:
        """What follows a vowel, by the number of its node."""
        known = self._vowels[node]
        if known is None:
            known = self._vowels[node] = self._vowel(*self._members[False][node])
        return known

    def coda(self, node: int) -> Moves:
        """The junctions after a syllable within a unit, by the number of its coda node."""
        known = self._codas[node]
        if known is None:
            known = self._codas[node] = self._moves(*self._members[True][node])
        return known

    def _number(self, after_coda: bool, depth: int, debts: Debts) -> int:
        """The number of the node of these units and debts at this syllable."""
        key = (after_coda, depth, tuple(sorted(debts.items())))
        number = self._numbers.get(key)
        if number is None:
            members = self._members[after_coda]
            number = self._numbers[key] = len(members)
            members.append((depth, debts))
            if after_coda:
                self._codas.append(None)
            else:
                self._vowels.append(None)
                spelling = self._units[next(iter(debts))]
                self._above.append(vowel_node(spelling.initial, *spelling.syllables[0][:2]))
        return number

    def _paid(self, after_coda: bool, depth: int, debts: Debts) -> tuple[float, int]:
        """Pay what all of the units owe: the cost, and the node of what is left."""
        least = min(debts.values())
        rest = {unit: round(debt - least, DIGITS) for unit, debt in debts.items()}
        return least, self._number(after_coda, depth, rest)

    def _vowel(self, depth: int, debts: Debts) -> VowelNode:
        ends, longer = [], defaultdict[int, Debts](dict)
        for number, debt in debts.items():
            spelling = self._units[number]
            coda = spelling.syllables[depth][2]
            if len(spelling.syllables) == depth + 1:
                ends.append((coda, debt, spelling.unit))
            else:
                longer[coda][number] = debt
        inner = [(coda, *self._paid(True, depth, owed)) for coda, owed in sorted(longer.items())]
        return VowelNode(tuple(sorted(ends)), tuple(inner))

    def _moves(self, depth: int, debts: Debts) -> Moves:
        owed: dict[tuple[int, int, int], dict[int, Debts]] = defaultdict(lambda: defaultdict(dict))
        for number, debt in debts.items():
            spelling = self._units[number]
            onset, nucleus, _ = spelling.syllables[depth + 1]
            for spoken in inside_piece(spelling.piece, depth, self._config):
                below = owed[spoken.coda, spoken.onset, onset][nucleus]
                below[number] = round(debt + spoken.cost, DIGITS)
        return {
            key: tuple(
                (nucleus, *self._paid(False, depth + 1, below))
                for nucleus, below in sorted(by_nucleus.items())
            )
            for key, by_nucleus in owed.items()
        }
