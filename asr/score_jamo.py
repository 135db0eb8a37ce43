"""Where the jamo of a hypothesis differ from its reference, laid out so that roles agree.

Many alignments have the fewest edits. jiwer returns any of them; confusions can be read only off
one that pairs onsets with onsets and vowels with vowels and loses syllables whole. `align_jamo`
picks that one: the edits stay as few, and ties are broken by role.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from asr.hangul.jamo import CODAS, NUCLEI, ONSETS, decompose, is_syllable

if TYPE_CHECKING:
    from jiwer import AlignmentChunk

MISSING = -1
"""In place of an index: this side has nothing here."""


class Role(IntEnum):
    """What a letter does in its syllable; OTHER are Latin letters and digits."""

    ONSET = 0
    VOWEL = 1
    CODA = 2
    OTHER = 3


@dataclass(frozen=True, slots=True)
class Letters:
    """A text without spaces as the letters of `asr.hangul.jamo.to_jamo`.

    letters: the text in jamo; roles: int8 [n]; places: int32 [n], the character each belongs to.
    """

    letters: str
    roles: NDArray[np.int8]
    places: NDArray[np.int32]

    @property
    def codes(self) -> NDArray[np.uint32]:
        return np.frombuffer(self.letters.encode("utf-32-le"), np.uint32)


def letters_of(text: str) -> Letters:
    """Take apart a text of syllables, Latin letters and digits."""
    letters: list[str] = []
    roles: list[int] = []
    places: list[int] = []
    for place, character in enumerate(text):
        parts = [(character, Role.OTHER)]
        if is_syllable(character):
            onset, nucleus, coda = decompose(character)
            parts = [(ONSETS[onset], Role.ONSET), (NUCLEI[nucleus], Role.VOWEL)]
            parts += [(CODAS[coda], Role.CODA)] if coda else []
        for letter, role in parts:
            letters.append(letter)
            roles.append(role)
            places.append(place)
    return Letters("".join(letters), np.array(roles, np.int8), np.array(places, np.int32))


Pairs = list[tuple[int, int]]
"""Indices of letters of reference and hypothesis that stand beside each other, or MISSING."""


def align_jamo(ref: Letters, hyp: Letters, chunks: Sequence[AlignmentChunk]) -> Pairs:
    """Pair the letters with as few edits as jiwer's alignment ``chunks`` has, roles agreeing best.

    Only what lies within a few letters of an edit is aligned anew.
    """
    pairs: Pairs = []
    for window in _windows(chunks):
        if window.is_equal:
            pairs += zip(range(*window.ref), range(*window.hyp), strict=True)
        elif _size(window.ref) * _size(window.hyp) > _MOST_CELLS:
            pairs += _pairs_of(window.chunks)
        else:
            pairs += _realigned(ref, hyp, window)
    return pairs


_ANCHOR = 12
"""So many equal letters in a row are taken as rightly paired, but for _MARGIN at either end."""
_MARGIN = 4
_MOST_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of both sides (begin, end), and jiwer's chunks there."""

    ref: tuple[int, int]
    hyp: tuple[int, int]
    chunks: tuple[tuple[int, int, int, int], ...]
    is_equal: bool


def _windows(chunks: Sequence[AlignmentChunk]) -> Iterator[_Window]:
    """Cut an alignment within its long equal runs."""
    held: list[tuple[int, int, int, int]] = []
    for chunk in chunks:
        r0, r1 = chunk.ref_start_idx, chunk.ref_end_idx
        h0, h1 = chunk.hyp_start_idx, chunk.hyp_end_idx
        if chunk.type != "equal" or r1 - r0 < _ANCHOR:
            held.append((r0, r1, h0, h1))
            continue
        if held:
            held.append((r0, r0 + _MARGIN, h0, h0 + _MARGIN))
            yield _window(held)
            r0, h0 = r0 + _MARGIN, h0 + _MARGIN
        yield _Window((r0, r1 - _MARGIN), (h0, h1 - _MARGIN), (), is_equal=True)
        held = [(r1 - _MARGIN, r1, h1 - _MARGIN, h1)]
    if held:
        yield _window(held)


def _window(chunks: list[tuple[int, int, int, int]]) -> _Window:
    first, last = chunks[0], chunks[-1]
    return _Window((first[0], last[1]), (first[2], last[3]), tuple(chunks), is_equal=False)


def _size(stretch: tuple[int, int]) -> int:
    return stretch[1] - stretch[0]


def _pairs_of(chunks: Sequence[tuple[int, int, int, int]]) -> Iterator[tuple[int, int]]:
    for r0, r1, h0, h1 in chunks:
        for step in range(max(r1 - r0, h1 - h0)):
            yield (
                r0 + step if r0 + step < r1 else MISSING,
                h0 + step if h0 + step < h1 else MISSING,
            )


def _realigned(ref: Letters, hyp: Letters, window: _Window) -> Iterator[tuple[int, int]]:
    (r0, r1), (h0, h1) = window.ref, window.hyp
    steps = _steps(
        ref.codes[r0:r1], ref.roles[r0:r1], hyp.codes[h0:h1], hyp.roles[h0:h1], _FAMILIES
    )
    for step in steps[::-1].tolist():
        yield (MISSING if step == _ADD else r0, MISSING if step == _LOSE else h0)
        r0 += step != _ADD
        h0 += step != _LOSE


FAMILIES = ("ㄱㄲㅋ", "ㄷㄸㅌ", "ㅂㅃㅍ", "ㅈㅉㅊ", "ㅅㅆ")
"""Onsets that differ in tensing and aspiration only."""


def _family_table() -> NDArray[np.int8]:
    """The number of a letter's family by code point from U+3131; -1 for none."""
    table = np.full(0x100, -1, np.int8)
    for number, family in enumerate(FAMILIES):
        for letter in family:
            table[ord(letter) - 0x3131] = number
    return table


_FAMILIES = _family_table()
_PAIR, _LOSE, _ADD = 0, 1, 2
# An edit outweighs all that roles may cost; what they cost decides between equal numbers of edits.
_EDIT = 1 << 20
_OTHER_ROLE, _OTHER_FAMILY, _LONE_VOWEL = 4, 1, 2


@nb.njit(cache=True, nogil=True)
def _pair_cost(
    code: int, role: int, other_code: int, other_role: int, families: Any
) -> int:  # pragma: no cover - compiled
    cost = 0 if code == other_code else _EDIT
    if role != other_role:
        return cost + _OTHER_ROLE
    if code != other_code and role == 0:
        family = families[code - 0x3131]
        if family < 0 or family != families[other_code - 0x3131]:
            cost += _OTHER_FAMILY
    return cost


@nb.njit(cache=True, nogil=True)
def _steps(ref: Any, ref_roles: Any, hyp: Any, hyp_roles: Any, families: Any) -> Any:
    """Steps of the cheapest path, last first: dynamic programming over (cell, kind of last step).

    The kind is kept because a vowel that is lost or added without its onset costs more: 나다 less
    나 shall not lose ㅏㄷ.
    """
    rows, columns = len(ref) + 1, len(hyp) + 1
    far = np.int64(1) << 60
    cost = np.full((2, columns, 3), far, np.int64)
    back = np.zeros((rows, columns, 3), np.int8)
    cost[0, 0, 0] = 0
    for row in range(rows):
        now, above = row % 2, (row + 1) % 2
        for column in range(columns):
            if row == 0 and column == 0:
                continue
            for kind in range(3):
                cost[now, column, kind] = far
            for before in range(3):
                if row and column:
                    total = cost[above, column - 1, before] + _pair_cost(
                        ref[row - 1], ref_roles[row - 1], hyp[column - 1], hyp_roles[column - 1],
                        families,
                    )  # fmt: skip
                    if total < cost[now, column, 0]:
                        cost[now, column, 0] = total
                        back[row, column, 0] = before
                if row:
                    lone = ref_roles[row - 1] == 1 and before != 1
                    total = cost[above, column, before] + _EDIT + _LONE_VOWEL * lone
                    if total < cost[now, column, 1]:
                        cost[now, column, 1] = total
                        back[row, column, 1] = before
                if column:
                    lone = hyp_roles[column - 1] == 1 and before != 2
                    total = cost[now, column - 1, before] + _EDIT + _LONE_VOWEL * lone
                    if total < cost[now, column, 2]:
                        cost[now, column, 2] = total
                        back[row, column, 2] = before
    steps = np.zeros(rows + columns, np.int8)
    row, column, made = rows - 1, columns - 1, 0
    kind = int(np.argmin(cost[row % 2, column]))
    while row or column:
        steps[made] = kind
        made += 1
        before = back[row, column, kind]
        row -= kind != 2
        column -= kind != 1
        kind = before
    return steps[:made]
