"""The junction table: total, legal, and what the articles of 표준발음법 say."""

from __future__ import annotations

from itertools import product

import pytest

from asr.errors import UsageError
from asr.hangul.jamo import NUCLEI, ONSETS, decompose
from asr.hangul.junction import (
    SURFACE_CODAS,
    Boundary,
    Reading,
    final_coda,
    junction,
    nucleus_surface,
    readings,
)
from asr.hangul.phones import CODA_PHONES, NUCLEUS_PHONES, ONSET_PHONES, PHONES

EVERYTHING = list(product(range(28), Boundary, range(19), range(21)))
SILENT = ONSETS.index("ㅇ")


def surfaces(left: str, right: str, boundary: Boundary) -> dict[str, float]:
    """Costs by surface coda and onset, as `ㄷㅆ`, between two syllables; `-` for none."""
    onset, nucleus, _ = decompose(right)
    table = junction(decompose(left)[2], boundary, onset, nucleus)
    return {(SURFACE_CODAS[s.coda] or "-") + ONSETS[s.onset]: s.cost for s in table}


def canonical(left: str, right: str, boundary: Boundary) -> str:
    return next(iter(surfaces(left, right, boundary)))


def test_the_table_is_total_distinct_and_ordered() -> None:
    assert len(EVERYTHING) == 28 * 4 * 19 * 21
    for arguments in EVERYTHING:
        table = junction(*arguments)
        costs = [surface.cost for surface in table]
        assert costs[0] == 0.0 and costs == sorted(costs) and all(cost > 0 for cost in costs[1:])
        assert len({(s.coda, s.onset) for s in table}) == len(table)
        assert all(0 <= s.coda < len(SURFACE_CODAS) and 0 <= s.onset < 19 for s in table)


def test_a_pause_isolates() -> None:
    for coda, onset, nucleus in product(range(28), range(19), range(21)):
        (surface,) = junction(coda, Boundary.PAUSE, onset, nucleus)
        assert (surface.coda, surface.onset) == (final_coda(coda), onset)


def test_no_surface_breaks_the_sound_pattern() -> None:
    """Canonical surfaces obey articles 18, 20 and 23 wherever both sides are spoken as one."""
    for coda, boundary, onset, nucleus in EVERYTHING:
        if boundary is Boundary.PAUSE or (boundary is Boundary.SPACE and ONSETS[onset] == "ㄹ"):
            continue
        surface = junction(coda, boundary, onset, nucleus)[0]
        left, right = SURFACE_CODAS[surface.coda], ONSETS[surface.onset]
        if left in ("ㄱ", "ㄷ", "ㅂ"):
            assert right not in "ㄱㄷㅂㅅㅈㄴㅁㄹㅎㅇ", (coda, boundary, onset, nucleus)
        assert (left, right) not in {("ㄴ", "ㄹ"), ("ㄹ", "ㄴ"), ("ㅁ", "ㄹ"), ("ㅇ", "ㄹ")}


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("깎", "다", "ㄱㄸ"), ("앉", "다", "ㄴㄸ"), ("맑", "게", "ㄹㄲ"), ("핥", "다", "ㄹㄸ"),
        ("놓", "고", "-ㅋ"), ("닳", "지", "ㄹㅊ"), ("각", "하", "-ㅋ"), ("닿", "소", "-ㅆ"),
        ("많", "소", "ㄴㅆ"), ("쌓", "네", "ㄴㄴ"), ("뚫", "네", "ㄹㄹ"), ("싫", "어", "-ㄹ"),
        ("깎", "아", "-ㄲ"), ("넋", "이", "ㄱㅆ"), ("없", "어", "ㅂㅆ"), ("굳", "이", "-ㅈ"),
        ("밭", "이", "-ㅊ"), ("훑", "이", "ㄹㅊ"), ("굳", "히", "-ㅊ"), ("붙", "여", "-ㅊ"),
        ("먹", "는", "ㅇㄴ"), ("읊", "는", "ㅁㄴ"), ("담", "력", "ㅁㄴ"), ("항", "로", "ㅇㄴ"),
        ("막", "론", "ㅇㄴ"), ("협", "력", "ㅁㄴ"), ("난", "로", "ㄹㄹ"), ("칼", "날", "ㄹㄹ"),
        ("국", "밥", "ㄱㅃ"), ("강", "아", "ㅇㅇ"), ("가", "아", "-ㅇ"), ("밝", "혀", "ㄹㅋ"),
    ],
)  # fmt: skip
def test_inside_a_word(left: str, right: str, expected: str) -> None:
    assert canonical(left, right, Boundary.INSIDE) == expected


@pytest.mark.parametrize(
    ("left", "right", "boundary", "expected"),
    [
        ("겉", "옷", Boundary.COMPOUND, "-ㄷ"),  # 15
        ("값", "어", Boundary.COMPOUND, "-ㅂ"),
        ("견", "란", Boundary.COMPOUND, "ㄴㄴ"),  # 20
        ("닭", "고", Boundary.COMPOUND, "ㄱㄲ"),
        ("옷", "안", Boundary.SPACE, "-ㄷ"),
        ("옷", "한", Boundary.SPACE, "-ㅌ"),  # 12
        ("책", "넣", Boundary.SPACE, "ㅇㄴ"),  # 18
        ("낮", "한", Boundary.SPACE, "-ㅌ"),
        ("운", "로", Boundary.SPACE, "ㄴㄹ"),  # a loan: 놀라운 로봇
    ],
)
def test_between_words(left: str, right: str, boundary: Boundary, expected: str) -> None:
    assert canonical(left, right, boundary) == expected


@pytest.mark.parametrize(
    ("left", "right", "boundary", "expected"),
    [
        ("솜", "이", Boundary.COMPOUND, "ㅁㄴ"),  # 29
        ("한", "일", Boundary.SPACE, "ㄴㄴ"),
        ("할", "일", Boundary.SPACE, "ㄹㄹ"),
        ("문", "고", Boundary.COMPOUND, "ㄴㄲ"),  # 28
        ("할", "것", Boundary.SPACE, "ㄹㄲ"),  # 27
        ("갈", "등", Boundary.INSIDE, "ㄹㄸ"),  # 26
        ("신", "고", Boundary.INSIDE, "ㄴㄲ"),  # 24
        ("냇", "가", Boundary.COMPOUND, "-ㄲ"),  # 30
        ("전", "화", Boundary.INSIDE, "-ㄴ"),  # not standard, but heard
        ("의", "견", Boundary.INSIDE, "-ㄲ"),
        ("견", "란", Boundary.INSIDE, "ㄴㄴ"),
        ("옷", "안", Boundary.SPACE, "ㄷㅇ"),  # each word for itself
        ("밟", "다", Boundary.INSIDE, "ㅂㄸ"),
    ],
)
def test_alternatives_are_there_at_a_cost(
    left: str, right: str, boundary: Boundary, expected: str
) -> None:
    assert surfaces(left, right, boundary)[expected] > 0.0


def test_readings_are_distinct_and_begin_with_the_plain_one() -> None:
    for coda, onset, nucleus in product(range(28), range(19), range(21)):
        found = readings(coda, onset, nucleus)
        plain = junction(coda, Boundary.INSIDE, onset, nucleus)[0]
        assert next(iter(found.items())) == (Reading.PLAIN, (plain.coda, plain.onset))
        assert len(set(found.values())) == len(found)


@pytest.mark.parametrize("arguments", [(28, 0, 0, 0), (0, 0, 19, 0), (0, 0, 0, 21), (-1, 0, 0, 0)])
def test_indices_out_of_range_are_refused(arguments: tuple[int, int, int, int]) -> None:
    coda, boundary, onset, nucleus = arguments
    with pytest.raises(UsageError, match="jamo indices"):
        junction(coda, Boundary(boundary), onset, nucleus)


def vowels(spelled: str, initial: bool, onset: str | None = None, mergers: bool = False) -> str:
    underlying, nucleus, _ = decompose(spelled)
    surface = underlying if onset is None else ONSETS.index(onset)
    table = nucleus_surface(surface, underlying, nucleus, initial, mergers)
    assert table[0][1] == 0.0 and [cost for _, cost in table] == sorted(cost for _, cost in table)
    return "".join(NUCLEI[index] for index, _ in table)


@pytest.mark.parametrize(
    ("spelled", "initial", "expected"),
    [
        ("져", False, "ㅓ"), ("쪄", True, "ㅓ"), ("쳐", False, "ㅓ"), ("계", False, "ㅖㅔ"),
        ("예", True, "ㅖ"), ("례", False, "ㅖ"), ("희", True, "ㅣ"), ("늬", False, "ㅣ"),
        ("의", True, "ㅢ"), ("의", False, "ㅢㅣㅔ"), ("가", False, "ㅏ"),
    ],
)  # fmt: skip
def test_vowels_by_article_5(spelled: str, initial: bool, expected: str) -> None:
    assert vowels(spelled, initial) == expected


def test_vowels_look_at_the_surface_onset() -> None:
    assert vowels("여", False, onset="ㅊ") == "ㅓ"  # 붙여
    assert vowels("의", False, onset="ㅂ") == "ㅢㅣㅔ"  # 협의


def test_mergers_only_on_demand() -> None:
    assert vowels("개", False) == "ㅐ"
    assert vowels("개", False, mergers=True) == "ㅐㅔ"


def test_phones_are_the_46_of_the_model() -> None:
    assert len(PHONES) == len(set(PHONES)) == 46
    assert (len(ONSET_PHONES), len(NUCLEUS_PHONES), len(CODA_PHONES)) == (19, 21, 8)
    assert ONSET_PHONES[SILENT] == CODA_PHONES[0] == ""
