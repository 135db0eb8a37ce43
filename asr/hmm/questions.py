"""What a decision tree may ask about the phone before or after: classes of jamo.

Onsets by place and manner of articulation and by 평음 (lax), 경음 (tense), 격음 (aspirated); nuclei
by height, backness, rounding and glide; codas by place (표준발음법 제8항: seven are spoken).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr.hangul.phones import CODA_PHONES, NUCLEUS_PHONES, ONSET_PHONES, SILENCE
from asr.hmm.phones import Position
from asr.hmm.topology import NUM_PHONES, SURFACE_PHONES

_ONSETS = tuple(name for name in ONSET_PHONES if name)
_CODAS = tuple(name for name in CODA_PHONES if name)

JAMO_CLASSES: dict[str, tuple[str, ...]] = {
    "onset": _ONSETS,
    "nucleus": NUCLEUS_PHONES,
    "coda": _CODAS,
    "consonant": (*_ONSETS, *_CODAS),
    # manner
    "평음 lax": ("g", "d", "b", "j", "s"),
    "lax stop": ("g", "d", "b", "j"),
    "경음 tense": ("gg", "dd", "bb", "jj", "ss"),
    "격음 aspirated": ("kh", "t", "p", "ch"),
    "aspirated or h": ("kh", "t", "p", "ch", "h"),
    "voiceless onset": ("gg", "dd", "bb", "jj", "ss", "s", "kh", "t", "p", "ch", "h"),
    "fricative": ("s", "ss", "h"),
    "sibilant": ("s", "ss"),
    "affricate": ("j", "jj", "ch"),
    "sibilant or affricate": ("s", "ss", "j", "jj", "ch"),
    "stop": ("g", "gg", "kh", "d", "dd", "t", "b", "bb", "p"),
    "비음 nasal": ("n", "m", "n2", "m2", "ng"),
    "nasal onset": ("n", "m"),
    "nasal coda": ("n2", "m2", "ng"),
    "유음 liquid": ("l", "l2"),
    "sonorant": ("n", "m", "l", "n2", "m2", "ng", "l2"),
    "sonorant onset": ("n", "m", "l"),
    "sonorant coda": ("n2", "m2", "ng", "l2"),
    "unreleased coda": ("g2", "d2", "b2"),
    # place
    "labial": ("b", "bb", "p", "m", "b2", "m2"),
    "labial onset": ("b", "bb", "p", "m"),
    "labial stop": ("b", "bb", "p"),
    "labial coda": ("b2", "m2"),
    "coronal": ("d", "dd", "t", "s", "ss", "n", "l", "d2", "n2", "l2"),
    "coronal stop": ("d", "dd", "t"),
    "coronal coda": ("d2", "n2", "l2"),
    "palatal": ("j", "jj", "ch"),
    "velar": ("g", "gg", "kh", "g2", "ng"),
    "velar stop": ("g", "gg", "kh"),
    "velar coda": ("g2", "ng"),
    # nuclei: glides, height, backness, rounding
    "monophthong": ("a", "ae", "eo", "e", "o", "u", "eu", "i"),
    "y glide": ("ya", "yae", "yeo", "ye", "yo", "yu"),
    "w glide": ("wa", "wae", "oe", "wo", "we", "wi"),
    "opens in i or y": ("i", "ya", "yae", "yeo", "ye", "yo", "yu"),
    "opens rounded": ("o", "u", "wa", "wae", "oe", "wo", "we", "wi"),
    "rounded": ("o", "u", "yo", "yu"),
    "high": ("i", "eu", "u", "yu", "wi", "ui"),
    "mid": ("e", "eo", "o", "ye", "yeo", "yo", "we", "oe", "wo", "wae", "yae", "ae"),
    "low": ("a", "ya", "wa"),
    "front": ("i", "e", "ae", "ye", "yae", "we", "wae", "oe", "wi", "ui"),
    "high front": ("i", "wi", "ui"),
    "mid front": ("e", "ae", "ye", "yae", "we", "wae", "oe"),
    "back": ("a", "ya", "wa", "eo", "yeo", "wo", "o", "yo", "u", "yu", "eu"),
    "back unrounded": ("a", "ya", "wa", "eo", "yeo", "wo", "eu"),
    "a": ("a", "ya", "wa"),
    "eo": ("eo", "yeo", "wo"),
    "o": ("o", "yo"),
    "u": ("u", "yu"),
    "e": ("e", "ae", "ye", "yae", "we", "wae", "oe"),
}  # fmt: skip
"""Class → phones. ㅔ and ㅐ, and ㅚ, ㅙ and ㅞ, have fallen together for most speakers."""


def phone_questions() -> dict[str, NDArray[np.bool_]]:
    """Question → bool [P + 1] by phone-id: the classes, and each phone alone (silence too)."""
    ids = {name: SURFACE_PHONES.id(name, Position.NONE) for name in SURFACE_PHONES.names}
    questions: dict[str, NDArray[np.bool_]] = {}
    seen: set[bytes] = set()
    groups = {**JAMO_CLASSES, **{f"is {name}": (name,) for name in ids}}
    groups["silence or unreleased"] = (SILENCE, "g2", "d2", "b2")
    groups["silence or consonant"] = (SILENCE, *_ONSETS, *_CODAS)
    for name, members in groups.items():
        answer = np.zeros(NUM_PHONES + 1, bool)
        answer[[ids[member] for member in members]] = True
        if answer.tobytes() not in seen:
            seen.add(answer.tobytes())
            questions[name] = answer
    return questions
