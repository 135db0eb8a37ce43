"""The junction table: what 표준발음법 makes of a coda, a boundary and the next syllable's start.

`junction` is the one source of Korean phonology here. Run forward on text it is the G2P
(`asr.hangul.pronunciation`); laid out as arcs it is the pronunciation lexicon of the decoding
graph. A canonical surface costs 0; an alternative costs about -ln of how often it is heard
relative to the canonical one (nats). How the costs were counted is told at `COSTS`.

Articles (항) cited are those of 표준어 규정, 제2부 표준 발음법.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cache

from asr.errors import UsageError
from asr.hangul.jamo import CODAS, NUCLEI, ONSETS


class Boundary(IntEnum):
    """What stands between two syllables of the spelling."""

    INSIDE = 0
    """Nothing: one morpheme, or a stem or noun and its ending, particle or suffix."""
    COMPOUND = 1
    """Two parts of a compound written together (겉옷, 솜이불, 문고리)."""
    SPACE = 2
    """A space that is spoken without a pause (옷 한 벌)."""
    PAUSE = 3
    """Silence: both sides sound as they do alone."""


@dataclass(frozen=True, slots=True)
class Surface:
    """One way to speak a junction.

    coda: index into SURFACE_CODAS; onset: index into ONSETS (11 is silent); cost: nats, 0 for
    the canonical surface.
    """

    coda: int
    onset: int
    cost: float


SURFACE_CODAS = ("", "ㄱ", "ㄴ", "ㄷ", "ㄹ", "ㅁ", "ㅂ", "ㅇ")
"""The seven sounds a coda may have, and none (article 8)."""


class Reading(StrEnum):
    """The ways one junction within an eojeol may go; which one a word takes is lexical."""

    PLAIN = "plain"
    """What the rules say when both sides belong to one word: articles 8-20, 23-25."""
    WORD = "word"
    """Each side a word of its own: 겉옷 거돋, 의견란 의견난 (15, 20)."""
    TENSE = "tense"
    """A lenis made tense: 갈등 갈뜽, 신고 신꼬, 문고리 문꼬리 (24, 26-28)."""
    ADDED = "added"
    """ㄴ added before 이 야 여 요 유: 솜이불 솜니불 (29)."""
    DROPPED = "dropped"
    """The ㅅ that marks a compound silent, and the lenis tense: 냇가 내까 (30)."""
    MEMBER = "member"
    """The other member of a cluster coda: 밟다 밥따, 닭과 닥꽈 (10, 11)."""


COSTS: dict[str, tuple[float | None, float | None, float | None]] = {
    "plain": (None, 2.5, 3.0),
    "word": (3.7, None, 1.0),
    "other ㄴㄹ": (3.0, 1.8, 0.7),
    "tense after vowel": (5.0, 2.7, 5.0),
    "tense after ㄴㅁㅇ": (3.2, 2.0, 4.0),
    "tense after ㄹ": (3.3, 1.6, 1.0),
    "tense ㄷㅅㅈ after ㄹ": (0.7, 0.7, 1.0),
    "added": (2.9, 0.3, 1.5),
    "dropped": (0.6, 0.3, 2.0),
    "member": (1.1, 2.5, 2.5),
    "lenis after cluster": (2.2, 2.2, 2.2),
    "ㄷ lost before tense": (1.0, 1.5, 2.0),
    "ㅎ lost": (1.2, 1.6, 3.0),
    "no palatalisation": (3.0, None, None),
    "isolated": (None, None, 1.0),
}
"""Cost in nats of each kind of alternative INSIDE, at COMPOUND and at SPACE; None: never there.

Counted inside words and at the parts of compounds over the 201,079 words of 표준국어대사전: ln of
canonical over alternative. Set by hand instead: all SPACE costs and those of speech that no
dictionary lists (ㅎ lost, ㄷ lost, isolated); tensing after ㄹ inside, which dictionaries overstate
(particles and endings, 물도 살지, are not listed); alternatives as frequent as the canonical (0.3).
"""

_NEUTRAL = {
    "": "", "ㄱ": "ㄱ", "ㄲ": "ㄱ", "ㄳ": "ㄱ", "ㄴ": "ㄴ", "ㄵ": "ㄴ", "ㄶ": "ㄴ", "ㄷ": "ㄷ",
    "ㄹ": "ㄹ", "ㄺ": "ㄱ", "ㄻ": "ㅁ", "ㄼ": "ㄹ", "ㄽ": "ㄹ", "ㄾ": "ㄹ", "ㄿ": "ㅂ", "ㅀ": "ㄹ",
    "ㅁ": "ㅁ", "ㅂ": "ㅂ", "ㅄ": "ㅂ", "ㅅ": "ㄷ", "ㅆ": "ㄷ", "ㅇ": "ㅇ", "ㅈ": "ㄷ", "ㅊ": "ㄷ",
    "ㅋ": "ㄱ", "ㅌ": "ㄷ", "ㅍ": "ㅂ", "ㅎ": "ㄷ",
}  # fmt: skip
"""Articles 8-11: the sound of a coda before a consonant or at the end."""

_SPLIT = {
    "ㄳ": ("ㄱ", "ㅆ"), "ㄵ": ("ㄴ", "ㅈ"), "ㄺ": ("ㄹ", "ㄱ"), "ㄻ": ("ㄹ", "ㅁ"),
    "ㄼ": ("ㄹ", "ㅂ"), "ㄽ": ("ㄹ", "ㅆ"), "ㄾ": ("ㄹ", "ㅌ"), "ㄿ": ("ㄹ", "ㅍ"),
    "ㅄ": ("ㅂ", "ㅆ"),
}  # fmt: skip
"""Article 14: what stays and what moves to a following vowel; a moved ㅅ is tense."""

_REST_OF_H = {"ㅎ": "", "ㄶ": "ㄴ", "ㅀ": "ㄹ"}
_ASPIRATE = {"ㄱ": "ㅋ", "ㄷ": "ㅌ", "ㅂ": "ㅍ", "ㅈ": "ㅊ", "ㅌ": "ㅌ", "ㅍ": "ㅍ", "ㅊ": "ㅊ"}
_TENSE = {"ㄱ": "ㄲ", "ㄷ": "ㄸ", "ㅂ": "ㅃ", "ㅅ": "ㅆ", "ㅈ": "ㅉ"}
_NASAL = {"ㄱ": "ㅇ", "ㄷ": "ㄴ", "ㅂ": "ㅁ"}
_PALATAL = {"ㄷ": "ㅈ", "ㅌ": "ㅊ"}
_OTHER_MEMBER = {"ㄺ": "ㄹ", "ㄼ": "ㅂ", "ㄻ": "ㄹ"}
_TENSING_CLUSTERS = frozenset(("ㄵ", "ㄼ", "ㄾ", "ㄻ", "ㄿ"))
_SILENT = "ㅇ"
_PALATAL_NUCLEI = frozenset("ㅣㅕ")
_GLIDE_NUCLEI = frozenset("ㅣㅑㅕㅛㅠㅒㅖ")

Pair = tuple[str, str]
"""A surface coda and onset as letters: ("", "ㅋ")."""


def final_coda(coda: int) -> int:
    """Index into SURFACE_CODAS of a coda (index into CODAS) at a pause or the end."""
    return SURFACE_CODAS.index(_NEUTRAL[CODAS[coda]])


@cache
def junction(coda: int, boundary: Boundary, onset: int, nucleus: int) -> tuple[Surface, ...]:
    """How `coda` (index into CODAS, 0 none) and the next syllable's `onset` and `nucleus` sound.

    Returns distinct surfaces, cheapest first; the first is canonical and costs 0. Total over
    all 28 x 4 x 19 x 21 arguments; raises UsageError outside of them.
    """
    letters = _letters(coda, onset, nucleus)
    costs: dict[Pair, float] = {}
    for pair, cost in _surfaces(Boundary(boundary), *letters):
        costs[pair] = min(cost, costs.get(pair, cost))
    ranked = sorted(costs.items(), key=lambda item: item[1])
    return tuple(Surface(*_indices(pair), cost) for pair, cost in ranked)


@cache
def readings(coda: int, onset: int, nucleus: int) -> dict[Reading, tuple[int, int]]:
    """The distinct ways a junction within an eojeol may go, PLAIN first.

    Arguments as for `junction`. Values are (index into SURFACE_CODAS, index into ONSETS). Which
    of them a given word takes is for `asr.hangul.context` and the exceptions to say.
    """
    pairs = _readings(*_letters(coda, onset, nucleus))
    return {reading: _indices(pair) for reading, pair in pairs.items()}


def _letters(coda: int, onset: int, nucleus: int) -> tuple[str, str, str]:
    in_range = 0 <= coda < len(CODAS) and 0 <= onset < len(ONSETS) and 0 <= nucleus < len(NUCLEI)
    if not in_range:
        raise UsageError(f"No junction has the jamo indices {(coda, onset, nucleus)}.")
    return CODAS[coda], ONSETS[onset], NUCLEI[nucleus]


def _indices(pair: Pair) -> tuple[int, int]:
    return SURFACE_CODAS.index(pair[0]), ONSETS.index(pair[1])


def _surfaces(
    boundary: Boundary, coda: str, onset: str, nucleus: str
) -> Iterator[tuple[Pair, float]]:
    if boundary is Boundary.PAUSE:
        yield (_NEUTRAL[coda], onset), 0.0
        return
    canonical = _join_inside(coda, onset, nucleus)
    if boundary is not Boundary.INSIDE:
        canonical = _join_words(coda, onset)
    if boundary is Boundary.SPACE and onset == "ㄹ":  # only loans begin so: 놀라운 로봇
        canonical = (_NEUTRAL[coda], onset)
    yield canonical, 0.0
    for kind, pair in _alternatives(coda, onset, nucleus, canonical):
        cost = COSTS[kind][boundary]
        if cost is not None:
            yield pair, cost


def _alternatives(
    coda: str, onset: str, nucleus: str, canonical: Pair
) -> Iterator[tuple[str, Pair]]:
    """Every other way that is heard, by kind (the keys of COSTS)."""
    left, right = canonical
    for reading, pair in _readings(coda, onset, nucleus).items():
        yield _kind(reading, _NEUTRAL[coda], onset), pair
    yield "isolated", (_NEUTRAL[coda], onset)
    if coda in _TENSING_CLUSTERS and onset in _TENSE:
        yield "lenis after cluster", (_NEUTRAL[coda], onset)
    if left == "ㄷ" and right in _TENSE.values():
        yield "ㄷ lost before tense", ("", right)
    if right == "ㅎ":  # 전화 as 저놔: heard, not standard (12.4)
        yield "ㅎ lost", _link(left, "")
    if coda in _PALATAL and onset in (_SILENT, "ㅎ"):  # 맏형
        yield "no palatalisation", ("", coda if onset == _SILENT else "ㅌ")


def _readings(coda: str, onset: str, nucleus: str) -> dict[Reading, Pair]:
    pairs = {Reading.PLAIN: _join_inside(coda, onset, nucleus)}
    for reading, pair in _lexical_readings(coda, onset, nucleus):
        if pair not in pairs.values():
            pairs[reading] = pair
    return pairs


def _lexical_readings(coda: str, onset: str, nucleus: str) -> Iterator[tuple[Reading, Pair]]:
    final = _NEUTRAL[coda]
    if onset in _TENSE:
        if _join_inside(coda, onset, nucleus)[1] == onset:
            yield Reading.TENSE, (final, _TENSE[onset])
        if coda == "ㅅ":
            yield Reading.DROPPED, ("", _TENSE[onset])
    if coda and onset == _SILENT and nucleus in _GLIDE_NUCLEI:
        yield Reading.ADDED, _assimilate(final, "ㄴ")
    yield Reading.WORD, _join_words(coda, onset)
    if coda in _OTHER_MEMBER and onset not in (_SILENT, "ㅎ"):
        for member in (final, _OTHER_MEMBER[coda]):
            yield Reading.MEMBER, _assimilate(member, _TENSE.get(onset, onset))


def _kind(reading: Reading, final: str, onset: str) -> str:
    """The key of COSTS for a reading: it is split by what was counted apart."""
    if reading in (Reading.PLAIN, Reading.WORD) and (final, onset) == ("ㄴ", "ㄹ"):
        return "other ㄴㄹ"
    if reading is not Reading.TENSE:
        return reading.value
    if final == "ㄹ":
        return "tense ㄷㅅㅈ after ㄹ" if onset in ("ㄷ", "ㅅ", "ㅈ") else "tense after ㄹ"
    return "tense after ㄴㅁㅇ" if final else "tense after vowel"


def _join_inside(coda: str, onset: str, nucleus: str) -> Pair:
    """The canonical surface within a morpheme, or between a stem and what is bound to it."""
    if onset == _SILENT:
        return _link(coda, nucleus)
    if coda in _REST_OF_H and onset in ("ㄱ", "ㄷ", "ㅈ", "ㅅ", "ㄴ"):
        return _after_h(coda, onset)
    if onset == "ㅎ":
        return _before_h(coda, nucleus)
    if coda == "ㄺ" and onset == "ㄱ":  # article 11: 맑게, 읽거나
        return "ㄹ", "ㄲ"
    if coda in _TENSING_CLUSTERS and onset in _TENSE:  # articles 24, 25
        return _NEUTRAL[coda], _TENSE[onset]
    left, right = _assimilate(_NEUTRAL[coda], onset)
    return ("ㄹ", "ㄹ") if (left, onset) == ("ㄴ", "ㄹ") else (left, right)


def _join_words(coda: str, onset: str) -> Pair:
    """The canonical surface between words: the left one first takes its final form (15)."""
    left = _NEUTRAL[coda]
    if onset == _SILENT:
        return _link(left, "")
    if onset == "ㅎ":
        return ("", _ASPIRATE[left]) if left in _ASPIRATE else (left, onset)
    return _assimilate(left, onset)


def _link(coda: str, nucleus: str) -> Pair:
    """Articles 12.4, 13, 14 and 17: a coda moves to the vowel that follows."""
    if coda in ("", "ㅇ"):
        return coda, _SILENT
    if coda in _REST_OF_H:
        return "", _REST_OF_H[coda] or _SILENT
    rest, moved = _SPLIT.get(coda, ("", coda))
    if nucleus in _PALATAL_NUCLEI:
        moved = _PALATAL.get(moved, moved)
    return rest, moved


def _after_h(coda: str, onset: str) -> Pair:
    """Article 12: what a coda ㅎ does to the consonant after it."""
    rest = _REST_OF_H[coda]
    if onset == "ㅅ":
        return rest, "ㅆ"
    if onset == "ㄴ":
        return ("ㄹ", "ㄹ") if rest == "ㄹ" else ("ㄴ", "ㄴ")
    return rest, _ASPIRATE[onset]


def _before_h(coda: str, nucleus: str) -> Pair:
    """Article 12.1: an obstruent and ㅎ make one aspirate; ㄷ before 이 is palatal too (17)."""
    if coda in ("ㅈ", "ㄵ", "ㄺ", "ㄼ", "ㄾ", "ㄿ"):
        rest, moved = _SPLIT.get(coda, ("", coda))
    else:
        moved = _NEUTRAL[coda]
        rest = ""
    if moved not in _ASPIRATE:
        return moved, "ㅎ"
    aspirate = _ASPIRATE[moved]
    if coda in ("ㄷ", "ㅌ", "ㄾ") and nucleus in _PALATAL_NUCLEI:
        aspirate = "ㅊ"
    return rest, aspirate


def _assimilate(left: str, onset: str) -> Pair:
    """Articles 18, 19, 20 and 23, for a coda in its final form and a consonant other than ㅎ."""
    if left in _NASAL:
        if onset in _TENSE:
            return left, _TENSE[onset]
        if onset in ("ㄴ", "ㅁ"):
            return _NASAL[left], onset
        return (_NASAL[left], "ㄴ") if onset == "ㄹ" else (left, onset)
    if onset == "ㄹ" and left in ("ㄴ", "ㅁ", "ㅇ"):
        return left, "ㄴ"
    if onset == "ㄴ" and left == "ㄹ":
        return "ㄹ", "ㄹ"
    return left, onset


_LONE_NUCLEI = {"ㅑ": "ㅏ", "ㅒ": "ㅐ", "ㅖ": "ㅔ", "ㅛ": "ㅗ", "ㅠ": "ㅜ"}
_MERGERS = {"ㅐ": "ㅔ", "ㅔ": "ㅐ", "ㅒ": "ㅖ", "ㅚ": "ㅞ", "ㅙ": "ㅞ", "ㅞ": "ㅙ"}
MERGER_COST = 2.5
"""Cost in nats of a vowel that most speakers no longer tell from the spelled one."""


@cache
def nucleus_surface(
    onset: int,
    underlying_onset: int,
    nucleus: int,
    initial: bool,
    mergers: bool = False,
    merger_cost: float = MERGER_COST,
) -> tuple[tuple[int, float], ...]:
    """How a vowel sounds by article 5, and 4 with `mergers`: (index into NUCLEI, cost in nats).

    onset is the surface onset (the one `junction` gave), underlying_onset the spelled one, both
    indices into ONSETS; `initial` says that the syllable begins an eojeol. Canonical first, at
    cost 0. With `mergers`, vowels that most speakers no longer tell apart (ㅐ/ㅔ, ㅚ/ㅙ/ㅞ) are
    added as alternatives at `merger_cost` more.
    """
    costs: dict[str, float] = {}
    for vowel, cost in _vowels(ONSETS[onset], ONSETS[underlying_onset], NUCLEI[nucleus], initial):
        costs[vowel] = min(cost, costs.get(vowel, cost))
        if mergers and vowel in _MERGERS:
            merged, more = _MERGERS[vowel], cost + merger_cost
            costs[merged] = min(more, costs.get(merged, more))
    ranked = sorted(costs.items(), key=lambda item: item[1])
    return tuple((NUCLEI.index(vowel), cost) for vowel, cost in ranked)


def _vowels(
    onset: str, underlying: str, nucleus: str, initial: bool
) -> Iterator[tuple[str, float]]:
    if nucleus == "ㅢ":
        if underlying != _SILENT:  # 5.3: 희망, 무늬
            yield "ㅣ", 0.0
            return
        yield "ㅢ", 0.0
        if not initial:  # 5.4: 주의 as 주이; the particle 의 as 에
            yield "ㅣ", 0.5
            yield "ㅔ", 1.5
        return
    if onset in ("ㅈ", "ㅉ", "ㅊ") and nucleus == "ㅕ":  # 5.1
        yield "ㅓ", 0.0
        return
    yield nucleus, 0.0
    if onset in ("ㅈ", "ㅉ", "ㅊ") and nucleus in _LONE_NUCLEI:  # heard so too: 하죠 as 하조
        yield _LONE_NUCLEI[nucleus], 0.5
    if nucleus == "ㅖ" and underlying not in (_SILENT, "ㄹ"):  # 5.2
        yield "ㅔ", 0.5
    if nucleus == "ㅚ":  # 4, note
        yield "ㅞ", 1.0
