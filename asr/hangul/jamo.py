"""Hangul syllables and their jamo: decomposition, composition, and every encoding of a jamo.

A syllable block is three indices: onset (0-18), nucleus (0-20) and coda (0-27, 0 is none), in
the order of The Unicode Standard, section 3.12 "Conjoining Jamo Behavior". Jamo are shown
to people as compatibility jamo (U+3131-U+3163), the letters a Korean keyboard types.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from asr.errors import DataError

ONSETS = tuple("ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ")
NUCLEI = tuple("ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ")
CODAS = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")

FIRST_SYLLABLE = 0xAC00
LAST_SYLLABLE = 0xD7A3
SILENT_ONSET = ONSETS.index("ㅇ")

ONSET_INDEX = {letter: index for index, letter in enumerate(ONSETS)}
NUCLEUS_INDEX = {letter: index for index, letter in enumerate(NUCLEI)}
CODA_INDEX = {letter: index for index, letter in enumerate(CODAS)}

_CONJOINING_ONSET, _CONJOINING_NUCLEUS, _CONJOINING_CODA = 0x1100, 0x1161, 0x11A7


def is_syllable(character: str) -> bool:
    """Whether `character` is one of the 11,172 precomposed syllables U+AC00-U+D7A3."""
    return len(character) == 1 and FIRST_SYLLABLE <= ord(character) <= LAST_SYLLABLE


def decompose(syllable: str) -> tuple[int, int, int]:
    """Indices (onset, nucleus, coda) of one precomposed syllable.

    Raises DataError when `syllable` is anything else.
    """
    if not is_syllable(syllable):
        raise DataError(f"{syllable!r} is not a Hangul syllable (U+AC00 to U+D7A3).")
    onset, rest = divmod(ord(syllable) - FIRST_SYLLABLE, len(NUCLEI) * len(CODAS))
    nucleus, coda = divmod(rest, len(CODAS))
    return onset, nucleus, coda


def compose(onset: int, nucleus: int, coda: int = 0) -> str:
    """The precomposed syllable of the three indices; raises DataError when one is out of range."""
    in_range = 0 <= onset < len(ONSETS) and 0 <= nucleus < len(NUCLEI) and 0 <= coda < len(CODAS)
    if not in_range:
        raise DataError(f"No Hangul syllable has the jamo indices {(onset, nucleus, coda)}.")
    return chr(FIRST_SYLLABLE + (onset * len(NUCLEI) + nucleus) * len(CODAS) + coda)


def to_jamo(text: str) -> str:
    """Spell `text` in compatibility jamo: 값 as ㄱㅏㅄ, cluster codas whole.

    Syllables (NFC or NFD), conjoining, halfwidth and compatibility jamo all come out as
    compatibility jamo; every other character is kept.
    """
    return "".join(_letters(normalize_jamo(text)))


def from_jamo(letters: str) -> str:
    """Compose compatibility jamo back to syllables, as a Korean keyboard does.

    A consonant before a vowel is that vowel's onset; otherwise it closes the syllable before it
    when it can be a coda, and two consonants that make a cluster coda are joined. Jamo that fit
    nowhere, and other characters, are kept. Silent onsets must be written (ㅇㅏ → 아).
    """
    return "".join(_compose_letters(_letters(normalize_jamo(letters))))


def normalize_jamo(text: str) -> str:
    """NFC text in which every stray modern jamo is a compatibility jamo.

    Conjoining (U+1100-), compatibility (U+3131-) and halfwidth (U+FFA1-) jamo are unified;
    conjoining sequences that form a syllable are composed first. Archaic jamo are kept.
    """
    return "".join(_TO_COMPATIBILITY.get(ch, ch) for ch in unicodedata.normalize("NFC", text))


def _letters(text: str) -> Iterator[str]:
    for character in text:
        if is_syllable(character):
            onset, nucleus, coda = decompose(character)
            yield ONSETS[onset]
            yield NUCLEI[nucleus]
            if coda:
                yield CODAS[coda]
        else:
            yield character


def _compose_letters(letters: Iterable[str]) -> Iterator[str]:
    queue = list(letters)
    position = 0
    while position < len(queue):
        onset = ONSET_INDEX.get(queue[position])
        if onset is None or not _nucleus_at(queue, position + 1):
            yield queue[position]
            position += 1
            continue
        nucleus = NUCLEUS_INDEX[queue[position + 1]]
        coda, used = _coda_at(queue, position + 2)
        yield compose(onset, nucleus, coda)
        position += 2 + used


def _nucleus_at(letters: list[str], position: int) -> bool:
    return position < len(letters) and letters[position] in NUCLEUS_INDEX


def _coda_at(letters: list[str], position: int) -> tuple[int, int]:
    """The longest coda that starts at `position` and leaves the next vowel its onset."""
    for length in (2, 1):
        cluster = "".join(letters[position : position + length])
        coda = CODA_INDEX.get(_JOINED.get(cluster, cluster), 0)
        takes_onset = cluster[-1:] in ONSET_INDEX and _nucleus_at(letters, position + length)
        if coda and len(cluster) == length and not takes_onset:
            return coda, length
    return 0, 0


_JOINED = {
    "ㄱㅅ": "ㄳ", "ㄴㅈ": "ㄵ", "ㄴㅎ": "ㄶ", "ㄹㄱ": "ㄺ", "ㄹㅁ": "ㄻ", "ㄹㅂ": "ㄼ",
    "ㄹㅅ": "ㄽ", "ㄹㅌ": "ㄾ", "ㄹㅍ": "ㄿ", "ㄹㅎ": "ㅀ", "ㅂㅅ": "ㅄ",
}  # fmt: skip


def _compatibility_table() -> dict[str, str]:
    table = {chr(_CONJOINING_ONSET + index): letter for index, letter in enumerate(ONSETS)}
    table |= {chr(_CONJOINING_NUCLEUS + index): letter for index, letter in enumerate(NUCLEI)}
    table |= {chr(_CONJOINING_CODA + index): CODAS[index] for index in range(1, len(CODAS))}
    letters = {unicodedata.normalize("NFKC", letter): letter for letter in set(table.values())}
    for code in range(0xFFA1, 0xFFDD):  # halfwidth forms, equal to the wide ones under NFKC
        wide = letters.get(unicodedata.normalize("NFKC", chr(code)))
        if wide:
            table[chr(code)] = wide
    return table


_TO_COMPATIBILITY = _compatibility_table()
