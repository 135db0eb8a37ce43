"""How names and queries sound: sequences of the 46 phones, and the classes that index them.

Both sides are pronounced eojeol by eojeol, as if a short pause stood at every space: so a name
sounds alike wherever it stands in a sentence, and what the sentence does to its last consonant is
left to the costs of :mod:`asr.search.costs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from asr.hangul.jamo import CODAS, FIRST_SYLLABLE, NUCLEI
from asr.hangul.junction import SURFACE_CODAS
from asr.hangul.phones import CODA_PHONES, NUCLEUS_PHONES, ONSET_PHONES, PHONES
from asr.hangul.pronunciation import pronounce

Phones = NDArray[np.uint8]
"""Numbers of phones: indices into :data:`asr.hangul.phones.PHONES`."""

NUMBER = {name: number for number, name in enumerate(PHONES)}
_NONE = 255
_CACHED_EOJEOLS = 1 << 18


def _table(names: Sequence[str]) -> Phones:
    return np.array([NUMBER.get(name, _NONE) for name in names], np.uint8)


_ONSETS, _NUCLEI = _table(ONSET_PHONES), _table(NUCLEUS_PHONES)
_CODAS = _table([
    CODA_PHONES[SURFACE_CODAS.index(coda)] if coda in SURFACE_CODAS else "" for coda in CODAS
])  # fmt: skip


@lru_cache(_CACHED_EOJEOLS)
def _said_eojeol(eojeol: str) -> str:
    return pronounce(eojeol, max_cost=0.0, limit=1)[0].hangul


def said(text: str) -> str:
    """The surface spelling of a Hangul text, each eojeol said alone: 서울역 앞 → 서울력 압.

    Raises DataError when the text holds anything but Hangul syllables and spaces.
    """
    return " ".join(map(_said_eojeol, text.split()))


def phones_of_surface(surface: str) -> tuple[Phones, NDArray[np.int32]]:
    """Phones of a surface spelling, and the syllable (spaces do not count) that each is of."""
    codes = np.frombuffer(surface.replace(" ", "").encode("utf-32-le"), np.uint32)
    onset, rest = np.divmod(codes.astype(np.int64) - FIRST_SYLLABLE, len(NUCLEI) * len(CODAS))
    nucleus, coda = np.divmod(rest, len(CODAS))
    rows = np.stack([_ONSETS[onset], _NUCLEI[nucleus], _CODAS[coda]], axis=1)
    syllable, place = np.nonzero(rows != _NONE)
    return rows[syllable, place], syllable.astype(np.int32)


def phones_of(text: str) -> Phones:
    """Phones of a Hangul text.

    >>> " ".join(PHONES[number] for number in phones_of("꽃잎 위"))
    'gg o n2 n i b2 wi'
    """
    return phones_of_surface(said(text))[0]


def phones_of_many(texts: Sequence[str]) -> tuple[Phones, NDArray[np.int64]]:
    """Phones of many texts: uint8 [P], and int64 [N + 1], where each text's begin and end."""
    surfaces = [said(text).replace(" ", "") for text in texts]
    phones, syllable = phones_of_surface("".join(surfaces))
    ends = np.cumsum([0, *map(len, surfaces)])
    return phones, np.searchsorted(syllable, ends).astype(np.int64)


_CLASSES = (
    "g gg kh g2", "d dd t d2", "b bb p b2", "s ss", "j jj ch", "h", "n n2", "m m2", "ng", "l l2",
    "a", "ya", "eo", "yeo", "o", "yo", "u", "yu", "eu", "i ui", "ae e yae ye oe wae we", "wa",
    "wo", "wi",
)  # fmt: skip
"""Phones that recognisers and people mistake for each other most easily, together."""
NUM_CLASSES = len(_CLASSES)


def _class_table() -> Phones:
    table = np.full(len(PHONES), _NONE, np.uint8)
    for number, names in enumerate(_CLASSES):
        for name in names.split():
            table[NUMBER[name]] = number
    assert (table != _NONE).all()
    return table


CLASS_OF = _class_table()
"""uint8 [46]: the class of each phone."""
