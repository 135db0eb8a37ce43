"""All ways to say a text that the junction table allows, each with its cost.

Where :func:`~asr.hangul.pronunciation.pronounce` gives the few plausible readings of a text, this
gives every one that the decoding graph accepts: the same junction table with all its costed
alternatives. The lexicon transducer (:mod:`asr.graph.lexicon`) is laid out from the functions here,
and :func:`every_pronunciation` runs them forward over text, so one is a check of the other.

A text is cut into *pieces*, the units of a language model (syllables, parts of words, words).
Between pieces only the letters at the junction are known, so the table's costs stand. Inside a
piece of several syllables the word knows better: listed readings and learned weights decide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache

from asr.errors import DataError, UsageError
from asr.hangul.jamo import decompose, is_syllable, normalize_jamo
from asr.hangul.junction import (
    MERGER_COST,
    Boundary,
    Surface,
    final_coda,
    junction,
    nucleus_surface,
    readings,
)
from asr.hangul.phones import syllable_phones
from asr.hangul.pronunciation import inside_surfaces

STEP = 0.1
"""Nats between costs inside a piece: coarse, so that pieces with the same beginning share costs."""


@dataclass(frozen=True, slots=True)
class VariantConfig:
    """Which variants of speech are allowed, and the costs (nats) of those that rules leave open."""

    compound_cost: float = 2.5  # between pieces, as between the parts of a compound (솜이불)
    isolated_cost: float = 2.0  # across a space, as if there were a pause, yet without one
    max_variant_cost: float = 4.0  # rarer spoken variants are left out
    across_spaces: bool = True  # false: across a space both sides always sound as they do alone
    optional_rules: bool = True  # false: only what 표준발음법 gives first
    mergers: bool = False  # ㅐ/ㅔ and ㅚ/ㅙ/ㅞ for each other
    merger_cost: float = MERGER_COST

    def __post_init__(self) -> None:
        for field in fields(self):
            cost = getattr(self, field.name)
            if field.name.endswith("_cost") and not (math.isfinite(cost) and cost >= 0.0):
                raise UsageError(f"{field.name} must be a finite cost of at least 0, not {cost}")


def between_pieces(
    coda: int, space: bool, onset: int, nucleus: int, config: VariantConfig
) -> tuple[Surface, ...]:
    """How a coda and the start of the next piece sound: distinct surfaces, cheapest first.

    Args:
        coda, onset, nucleus: indices as for :func:`~asr.hangul.junction.junction`.
        space: whether a space stands between the pieces.
    """
    boundaries: tuple[tuple[Boundary, float], ...]
    if not space:
        boundaries = ((Boundary.INSIDE, 0.0), (Boundary.COMPOUND, config.compound_cost))
    elif config.across_spaces:
        boundaries = ((Boundary.SPACE, 0.0), (Boundary.PAUSE, config.isolated_cost))
    else:
        boundaries = ((Boundary.PAUSE, 0.0),)
    if not config.optional_rules:
        return junction(coda, boundaries[0][0], onset, nucleus)[:1]
    costs: dict[tuple[int, int], float] = {}
    for boundary, extra in boundaries:
        for spoken in junction(coda, boundary, onset, nucleus):
            _lower(costs, spoken, extra + spoken.cost, config)
    return _ranked(costs)


@lru_cache(maxsize=1 << 16)
def inside_piece(piece: str, position: int, config: VariantConfig) -> tuple[Surface, ...]:
    """How the coda of ``piece[position]`` and the onset of the next syllable sound.

    Readings that depend on the word cost what :mod:`asr.hangul.pronunciation` makes of them,
    rounded to ``STEP``; habits of speech that no dictionary lists (ㅎ lost, 전화 as 저놔) cost what
    the table says. Distinct surfaces, cheapest first; only the first costs nothing.
    """
    coda = decompose(piece[position])[2]
    onset, nucleus, _ = decompose(piece[position + 1])
    known = sorted(inside_surfaces(piece, position), key=lambda spoken: spoken.cost)
    canonical = Surface(known[0].coda, known[0].onset, 0.0)
    if not config.optional_rules:
        return (canonical,)
    costs = {(canonical.coda, canonical.onset): 0.0}
    for spoken in known[1:]:
        _lower(costs, spoken, max(STEP, round(spoken.cost / STEP) * STEP), config)
    lexical = set(readings(coda, onset, nucleus).values())
    for spoken in junction(coda, Boundary.INSIDE, onset, nucleus):
        if (spoken.coda, spoken.onset) not in lexical:
            _lower(costs, spoken, spoken.cost, config)
    return _ranked(costs)


def vowel_variants(
    onset: int, underlying_onset: int, nucleus: int, initial: bool, config: VariantConfig
) -> tuple[tuple[int, float], ...]:
    """How a vowel sounds: as :func:`~asr.hangul.junction.nucleus_surface`, for this config."""
    spoken = nucleus_surface(
        onset, underlying_onset, nucleus, initial, config.mergers, config.merger_cost
    )
    if not config.optional_rules:
        spoken = spoken[:1]
    return tuple((vowel, cost) for vowel, cost in spoken if cost <= config.max_variant_cost)


def every_pronunciation(
    text: str, pieces: str | None = None, config: VariantConfig | None = None
) -> dict[tuple[str, ...], float]:
    """Every phone string that may be said for a text without pauses, with its least cost (nats).

    Args:
        text: Hangul syllables and spaces.
        pieces: the text with '-' between the pieces of an eojeol (서울-역에 간-다); without it,
            each syllable is a piece.
        config: which variants count.

    The number of strings grows exponentially with the text: meant for words, not for pages.

    Raises:
        DataError: the text holds anything else, or the pieces do not spell it.
    """
    config = config or VariantConfig()
    cut = _pieces(text, pieces)
    partials: dict[tuple[tuple[str, ...], int], float] = {((), -1): 0.0}
    for index, (piece, initial) in enumerate(cut):
        following = cut[index + 1] if index + 1 < len(cut) else None
        for position in range(len(piece)):
            surfaces = _surfaces(piece, position, following, config)
            opens = initial and position == 0
            partials = _said(partials, decompose(piece[position]), opens, surfaces, config)
    found: dict[tuple[str, ...], float] = {}
    for (phones, _), cost in partials.items():
        found[phones] = min(cost, found.get(phones, math.inf))
    return found


def _pieces(text: str, pieces: str | None) -> list[tuple[str, bool]]:
    """Each piece and whether it opens an eojeol."""
    words = normalize_jamo(text).split()
    cut = [list(word) for word in words]
    if pieces is not None:
        cut = [word.split("-") for word in normalize_jamo(pieces).split()]
        if ["".join(word) for word in cut] != words or not all(map(all, cut)):
            raise DataError(
                f"The pieces {pieces!r} do not spell {text!r}: "
                "write the text itself with '-' between its pieces."
            )
    if not all(map(is_syllable, "".join(words))):
        raise DataError(
            f"{text!r} holds more than Hangul syllables and spaces: "
            "pass the text through asr.hangul.normalize.to_spoken first."
        )
    return [(piece, place == 0) for word in cut for place, piece in enumerate(word)]


def _surfaces(
    piece: str, position: int, following: tuple[str, bool] | None, config: VariantConfig
) -> Sequence[Surface]:
    """Ways to say the coda of a syllable and the onset of what follows it."""
    if position + 1 < len(piece):
        return inside_piece(piece, position, config)
    coda = decompose(piece[position])[2]
    if following is None:
        return (Surface(final_coda(coda), -1, 0.0),)
    onset, nucleus, _ = decompose(following[0][0])
    return between_pieces(coda, following[1], onset, nucleus, config)


def _said(
    partials: dict[tuple[tuple[str, ...], int], float],
    syllable: tuple[int, int, int],
    initial: bool,
    surfaces: Sequence[Surface],
    config: VariantConfig,
) -> dict[tuple[tuple[str, ...], int], float]:
    """Beginnings (phones, onset of the next syllable) → cost, one syllable longer."""
    grown: dict[tuple[tuple[str, ...], int], float] = {}
    onset, nucleus, _ = syllable
    for (phones, said), cost in partials.items():
        spoken_onset = said if said >= 0 else onset
        for vowel, extra in vowel_variants(spoken_onset, onset, nucleus, initial, config):
            for surface in surfaces:
                more = (*phones, *syllable_phones(spoken_onset, vowel, surface.coda))
                key = (more, surface.onset)
                total = cost + extra + surface.cost
                grown[key] = min(total, grown.get(key, math.inf))
    return grown


def _lower(
    costs: dict[tuple[int, int], float], spoken: Surface, cost: float, config: VariantConfig
) -> None:
    """Enter a surface at a cost, unless it is too rare or there at a lower one."""
    if cost <= config.max_variant_cost:
        pair = (spoken.coda, spoken.onset)
        costs[pair] = min(cost, costs.get(pair, math.inf))


def _ranked(costs: dict[tuple[int, int], float]) -> tuple[Surface, ...]:
    ranked = sorted(costs.items(), key=lambda item: item[1])
    return tuple(Surface(*pair, cost) for pair, cost in ranked)
