"""What kind of error each wrong jamo is: 받침, 경음/격음, 연음, 모음, and what is none of them.

Every jamo edit (of the jamo error rate) falls into exactly one `Group`, so the groups add up to
the jamo errors. Stretches that sound alike are taken first: the reference, and the reference with
this one stretch replaced by the hypothesis', are both pronounced by 표준발음법
(`asr.hangul.pronunciation`); if the standard pronunciation of the one is among those of the other,
the recogniser heard right and spelled wrong (연음). The other edits go by their role; where no
letter but vowels differs they are 모음 even if they sound alike (의/에).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

from asr.errors import DataError
from asr.hangul.jamo import NUCLEI, ONSETS, SILENT_ONSET, decompose, is_syllable
from asr.hangul.normalize import to_spoken
from asr.hangul.pronunciation import pronounce
from asr.score_jamo import FAMILIES, MISSING, Letters, Pairs, Role


class Group(StrEnum):
    """Kinds of jamo errors; `GROUP_RULES` says in words what falls into each."""

    CODA = "받침"
    TENSING = "경음/격음"
    LIAISON = "연음"
    VOWEL = "모음"
    ONSET = "초성"
    SYLLABLE = "음절"
    NOTATION = "표기"
    OTHER = "기타"


GROUP_RULES = {
    Group.CODA: "a coda lost, added or taken for another",
    Group.TENSING: "an onset taken for its plain, tense or aspirated fellow (ㄱ/ㄲ/ㅋ)",
    Group.LIAISON: "sounds alike: a coda moved to the next onset or back (옷이/오시), or one side"
    " spells what the other is pronounced (국물/궁물)",
    Group.VOWEL: "a vowel taken for another (ㅐ/ㅔ, ㅗ/ㅜ, ㅓ/ㅗ)",
    Group.ONSET: "an onset taken for one of another place or manner (ㄴ/ㄷ)",
    Group.SYLLABLE: "a syllable lost or added",
    Group.NOTATION: "the same words in letters or digits on one side (KBS/케이비에스)",
    Group.OTHER: "Latin letters, digits, and consonants that changed sides of a syllable",
}


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of characters (without spaces) from ref[0] to ref[1] against hyp[0] to hyp[1].

    The shortest that begin and end between syllables of both sides. edits: the pairs that differ.
    """

    ref: tuple[int, int]
    hyp: tuple[int, int]
    edits: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Confusion:
    """One error: ``ref`` taken for ``hyp`` ("" where lost or added), ``edits`` jamo of it.

    ref and hyp are jamo; the syllable for SYLLABLE; for NOTATION and LIAISON the whole stretch, or
    where more is wrong in it, the consonant that moved with the silent onset (ㄴㅇ). block: where.
    """

    group: Group
    ref: str
    hyp: str
    edits: int
    block: Block


def blocks(ref: Letters, hyp: Letters, pairs: Pairs) -> list[Block]:
    """The stretches of an alignment that hold an edit, in order."""
    found: list[Block] = []
    ref_ends, hyp_ends = _ends(ref), _ends(hyp)
    begin, seen, edits = (0, 0), [0, 0], []
    for r, h in pairs:
        seen[0] += r != MISSING
        seen[1] += h != MISSING
        if r == MISSING or h == MISSING or ref.letters[r] != hyp.letters[h]:
            edits.append((r, h))
        ref_end, hyp_end = ref_ends[seen[0]], hyp_ends[seen[1]]
        if ref_end == MISSING or hyp_end == MISSING:
            continue
        if edits:
            found.append(Block((begin[0], ref_end), (begin[1], hyp_end), tuple(edits)))
        begin, edits = (ref_end, hyp_end), []
    return found


def _ends(letters: Letters) -> list[int]:
    """After n letters: how many characters they are, or MISSING within a character."""
    ends = [0]
    for place, following in pairwise([*letters.places.tolist(), MISSING]):
        ends.append(place + 1 if following != place else MISSING)
    return ends


class Classifier:
    """Classifies the errors of one utterance; ``ref`` and ``hyp`` are its texts with spaces."""

    def __init__(self, ref: str, hyp: str, ref_letters: Letters, hyp_letters: Letters) -> None:
        self._ref, self._hyp = SpacedText(ref), SpacedText(hyp)
        self._ref_letters, self._hyp_letters = ref_letters, hyp_letters

    def confusions(self, pairs: Pairs) -> Iterator[Confusion]:
        """Every error of the alignment, each once."""
        for region in _regions(blocks(self._ref_letters, self._hyp_letters, pairs)):
            yield from self._region(region, pairs)

    def _region(self, region: list[Block], pairs: Pairs) -> Iterator[Confusion]:
        """The longest stretch that is right but for its spelling, and what lies around it."""
        for length in range(len(region), 0, -1):
            for begin in range(len(region) - length + 1):
                stretch = _joined(region[begin : begin + length])
                group = self._whole(stretch)
                if group is not None:
                    yield from self._region(region[:begin], pairs)
                    yield self._as_stretch(group, stretch)
                    yield from self._region(region[begin + length :], pairs)
                    return
        for block in region:
            yield from self._by_role(block, pairs)

    def _as_stretch(self, group: Group, block: Block) -> Confusion:
        ref, hyp = self._ref.part(*block.ref), self._hyp.part(*block.hyp)
        return Confusion(group, ref, hyp, len(block.edits), block)

    def _whole(self, block: Block) -> Group | None:
        """The group of a stretch that is right but for its spelling."""
        if max(block.ref[1] - block.ref[0], block.hyp[1] - block.hyp[0]) > _LONGEST:
            return None
        ref, hyp = self._ref.part(*block.ref), self._hyp.part(*block.hyp)
        is_hangul = _is_hangul(ref + hyp)
        if not ref or not hyp or (is_hangul and _vowels(ref) != _vowels(hyp)):
            return None
        if self._only_vowels(block):  # 의 for 에 or ㅔ for ㅐ are called what they are
            return None
        before, after = self._ref.around(*block.ref, _LONGEST)
        if is_hangul:
            before, after = _hangul_end(before), _hangul_end(after[::-1])[::-1]
            alike = sounds_alike(before + ref + after, before + hyp + after)
            return Group.LIAISON if alike else None
        alike = _read(before + ref + after) == _read(before + hyp + after)
        return Group.NOTATION if alike else None

    def _only_vowels(self, block: Block) -> bool:
        return all(
            MISSING not in (r, h)
            and self._ref_letters.roles[r] == self._hyp_letters.roles[h] == Role.VOWEL
            for r, h in block.edits
        )

    def _by_role(self, block: Block, pairs: Pairs) -> Iterator[Confusion]:
        gone = _gone_syllables(block, self._ref_letters, self._hyp_letters)
        for r, h in block.edits:
            if (r, h) in gone:
                continue
            group = self._group(r, h, pairs)
            ref, hyp = _letter(self._ref_letters, r), _letter(self._hyp_letters, h)
            if group is Group.LIAISON:  # named with the consonant that moved: ㄴㅇ→ㄴ
                before = pairs[pairs.index((r, h)) - 1]
                ref = _letter(self._ref_letters, before[0]) + ref
                hyp = _letter(self._hyp_letters, before[1]) + hyp
            yield Confusion(group, ref, hyp, 1, block)
        for character, is_lost, edits in _by_syllable(
            gone, self._ref.bare, self._hyp.bare, self._ref_letters, self._hyp_letters
        ):
            pair = (character, "") if is_lost else ("", character)
            yield Confusion(Group.SYLLABLE, *pair, edits, block)

    def _group(self, r: int, h: int, pairs: Pairs) -> Group:
        roles = {
            Role(int(side.roles[place]))
            for side, place in ((self._ref_letters, r), (self._hyp_letters, h))
            if place != MISSING
        }
        if len(roles) > 1 or Role.OTHER in roles:
            return Group.OTHER
        if roles == {Role.VOWEL}:
            return Group.VOWEL
        if roles == {Role.CODA}:
            return Group.CODA
        if r == MISSING or h == MISSING:
            return self._lone_onset(r, h, pairs)
        ref, hyp = _letter(self._ref_letters, r), _letter(self._hyp_letters, h)
        is_fellow = any({ref, hyp} <= set(family) for family in FAMILIES)
        return Group.TENSING if is_fellow else Group.ONSET

    def _lone_onset(self, r: int, h: int, pairs: Pairs) -> Group:
        """An onset whose vowel has a partner: if silent, the coda before it took its place."""
        side, place = (self._ref_letters, r) if h == MISSING else (self._hyp_letters, h)
        before = pairs[pairs.index((r, h)) - 1]
        moved = MISSING not in before and (
            self._ref_letters.roles[before[0]] != self._hyp_letters.roles[before[1]]
        )
        is_silent = _letter(side, place) == ONSETS[SILENT_ONSET]
        return Group.LIAISON if moved and is_silent else Group.OTHER


def _letter(letters: Letters, place: int) -> str:
    return letters.letters[place] if place != MISSING else ""


def _gone_syllables(block: Block, ref: Letters, hyp: Letters) -> set[tuple[int, int]]:
    """The edits without a partner in syllables whose vowel has none."""
    lost = {
        int(ref.places[r]) for r, h in block.edits if h == MISSING and ref.roles[r] == Role.VOWEL
    }
    added = {
        int(hyp.places[h]) for r, h in block.edits if r == MISSING and hyp.roles[h] == Role.VOWEL
    }
    return {
        (r, h)
        for r, h in block.edits
        if (h == MISSING and ref.places[r] in lost) or (r == MISSING and hyp.places[h] in added)
    }


def _by_syllable(
    gone: set[tuple[int, int]], ref: str, hyp: str, ref_letters: Letters, hyp_letters: Letters
) -> list[tuple[str, bool, int]]:
    """(syllable, whether it was lost, how many of its jamo) of edits without a partner."""
    counts: dict[tuple[int, bool], int] = {}
    for r, h in sorted(gone):
        is_lost = h == MISSING
        place = int(ref_letters.places[r] if is_lost else hyp_letters.places[h])
        counts[place, is_lost] = counts.get((place, is_lost), 0) + 1
    return [
        ((ref if is_lost else hyp)[place], is_lost, edits)
        for (place, is_lost), edits in counts.items()
    ]


def _regions(found: Sequence[Block]) -> Iterator[list[Block]]:
    """Blocks that touch each other on both sides."""
    region: list[Block] = []
    for block in found:
        if region and (region[-1].ref[1], region[-1].hyp[1]) != (block.ref[0], block.hyp[0]):
            yield region
            region = []
        region.append(block)
    if region:
        yield region


def _joined(region: Sequence[Block]) -> Block:
    edits = tuple(edit for block in region for edit in block.edits)
    first, last = region[0], region[-1]
    return Block((first.ref[0], last.ref[1]), (first.hyp[0], last.hyp[1]), edits)


_LONGEST = 8
"""Syllables: longer stretches are not tried for sounding alike, nor is more context looked at."""


class SpacedText:
    """A text with spaces whose characters are counted without them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.bare = text.replace(" ", "")
        self._at = [place for place, character in enumerate(text) if character != " "]

    def part(self, begin: int, end: int) -> str:
        """Characters begin to end, with the spaces between them."""
        return self.text[self._at[begin] : self._at[end - 1] + 1] if end > begin else ""

    def around(self, begin: int, end: int, most: int) -> tuple[str, str]:
        """What stands before and after: the eojeol at hand and one more, at most so many signs."""
        if end > begin:
            left, right = self._at[begin], self._at[end - 1] + 1
        else:
            left = right = self._at[begin] if begin < len(self._at) else len(self.text)
        return (
            _last_words(self.text[max(0, left - most) : left]),
            _last_words(self.text[right : right + most][::-1])[::-1],
        )


def _last_words(text: str) -> str:
    """The last eojeol begun and the one before it."""
    words = text.split(" ")
    return " ".join(words[-2:])


# Vowels that one letter may stand for in another's pronunciation (article 5 and its notes).
_VOWEL_CLASSES = ("ㅢㅣㅔㅖㅐㅒ", "ㅓㅕ", "ㅏㅑ", "ㅗㅛ", "ㅜㅠ", "ㅚㅙㅞ")
_VOWEL_CLASS = {vowel: group[0] for group in _VOWEL_CLASSES for vowel in group}


def _vowels(text: str) -> str:
    """The vowels by class: texts that differ in them cannot sound alike."""
    vowels = (NUCLEI[decompose(character)[1]] for character in text if character != " ")
    return "".join(_VOWEL_CLASS.get(vowel, vowel) for vowel in vowels)


def _is_hangul(text: str) -> bool:
    return all(character == " " or is_syllable(character) for character in text)


def _hangul_end(text: str) -> str:
    """The end of a text from its last sign on that is neither syllable nor space."""
    for place in range(len(text), 0, -1):
        if not _is_hangul(text[place - 1]):
            return text[place:]
    return text


@lru_cache(maxsize=1 << 14)
def _said(text: str) -> tuple[str, ...]:
    """Pronunciations without spaces, the standard one first."""
    return tuple(one.hangul.replace(" ", "") for one in pronounce(text))


def sounds_alike(text: str, other: str) -> bool:
    """Whether the standard pronunciation of one text is among those of the other.

    Both are Hangul syllables and spaces; spaces are spoken without a pause.

    >>> sounds_alike("문안", "무난"), sounds_alike("국물이", "궁물이"), sounds_alike("개", "게")
    (True, True, False)
    """
    said, other_said = _said(text), _said(other)
    return bool(said and other_said) and (said[0] in other_said or other_said[0] in said)


def _read(text: str) -> str:
    try:
        return to_spoken(text).replace(" ", "")
    except DataError:
        return text
