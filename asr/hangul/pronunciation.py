"""From spelling to sound: the surface pronunciations of any Hangul text by 표준발음법.

The junction table is run forward over the syllables. Where several readings of a junction are
possible, the exceptions (`asr.hangul.exceptions`) decide, else the learned weights
(`asr.hangul.context`); the readings that stay plausible make the alternatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from asr.errors import DataError
from asr.hangul.context import junction_scores
from asr.hangul.exceptions import VARIANT_COST, listed_readings, respellings
from asr.hangul.jamo import CODAS, NUCLEI, compose, decompose, is_syllable, normalize_jamo, to_jamo
from asr.hangul.junction import (
    SURFACE_CODAS,
    Boundary,
    Reading,
    Surface,
    final_coda,
    junction,
    nucleus_surface,
    readings,
)
from asr.hangul.phones import syllable_phones

_UI, _E = NUCLEI.index("ㅢ"), NUCLEI.index("ㅔ")
_PARTICLE_UI = "의"
_SHORTEST_WITH_PARTICLE = 3
"""Eojeol of fewer syllables that end in 의 are rather nouns (주의, 회의) than noun and particle."""


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """One way to say a text.

    hangul: surface spelling, with the text's spaces (오 탄 벌); jamo: the same in compatibility
    jamo, silent onsets written; phones: names of asr.hangul.phones.PHONES, spaces dropped;
    cost: nats above the canonical pronunciation.
    """

    hangul: str
    jamo: str
    phones: tuple[str, ...]
    cost: float


@dataclass(frozen=True, slots=True)
class _Partial:
    """A beginning of a pronunciation: what is said, and the onset the next syllable takes."""

    said: tuple[tuple[int, int, int], ...]
    onset: int
    cost: float


@dataclass(frozen=True, slots=True)
class _Eojeol:
    """One eojeol: its spelling, its parts if known, and the syllables it is read as.

    respelled: positions of syllables whose junction with the next one a respelling has settled.
    """

    word: str
    parts: tuple[str, ...] | None
    syllables: tuple[tuple[int, int, int], ...]
    respelled: frozenset[int]


def pronounce(
    text: str, structure: str | None = None, max_cost: float = 2.0, limit: int = 8
) -> list[Pronunciation]:
    """The standard pronunciations of a Hangul text, canonical first, then by cost.

    Spaces are spoken without a pause, as in the examples of the law (옷 한 벌 is 오 탄 벌).
    structure: the text with '-' between morphemes or parts of compounds, as dictionaries write it
    (가각-고); it settles readings that the spelling leaves open. At most `limit` pronunciations
    are returned, and none that costs more than `max_cost` nats.

    Raises DataError when the text holds anything but Hangul syllables and spaces, or when the
    structure does not spell the text.
    """
    words = normalize_jamo(text).split()
    _check(words)
    parts = _parts(words, structure)
    found: dict[str, Pronunciation] = {}
    for eojeols, cost in _respelled(words, parts, limit):
        for partial in _say(eojeols, cost, max_cost, limit):
            said = _pronunciation(partial, [len(word) for word in words])
            if said.hangul not in found or said.cost < found[said.hangul].cost:
                found[said.hangul] = said
    return sorted(found.values(), key=lambda said: said.cost)[:limit]


def _check(words: list[str]) -> None:
    for word in words:
        for character in word:
            if not is_syllable(character):
                raise DataError(
                    f"{character!r} in {word!r} is not a Hangul syllable: "
                    "pass the text through asr.hangul.normalize.to_spoken first."
                )


def _parts(words: list[str], structure: str | None) -> list[tuple[str, ...] | None]:
    if structure is None:
        return [None] * len(words)
    divided = [tuple(filter(None, word.split("-"))) for word in normalize_jamo(structure).split()]
    if ["".join(parts) for parts in divided] != words:
        raise DataError(
            f"The structure {structure!r} does not spell {' '.join(words)!r}: "
            "write the text itself with '-' between its parts."
        )
    return list(divided)


def _respelled(
    words: list[str], parts: list[tuple[str, ...] | None], limit: int
) -> Iterator[tuple[list[_Eojeol], float]]:
    """The eojeols in every combination of their respellings, with its cost; at most `limit`."""
    variants: list[list[tuple[_Eojeol, float]]] = []
    for word, word_parts in zip(words, parts, strict=True):
        variants.append(list(_word_variants(word, word_parts)))
    for count, chosen in enumerate(product(*variants)):
        if count == limit:
            return
        yield [eojeol for eojeol, _ in chosen], sum(cost for _, cost in chosen)


def _word_variants(word: str, parts: tuple[str, ...] | None) -> Iterator[tuple[_Eojeol, float]]:
    for chosen in product(*respellings(word)):
        sounds, settled = word, set()
        for one in chosen:
            end = one.start + len(one.sounds)
            sounds = sounds[: one.start] + one.sounds + sounds[end:]
            settled |= set(range(one.start, end - 1))
        syllables = tuple(decompose(character) for character in sounds)
        cost = sum(one.cost for one in chosen)
        yield _Eojeol(word, parts, syllables, frozenset(settled)), cost


def _say(eojeols: list[_Eojeol], cost: float, max_cost: float, limit: int) -> list[_Partial]:
    """The cheapest ways to say the eojeols one after the other."""
    if not eojeols:
        return [_Partial((), 0, cost)]
    partials = [_Partial((), eojeols[0].syllables[0][0], cost)]
    for index, eojeol in enumerate(eojeols):
        following = eojeols[index + 1] if index + 1 < len(eojeols) else None
        for position in range(len(eojeol.syllables)):
            surfaces = _surfaces(eojeol, position, following)
            grown = [
                longer
                for partial in partials
                for longer in _extend(partial, eojeol, position, surfaces)
            ]
            grown.sort(key=lambda partial: partial.cost)
            partials = [partial for partial in grown[:limit] if partial.cost <= max_cost]
    return partials


def _extend(
    partial: _Partial, eojeol: _Eojeol, position: int, surfaces: list[Surface]
) -> Iterator[_Partial]:
    """Add one syllable, in each of its vowels and each surface of the junction after it."""
    onset, nucleus, _ = eojeol.syllables[position]
    for vowel, vowel_cost in nucleus_surface(partial.onset, onset, nucleus, position == 0):
        if _is_particle_vowel(nucleus, vowel) and not _ends_in_particle(eojeol, position):
            continue
        for surface in surfaces:
            said = (*partial.said, (partial.onset, vowel, surface.coda))
            yield _Partial(said, surface.onset, partial.cost + vowel_cost + surface.cost)


def _is_particle_vowel(spelled: int, said: int) -> bool:
    """Whether the vowel is the ㅔ for which the particle 의 may be said (article 5.4)."""
    return (spelled, said) == (_UI, _E)


def _ends_in_particle(eojeol: _Eojeol, position: int) -> bool:
    last = position == len(eojeol.word) - 1
    return last and eojeol.word[-1] == _PARTICLE_UI and position + 1 >= _SHORTEST_WITH_PARTICLE


def _surfaces(eojeol: _Eojeol, position: int, following: _Eojeol | None) -> list[Surface]:
    """Ways to say the coda of a syllable and the onset of what follows it."""
    coda = eojeol.syllables[position][2]
    if position + 1 < len(eojeol.syllables):
        onset, nucleus, _ = eojeol.syllables[position + 1]
        if position in eojeol.respelled:
            return [junction(coda, Boundary.INSIDE, onset, nucleus)[0]]
        return _inside(eojeol, position, coda, onset, nucleus)
    if following is None:
        return [Surface(final_coda(coda), 0, 0.0)]
    onset, nucleus, _ = following.syllables[0]
    return _across(eojeol.word, following.word, coda, onset, nucleus)


def inside_surfaces(word: str, position: int) -> list[Surface]:
    """The readings of the junction between word[position] and the next syllable, with their costs.

    word: Hangul syllables spelled together; respellings are not applied. The canonical reading
    costs 0.
    """
    eojeol = _Eojeol(word, None, (), frozenset())
    onset, nucleus, _ = decompose(word[position + 1])
    return _inside(eojeol, position, decompose(word[position])[2], onset, nucleus)


def _inside(eojeol: _Eojeol, position: int, coda: int, onset: int, nucleus: int) -> list[Surface]:
    """The readings of a junction within an eojeol, with what the context makes of them."""
    possible = readings(coda, onset, nucleus)
    if len(possible) == 1:
        return [Surface(*pair, 0.0) for pair in possible.values()]
    word = eojeol.word
    listed = _listed(possible, word[: position + 1], word[position + 1 :], space=False)
    if listed:
        return listed
    scores = junction_scores(word, position, eojeol.parts)
    best = max(scores.get(reading, 0.0) for reading in possible)
    costs = {reading: best - scores.get(reading, 0.0) for reading in possible}
    if costs.get(Reading.DROPPED) == 0.0:  # 30.1: 냇가 is 내까, 낻까 also stands
        costs[Reading.PLAIN] = min(costs[Reading.PLAIN], VARIANT_COST)
    return [Surface(*possible[reading], cost) for reading, cost in costs.items()]


def _across(left: str, right: str, coda: int, onset: int, nucleus: int) -> list[Surface]:
    """The surfaces of a junction across a space."""
    listed = _listed(readings(coda, onset, nucleus), left, right, space=True)
    return listed or list(junction(coda, Boundary.SPACE, onset, nucleus))


def _listed(
    possible: dict[Reading, tuple[int, int]], left: str, right: str, space: bool
) -> list[Surface]:
    """The first listed row with a reading that this junction has."""
    for row in listed_readings(left, right, space):
        names = [name for name in row if name in possible]
        if names:
            return [Surface(*possible[name], VARIANT_COST * n) for n, name in enumerate(names)]
    return []


def _pronunciation(partial: _Partial, lengths: list[int]) -> Pronunciation:
    said = iter(partial.said)
    words = ["".join(_spell(*next(said)) for _ in range(length)) for length in lengths]
    hangul = " ".join(words)
    phones = tuple(name for syllable in partial.said for name in syllable_phones(*syllable))
    return Pronunciation(hangul, to_jamo(hangul), phones, partial.cost)


def _spell(onset: int, nucleus: int, coda: int) -> str:
    return compose(onset, nucleus, CODAS.index(SURFACE_CODAS[coda]))
