"""Which written letters a spoken sound stands for: the inverse view of the junction table.

Around a boundary between two syllables there are up to two sounds, a surface coda and a surface
onset, and up to three written letters, a coda (a cluster is two) and an onset. Some letters have
a sound of their own, in their own place (국물: ㄱ is said ㅇ) or in the next syllable's onset
(옷이: ㅅ begins 시). Two letters may share one sound (좋다: ㅎ and ㄷ are ㅌ); some are silent
(않은: ㅎ; 앉다: ㅈ; the ㅇ of every onset); and a sound may be added that only the ㅇ stands for
(솜이불: ㄴ).
"""

from __future__ import annotations

from dataclasses import dataclass

from asr.hangul.jamo import CODAS, ONSETS

_CLUSTERS = {
    "ㄳ": "ㄱㅅ", "ㄵ": "ㄴㅈ", "ㄶ": "ㄴㅎ", "ㄺ": "ㄹㄱ", "ㄻ": "ㄹㅁ", "ㄼ": "ㄹㅂ",
    "ㄽ": "ㄹㅅ", "ㄾ": "ㄹㅌ", "ㄿ": "ㄹㅍ", "ㅀ": "ㄹㅎ", "ㅄ": "ㅂㅅ",
}  # fmt: skip
_SILENT = "ㅇ"
_ASPIRATES = frozenset("ㅋㅌㅍㅊ")
_JOINED_WITH_H = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅈ": "ㅊ", "ㅅ": "ㅆ"}
"""Articles 12.1 and 12.2: what a coda ㅎ and the onset after it become together."""
_PLACES = ("ㄱㄲㅋㅇ", "ㄴㄷㄸㅅㅆㅈㅉㅊㅌㅎ", "ㄹ", "ㅁㅂㅍ")
"""Articles 8, 9, 18: a coda keeps its place of articulation, whatever else becomes of it."""
_LINKED = {
    "ㄱ": "ㄱ", "ㄲ": "ㄲㄱ", "ㄴ": "ㄴ", "ㄷ": "ㄷㅈ", "ㄹ": "ㄹ", "ㅁ": "ㅁ", "ㅂ": "ㅂ",
    "ㅅ": "ㅅㅆㄷ", "ㅆ": "ㅆㄷ", "ㅈ": "ㅈㄷ", "ㅊ": "ㅊㄷ", "ㅋ": "ㅋㄱ", "ㅌ": "ㅌㅊㄷ",
    "ㅍ": "ㅍㅂ", "ㅎ": "ㄷ",
}  # fmt: skip
"""Articles 13-15, 17: how a coda sounds as the onset of a vowel, in its own or its final form."""


@dataclass(frozen=True, slots=True)
class Letters:
    """The letters that the two sounds of a boundary stand for; "" where there is no such sound.

    coda: of the surface coda. moved: letters of the written coda in the surface onset. onset: the
    written onset, if the surface onset stands for it (ㅇ where the sound is an added one).
    """

    coda: str
    moved: str
    onset: str


def coda_letters(coda: int) -> str:
    """The letters of a coda (index into CODAS): ㄱㅅ for ㄳ, but ㄲ and ㅆ are one."""
    return _CLUSTERS.get(CODAS[coda], CODAS[coda])


def realised(coda: int, onset: int, said_coda: str, said_onset: str) -> Letters:
    """Which letters the sounds between two syllables stand for.

    Args:
        coda: the left syllable's written coda (index into CODAS, 0 none).
        onset: the right one's written onset (index into ONSETS; ㅇ at the end of the text).
        said_coda: the surface coda (a letter of SURFACE_CODAS), "" for none.
        said_onset: the surface onset (a letter of ONSETS), "" for none.

    >>> realised(CODAS.index("ㅄ"), ONSETS.index("ㅇ"), "ㅂ", "ㅆ")
    Letters(coda='ㅂ', moved='ㅅ', onset='')
    >>> realised(CODAS.index("ㅎ"), ONSETS.index("ㄷ"), "", "ㅌ")
    Letters(coda='', moved='ㅎ', onset='ㄷ')
    """
    letters = coda_letters(coda)
    closing = _in_coda(letters, said_coda)
    if not said_onset:
        return Letters(closing, "", "")
    rest = letters.replace(closing, "", 1)
    written = ONSETS[onset]
    if written == _SILENT:
        moved = _linked(rest, said_onset)
        return Letters(closing, moved, "" if moved else written)
    if written == "ㅎ":
        if said_onset == "ㅎ":
            return Letters(closing, "", written)
        moved = _at_place_of(said_onset, rest.replace("ㅎ", ""))
        lost = moved and said_onset not in _ASPIRATES  # 전화 said 저놔
        return Letters(closing, moved, "" if lost else written)
    joined = rest.endswith("ㅎ") and (said_onset in _JOINED_WITH_H.get(written, ""))
    return Letters(closing, "ㅎ" if joined else "", written)


def _in_coda(letters: str, said: str) -> str:
    """The letter that the surface coda stands for: the one with its place, else the first."""
    return (_at_place_of(said, letters) or letters[:1]) if said else ""


def _at_place_of(said: str, letters: str) -> str:
    """The first of the letters that is articulated where the sound is, or ""."""
    place = next((place for place in _PLACES if said in place), "")
    return next((letter for letter in letters if letter in place), "")


def _linked(letters: str, said: str) -> str:
    """The letter that has moved to the onset of a vowel, "" where the sound is an added one."""
    return next((letter for letter in reversed(letters) if said in _LINKED[letter]), "")
