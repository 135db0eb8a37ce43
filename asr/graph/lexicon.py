"""The jamo lexicon transducer L over syllable units: 표준발음법 as states and arcs.

After a unit's vowel its underlying coda is *pending*: nothing is said of it until the next onset,
the boundary kind and the next vowel are known. Then the junction table of ``asr.hangul`` says
which surface coda and onset are spoken, so pronunciation across units and spaces is exact by
construction. Five kinds of states follow one syllable:

    pending (vowel, coda) ─► coda phone ─► onset phone ─► vowel phone ─► pending …
             │  (or straight on, where the coda moves or is silent)   ▲
             └──────────────► silence ────────────────────────────────┘

The unit (a syllable with a flag "starts an eojeol") is the output label of the arc that leaves the
vowel. All states but the pending ones emit one phone; a state's key holds the phone to the left,
so a left-biphone context tree needs no further composition.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from asr.hangul.jamo import CODAS, NUCLEI, ONSETS, compose
from asr.hangul.junction import Boundary, final_coda, junction, nucleus_surface
from asr.hangul.phones import CODA_PHONES, NUCLEUS_PHONES, ONSET_PHONES
from asr.lm.units import EOJEOL_MARK

SILENCE = "SIL"
"""The phone of pauses."""
NULL_ONSET = ONSETS.index("ㅇ")


class Kind(IntEnum):
    """What a lexicon state stands for."""

    SILENCE = 0
    ONSET = 1
    VOWEL = 2
    CODA = 3
    PENDING = 4


@dataclass(frozen=True, slots=True)
class LexiconConfig:
    """Costs (nats) of speaking a boundary in another way than written."""

    compound_cost: float = 2.5  # inside an eojeol, as between the parts of a compound (솜이불)
    isolated_cost: float = 2.0  # across a space, as if there were a pause, yet without one
    silence_cost: float = 0.7  # a pause at a space
    max_variant_cost: float = 4.0  # rarer spoken variants are left out


@dataclass(frozen=True, slots=True)
class State:
    """A state of L. Fields that its kind does not use are at their defaults.

    ``left`` and ``phone`` are phone names; ``nuclei`` maps the vowels that may follow an onset
    state to their costs (palatalisation and ㄴ-insertion depend on the vowel).
    """

    kind: Kind
    phone: str = ""
    left: str = ""
    initial: bool = False
    onset: int = -1
    nucleus: int = -1
    coda: int = -1
    nuclei: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Arc:
    """To ``target`` at ``cost`` (nats); ``unit`` is the label spelled out on leaving a vowel."""

    target: State
    cost: float
    unit: str = ""


def unit_of(onset: int, nucleus: int, coda: int, initial: bool) -> str:
    """The LM unit of a syllable: ``▁가`` where it starts an eojeol, else ``가``."""
    return (EOJEOL_MARK if initial else "") + compose(onset, nucleus, coda)


START = State(Kind.SILENCE, phone=SILENCE, left=SILENCE)


class SyllableLexicon:
    """Expands L from its start state; ``has_unit`` tells which units the language model knows."""

    def __init__(
        self, has_unit: Callable[[str], bool], config: LexiconConfig | None = None
    ) -> None:
        self.has_unit = has_unit
        self.config = config or LexiconConfig()
        self._junctions: dict[tuple[int, bool], dict[tuple[int, int, int], dict[int, float]]] = {}

    def arcs(self, state: State) -> Iterator[Arc]:
        """All arcs that leave ``state``."""
        if state.kind == Kind.SILENCE:
            yield from self._after_pause()
        elif state.kind == Kind.ONSET:
            for nucleus, cost in state.nuclei:
                surface = ONSET_PHONES.index(state.phone)
                yield from self._vowels(
                    state.initial, state.onset, surface, nucleus, state.phone, cost
                )
        elif state.kind == Kind.VOWEL:
            yield from self._labels(state)
        elif state.kind == Kind.CODA:
            yield from self._after_coda(state)
        else:
            yield from self._after_vowel(state)

    def is_final(self, state: State) -> bool:
        """Whether an utterance may end here: after silence, a final coda or an open syllable."""
        if state.kind == Kind.SILENCE:
            return True
        if state.kind == Kind.CODA:
            return CODA_PHONES[final_coda(state.coda)] == state.phone
        return state.kind == Kind.PENDING and final_coda(state.coda) == 0

    def _labels(self, state: State) -> Iterator[Arc]:
        for coda in range(len(CODAS)):
            unit = unit_of(state.onset, state.nucleus, coda, state.initial)
            if self.has_unit(unit):
                yield Arc(State(Kind.PENDING, left=state.phone, coda=coda), 0.0, unit)

    def _after_vowel(self, state: State) -> Iterator[Arc]:
        codas = {final_coda(state.coda)}
        for initial in (False, True):
            for (coda, surface, onset), nuclei in self._junction(state.coda, initial).items():
                codas.add(coda)
                if coda == 0:
                    yield from self._onset(initial, onset, surface, state.left, nuclei)
        for coda in sorted(codas - {0}):
            yield Arc(
                State(Kind.CODA, phone=CODA_PHONES[coda], left=state.left, coda=state.coda), 0.0
            )
        if final_coda(state.coda) == 0:
            yield self._to_silence(state.left)

    def _after_coda(self, state: State) -> Iterator[Arc]:
        for initial in (False, True):
            for (coda, surface, onset), nuclei in self._junction(state.coda, initial).items():
                if coda != 0 and CODA_PHONES[coda] == state.phone:
                    yield from self._onset(initial, onset, surface, state.phone, nuclei)
        if self.is_final(state):
            yield self._to_silence(state.phone)

    def _after_pause(self) -> Iterator[Arc]:
        for onset in range(len(ONSETS)):
            nuclei = {nucleus: 0.0 for nucleus in range(len(NUCLEI))}
            yield from self._onset(True, onset, onset, SILENCE, nuclei)

    def _to_silence(self, left: str) -> Arc:
        state = State(Kind.SILENCE, phone=SILENCE, left=left)
        return Arc(state, self.config.silence_cost)

    def _onset(
        self, initial: bool, onset: int, surface: int, left: str, nuclei: dict[int, float]
    ) -> Iterator[Arc]:
        """Arcs into an onset phone, or into the vowels where the onset is silent."""
        if surface == NULL_ONSET:
            for nucleus, cost in nuclei.items():
                yield from self._vowels(initial, onset, surface, nucleus, left, cost)
            return
        base = min(nuclei.values())  # paid at once, so that pruning sees it
        rest = tuple((nucleus, cost - base) for nucleus, cost in sorted(nuclei.items()))
        yield Arc(
            State(
                Kind.ONSET,
                phone=ONSET_PHONES[surface],
                left=left,
                initial=initial,
                onset=onset,
                nuclei=rest,
            ),
            base,
        )

    def _vowels(
        self, initial: bool, onset: int, surface: int, nucleus: int, left: str, cost: float
    ) -> Iterator[Arc]:
        for spoken, extra in nucleus_surface(surface, onset, nucleus, initial):
            if extra <= self.config.max_variant_cost:
                state = State(
                    Kind.VOWEL,
                    phone=NUCLEUS_PHONES[spoken],
                    left=left,
                    initial=initial,
                    onset=onset,
                    nucleus=nucleus,
                )
                yield Arc(state, cost + extra)

    def _junction(self, coda: int, initial: bool) -> dict[tuple[int, int, int], dict[int, float]]:
        """(surface coda, surface onset, onset) → cost by next nucleus, over all readings."""
        key = (coda, initial)
        if key not in self._junctions:
            if initial:
                readings = ((Boundary.SPACE, 0.0), (Boundary.PAUSE, self.config.isolated_cost))
            else:
                readings = ((Boundary.INSIDE, 0.0), (Boundary.COMPOUND, self.config.compound_cost))
            table: dict[tuple[int, int, int], dict[int, float]] = defaultdict(dict)
            for boundary, extra in readings:
                for onset in range(len(ONSETS)):
                    for nucleus in range(len(NUCLEI)):
                        for spoken in junction(coda, boundary, onset, nucleus):
                            cost = spoken.cost + extra
                            if cost > self.config.max_variant_cost:
                                continue
                            costs = table[spoken.coda, spoken.onset, onset]
                            costs[nucleus] = min(cost, costs.get(nucleus, math.inf))
            self._junctions[key] = dict(table)
        return self._junctions[key]
