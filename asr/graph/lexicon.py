"""The jamo lexicon transducer L over any units of Hangul: 표준발음법 as states and arcs.

After a syllable's vowel its underlying coda is *pending*: nothing is said of it until the next
onset, the boundary and the next vowel are known. Then the junction table of ``asr.hangul`` says
which surface coda and onset are spoken, so pronunciation across units and spaces is exact by
construction. Five kinds of states follow one syllable:

    pending (vowel, coda) ─► coda phone ─► onset phone ─► vowel phone ─► pending …
             │  (or straight on, where the coda moves or is silent)   ▲
             └──────────────► silence ────────────────────────────────┘

A unit is a string of syllables with a flag "starts an eojeol" (a syllable, a part of a word, a
word). Units share one prefix tree (:mod:`asr.graph.prefix_tree`). A unit is the output label of the
arc that leaves its last vowel, towards an *outer* pending state, which knows nothing but vowel and
coda and leads to all units. Where longer units go on, an arc without a label leads to an *inner*
pending state, from which only their next syllables follow. All states but the pending ones emit one
phone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from asr.graph.nodes import ROOT_NODE, onset_node
from asr.graph.prefix_tree import PrefixTree
from asr.hangul.jamo import FIRST_SYLLABLE, LAST_SYLLABLE, NUCLEI, ONSETS
from asr.hangul.junction import final_coda
from asr.hangul.phones import CODA_PHONES, NUCLEUS_PHONES, ONSET_PHONES
from asr.hangul.phones import SILENCE as SILENCE
from asr.hangul.variants import VariantConfig, between_pieces, vowel_variants
from asr.lm.units import EOJEOL_MARK

NULL_ONSET = ONSETS.index("ㅇ")
OUTSIDE = -1
"""The tree node of states that are not within a unit."""


class Kind(IntEnum):
    """What a lexicon state stands for."""

    SILENCE = 0
    ONSET = 1
    VOWEL = 2
    CODA = 3
    PENDING = 4


@dataclass(frozen=True, slots=True)
class LexiconConfig(VariantConfig):
    """Which ways to speak are allowed, and the costs (nats) of those other than as written."""

    silence_cost: float = 0.7  # a pause at a space


class State(NamedTuple):
    """A state of L. Fields that its kind does not use are at their defaults.

    Attributes:
        left, phone: phone names; ``left`` is the last vowel's for a pending state.
        initial: the onset or vowel opens an eojeol.
        first: the onset or vowel is in its unit's first syllable.
        onset: the underlying onset of an onset state, an index into ONSETS.
        nuclei: the (vowel, cost, vowel node) that may follow an onset state (palatalisation and
            ㄴ-insertion depend on the vowel).
        coda: the underlying coda of an outer pending or coda state, an index into CODAS.
        tree: node of the prefix tree: a vowel node for vowels, a coda node for inner pending and
            coda states, else ``OUTSIDE``.
        above: the look-ahead node of the unit's first syllable (:mod:`asr.graph.nodes`).
    """

    kind: Kind
    phone: str = ""
    left: str = ""
    initial: bool = False
    first: bool = False
    onset: int = -1
    nuclei: tuple[tuple[int, float, int], ...] = ()
    coda: int = -1
    tree: int = OUTSIDE
    above: int = ROOT_NODE


class Arc(NamedTuple):
    """To ``target`` at ``cost`` (nats); ``unit`` is the label spelled out on leaving a vowel."""

    target: State
    cost: float
    unit: str = ""


START = State(Kind.SILENCE, phone=SILENCE, left=SILENCE)


class Lexicon:
    """Expands L from its start state.

    Args:
        units: the inventory, "▁" before units that open an eojeol; what is not made of Hangul
            syllables is passed over. The pronunciation of a unit is made from its spelling.
        config: which variants are spoken, and their costs.
    """

    def __init__(self, units: Iterable[str], config: LexiconConfig | None = None) -> None:
        self.config = config or LexiconConfig()
        self._tree = PrefixTree(units, self.config)
        self._junctions: dict[tuple[int, bool], dict[tuple[int, int, int], dict[int, float]]] = {}

    def arcs(self, state: State) -> Iterator[Arc]:
        """All arcs that leave ``state``."""
        if state.kind == Kind.SILENCE:
            yield from self._after_pause()
        elif state.kind == Kind.ONSET:
            surface = ONSET_PHONES.index(state.phone)
            yield from self._vowels(state, surface, state.phone, state.nuclei)
        elif state.kind == Kind.VOWEL:
            yield from self._after_vowel(state)
        elif state.tree != OUTSIDE:
            yield from self._inside(state)
        elif state.kind == Kind.CODA:
            yield from self._after_coda(state)
        else:
            yield from self._outside(state)

    def is_final(self, state: State) -> bool:
        """Whether an utterance may end here: after silence, a final coda or an open syllable."""
        if state.kind == Kind.SILENCE:
            return True
        if state.tree != OUTSIDE:
            return False
        if state.kind == Kind.CODA:
            return CODA_PHONES[final_coda(state.coda)] == state.phone
        return state.kind == Kind.PENDING and final_coda(state.coda) == 0

    def _after_vowel(self, state: State) -> Iterator[Arc]:
        node = self._tree.vowel(state.tree)
        for coda, cost, unit in node.ends:
            yield Arc(State(Kind.PENDING, left=state.phone, coda=coda), cost, unit)
        for _, cost, tree in node.inner:
            yield Arc(State(Kind.PENDING, left=state.phone, tree=tree, above=state.above), cost)

    def _inside(self, state: State) -> Iterator[Arc]:
        """On to the next syllable of a unit, from its pending state or from the coda after it."""
        waits = state.kind == Kind.PENDING
        codas = set()
        for (coda, surface, onset), nuclei in self._tree.coda(state.tree).items():
            if coda != 0 and waits:
                codas.add(coda)
            elif waits or CODA_PHONES[coda] == state.phone:
                left = state.left if waits else state.phone
                syllable = State(Kind.ONSET, onset=onset, above=state.above)
                yield from self._onset(syllable, surface, left, nuclei)
        for coda in sorted(codas):
            yield Arc(
                State(
                    Kind.CODA,
                    phone=CODA_PHONES[coda],
                    left=state.left,
                    tree=state.tree,
                    above=state.above,
                ),
                0.0,
            )

    def _outside(self, state: State) -> Iterator[Arc]:
        codas = {final_coda(state.coda)}
        for initial in (False, True):
            for (coda, surface, onset), costs in self._junction(state.coda, initial).items():
                if coda == 0:
                    yield from self._unit(initial, onset, surface, state.left, costs)
                elif self._nuclei(initial, onset, costs):
                    codas.add(coda)
        for coda in sorted(codas - {0}):
            yield Arc(
                State(Kind.CODA, phone=CODA_PHONES[coda], left=state.left, coda=state.coda), 0.0
            )
        if final_coda(state.coda) == 0:
            yield self._to_silence(state.left)

    def _after_coda(self, state: State) -> Iterator[Arc]:
        for initial in (False, True):
            for (coda, surface, onset), costs in self._junction(state.coda, initial).items():
                if coda != 0 and CODA_PHONES[coda] == state.phone:
                    yield from self._unit(initial, onset, surface, state.phone, costs)
        if self.is_final(state):
            yield self._to_silence(state.phone)

    def _after_pause(self) -> Iterator[Arc]:
        costs = dict.fromkeys(range(len(NUCLEI)), 0.0)
        for onset in range(len(ONSETS)):
            yield from self._unit(True, onset, onset, SILENCE, costs)

    def _to_silence(self, left: str) -> Arc:
        return Arc(State(Kind.SILENCE, phone=SILENCE, left=left), self.config.silence_cost)

    def _unit(
        self, initial: bool, onset: int, surface: int, left: str, costs: Mapping[int, float]
    ) -> Iterator[Arc]:
        """Into the units that begin with this onset; ``costs`` by vowel."""
        nuclei = self._nuclei(initial, onset, costs)
        if nuclei:
            above = onset_node(initial, onset)
            syllable = State(Kind.ONSET, initial=initial, first=True, onset=onset, above=above)
            yield from self._onset(syllable, surface, left, nuclei)

    def _nuclei(
        self, initial: bool, onset: int, costs: Mapping[int, float]
    ) -> tuple[tuple[int, float, int], ...]:
        """(vowel, cost, vowel node) of the units that begin with this onset."""
        vowels = self._tree.roots.get((initial, onset), {})
        return tuple(
            (nucleus, cost, vowels[nucleus])
            for nucleus, cost in sorted(costs.items())
            if nucleus in vowels
        )

    def _onset(
        self,
        syllable: State,
        surface: int,
        left: str,
        nuclei: tuple[tuple[int, float, int], ...],
    ) -> Iterator[Arc]:
        """Arcs into an onset phone, or into the vowels where the onset is silent."""
        if surface == NULL_ONSET:
            yield from self._vowels(syllable, surface, left, nuclei)
            return
        base = min(cost for _, cost, _ in nuclei)  # paid at once, so that pruning sees it
        rest = tuple((nucleus, cost - base, node) for nucleus, cost, node in nuclei)
        phone = ONSET_PHONES[surface]
        yield Arc(syllable._replace(phone=phone, left=left, nuclei=rest), base)

    def _vowels(
        self,
        syllable: State,
        surface: int,
        left: str,
        nuclei: tuple[tuple[int, float, int], ...],
    ) -> Iterator[Arc]:
        for nucleus, cost, node in nuclei:
            for spoken, extra in vowel_variants(
                surface, syllable.onset, nucleus, syllable.initial, self.config
            ):
                target = State(
                    Kind.VOWEL,
                    phone=NUCLEUS_PHONES[spoken],
                    left=left,
                    initial=syllable.initial,
                    first=syllable.first,
                    tree=node,
                    above=self._tree.above(node),
                )
                yield Arc(target, cost + extra)

    def _junction(self, coda: int, initial: bool) -> dict[tuple[int, int, int], dict[int, float]]:
        """(surface coda, surface onset, onset) → cost by next nucleus, over all readings."""
        key = (coda, initial)
        if key not in self._junctions:
            table: dict[tuple[int, int, int], dict[int, float]] = defaultdict(dict)
            for onset in range(len(ONSETS)):
                for nucleus in range(len(NUCLEI)):
                    for spoken in between_pieces(coda, initial, onset, nucleus, self.config):
                        costs = table[spoken.coda, spoken.onset, onset]
                        costs[nucleus] = min(spoken.cost, costs.get(nucleus, math.inf))
            self._junctions[key] = dict(table)
        return self._junctions[key]


class SyllableLexicon(Lexicon):
    """The lexicon of those single syllables that ``has_unit`` knows, ``▁가`` and ``가``."""

    def __init__(
        self, has_unit: Callable[[str], bool], config: LexiconConfig | None = None
    ) -> None:
        syllables = map(chr, range(FIRST_SYLLABLE, LAST_SYLLABLE + 1))
        both = (mark + syllable for syllable in syllables for mark in ("", EOJEOL_MARK))
        super().__init__(filter(has_unit, both), config)
