"""The units of the language model: strings of syllables that know whether they open an eojeol.

A unit that opens an eojeol is written with the mark "▁" (U+2581, as in sentencepiece), the others
bare: "나는 간다" is ▁나 는 ▁간 다 in syllables. Spacing is thereby part of the language model.
Units of several syllables ("▁학교", "에서는") come with costs that say how an eojeol is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from asr.errors import DataError, ModelError
from asr.lm.segmentation import Segmenter

EOJEOL_MARK = "▁"
UNK, BOS, EOS = "<unk>", "<s>", "</s>"
SPECIALS = (UNK, BOS, EOS)
MAX_UNITS = 1 << 16
MAX_COST = 1 << 15
_SPACE, _NEWLINE = 0x20, 0x0A


def text_to_units(text: str) -> list[str]:
    """Split a sentence into single syllables; every character that is not white space is one.

    >>> text_to_units("나는 간다")
    ['▁나', '는', '▁간', '다']
    """
    units = []
    for eojeol in text.split():
        units.append(EOJEOL_MARK + eojeol[0])
        units.extend(eojeol[1:])
    return units


def units_to_text(units: Iterable[str]) -> str:
    """Join units to a sentence: the inverse of `text_to_units`; sentence marks are left out.

    >>> units_to_text(["<s>", "▁나", "는", "▁간", "다", "</s>"])
    '나는 간다'
    """
    joined = "".join(unit for unit in units if unit not in (BOS, EOS))
    return joined.replace(EOJEOL_MARK, " ").strip()


def ksx1001_syllables() -> list[str]:
    """Return the 2,350 modern Hangul syllables of KS X 1001 (rows 16 to 40) in order."""
    return [
        bytes((row + 0xA0, cell + 0xA0)).decode("euc_kr")
        for row in range(16, 41)
        for cell in range(1, 95)
    ]


@dataclass(frozen=True)
class Vocabulary:
    """The numbered units of a language model.

    `units[i]` is the unit with id i. "<unk>", "<s>" and "</s>" must be among them. Ids fit uint16.
    `costs[i]` is what the unit costs in a segmentation, in hundredths of a nat, at least 0; none
    are needed where each unit is one character. Without costs a cut of fewest units is taken.

    A vocabulary in which every unit opens an eojeol, some with several syllables, is one of whole
    words: an eojeol is a unit of it or <unk>, and never cut.

    Raises:
        ModelError: a unit occurs twice, a special unit is missing, there are too many, or costs
            do not fit.
    """

    units: tuple[str, ...]
    costs: tuple[int, ...] = ()
    ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = {unit: i for i, unit in enumerate(self.units)}
        if len(ids) != len(self.units):
            raise ModelError("the vocabulary holds a unit twice; remove the duplicate")
        missing = [special for special in SPECIALS if special not in ids]
        if missing:
            raise ModelError(f"the vocabulary lacks {' and '.join(missing)}; add a line for each")
        if len(ids) > MAX_UNITS:
            raise ModelError(f"the vocabulary has {len(ids)} units; at most {MAX_UNITS} fit")
        if self.costs and len(self.costs) != len(ids):
            raise ModelError(f"{len(self.costs)} costs for {len(ids)} units; give one each")
        if not all(0 <= cost < MAX_COST for cost in self.costs):
            raise ModelError(f"a unit's cost is out of range; 0 to {MAX_COST - 1} are allowed")
        object.__setattr__(self, "ids", ids)

    def __len__(self) -> int:
        return len(self.units)

    @property
    def unk(self) -> int:
        return self.ids[UNK]

    @property
    def bos(self) -> int:
        return self.ids[BOS]

    @property
    def eos(self) -> int:
        return self.ids[EOS]

    @cached_property
    def single(self) -> bool:
        """Whether every unit is one character."""
        return all(len(unit.removeprefix(EOJEOL_MARK)) <= 1 for unit in self._own())

    @cached_property
    def whole_words(self) -> bool:
        """Whether every unit opens an eojeol, so that none can be cut."""
        return not self.single and all(unit.startswith(EOJEOL_MARK) for unit in self._own())

    @cached_property
    def segmenter(self) -> Segmenter:
        """What cuts eojeol into units."""
        initial, inner = {}, {}
        for unit in self._own():
            place = self.ids[unit], self.costs[self.ids[unit]] if self.costs else 1
            if unit.startswith(EOJEOL_MARK):
                initial[unit[1:]] = place
            else:
                inner[unit] = place
        return Segmenter(initial, inner, self.unk, self.whole_words)

    def _own(self) -> Iterator[str]:
        return (unit for unit in self.units if unit not in SPECIALS)

    def encode(self, text: str) -> list[int]:
        """Return the unit ids of a sentence, without sentence marks.

        A character that is no unit is <unk>; so is a whole eojeol, where only whole ones are units.
        """
        return [unit for eojeol in text.split() for unit in self.segmenter.cut(eojeol)]

    def segment(self, text: str) -> list[str]:
        """Return the units of a sentence as strings; an unknown character stands for itself.

        >>> Vocabulary((*SPECIALS, "▁학교", "▁학", "교", "에", "에서")).segment("학교에서 A")
        ['▁학교', '에서', '▁A']
        """
        units = []
        for eojeol in text.split():
            at = 0
            for unit in self.segmenter.cut(eojeol):
                length = len(self.units[unit].removeprefix(EOJEOL_MARK))
                if unit == self.unk:
                    length = len(eojeol) if self.whole_words else 1
                units.append((EOJEOL_MARK if at == 0 else "") + eojeol[at : at + length])
                at += length
        return units

    def decode(self, ids: Iterable[int]) -> str:
        """Return the sentence that the unit ids spell."""
        return units_to_text(self.units[i] for i in ids)


def build_vocabulary(
    lines: Iterable[str], min_count: int = 3, syllables: Sequence[str] = ()
) -> Vocabulary:
    """Make a vocabulary of all Hangul units seen at least `min_count` times.

    Each of `syllables` (such as `ksx1001_syllables()`) is added in both forms, seen or not, so
    that the vocabulary is open. Characters that are not Hangul syllables are never units.
    """
    text = "\n".join(lines)
    codes, initial, _ = _characters(text)
    bounds = (0xAC00, 0xD7A4)
    kept = []
    for mark, chosen in ((EOJEOL_MARK, codes[initial]), ("", codes[~initial])):
        hangul = chosen[(chosen >= bounds[0]) & (chosen < bounds[1])]
        values, counts = np.unique(hangul, return_counts=True)
        seen = {chr(code) for code in values[counts >= min_count].tolist()}
        kept += [mark + syllable for syllable in sorted(seen | set(syllables))]
    if not kept:
        raise DataError("the training text holds no Hangul; check the files and their encoding")
    return Vocabulary((*SPECIALS, *kept))


def encode_lines(lines: Iterable[str], vocabulary: Vocabulary) -> np.ndarray:
    """Encode sentences as one token array.

    Returns:
        uint16 array: <s> units </s> of every line that is not empty, one after the other.
    """
    if not vocabulary.single:
        return vocabulary.segmenter.encode(lines, vocabulary.bos, vocabulary.eos)
    text = "\n".join(lines)
    codes, initial, sentence = _characters(text)
    inner_ids, initial_ids = _code_tables(vocabulary)
    first = np.diff(sentence, prepend=-1) != 0
    rank = np.cumsum(first)
    starts = np.flatnonzero(first)
    place = np.arange(len(codes)) + 2 * rank - 1
    out = np.full(len(codes) + 2 * len(starts), vocabulary.eos, np.uint16)
    out[place] = np.where(initial, initial_ids[codes], inner_ids[codes])
    out[place[starts] - 1] = vocabulary.bos
    return out


def encode_words(words: Iterable[tuple[str, int]], vocabulary: Vocabulary) -> np.ndarray:
    """Encode (word, count) pairs as one token array: <s> and units, `count` times each.

    Words may hold spaces. There is no </s>, since it is not known that a sentence ends there.
    """
    pairs = [(word, count) for word, count in words if word.strip()]
    tokens = encode_lines([word for word, _ in pairs], vocabulary)
    tokens = tokens[tokens != vocabulary.eos]
    starts = np.flatnonzero(tokens == vocabulary.bos)
    lengths = np.diff(np.append(starts, len(tokens)))
    repeats = np.array([count for _, count in pairs], np.int64)
    lengths, starts = np.repeat(lengths, repeats), np.repeat(starts, repeats)
    shifts = starts - (np.cumsum(lengths) - lengths)
    return tokens[np.arange(lengths.sum()) + np.repeat(shifts, lengths)]


def _characters(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return code points without white space, whether each opens an eojeol, and its line number."""
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    newline = codes == _NEWLINE
    space = newline | (codes == _SPACE) | ((codes >= 9) & (codes <= 13)) | (codes == 0x3000)
    space |= (codes == 0xA0) | (codes == 0xFEFF)
    line = np.cumsum(newline, dtype=np.int32)
    initial = np.ones(len(codes), bool)
    initial[1:] = space[:-1]
    keep = ~space
    return codes[keep], initial[keep], line[keep]


def _code_tables(vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    inner = np.full(0x110000, vocabulary.unk, np.uint16)
    initial = inner.copy()
    for i, unit in enumerate(vocabulary.units):
        if len(unit) == 1:
            inner[ord(unit)] = i
        elif len(unit) == 2 and unit[0] == EOJEOL_MARK:
            initial[ord(unit[1])] = i
    return inner, initial
