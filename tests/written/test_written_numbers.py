"""Numerals read from text, against what the readers of numbers say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asr.hangul import numerals
from asr.written.formatting import format_number
from asr.written.numbers import (
    Kind,
    read_all,
    read_decimal,
    read_digit_string,
    read_native,
    read_sino,
)
from asr.written.tables import counters


@given(st.integers(1, 10**20 - 1))
def test_sino_numbers_are_read_back(value: int) -> None:
    spoken = numerals.sino(value)
    assert (read_sino(spoken, 0)[0].value, read_sino(spoken, 0)[0].end) == (value, len(spoken))


@given(st.integers(1, 99))
def test_native_numbers_are_read_back(value: int) -> None:
    spoken = numerals.native(value)
    assert any(n.value == value and n.end == len(spoken) for n in read_native(spoken, 0))


@given(st.integers(0, 10**6), st.text("0123456789", min_size=1, max_size=4))
def test_decimals_are_read_back(whole: int, decimals: str) -> None:
    spoken = numerals.read_number(f"{whole}.{decimals}")
    best = read_decimal(spoken, read_sino(spoken, 0)[0])[0]
    assert (best.value, best.decimals, best.kind) == (whole, decimals, Kind.DECIMAL)


@given(st.text("0123456789", min_size=1))
def test_digit_strings_are_read_back(digits: str) -> None:
    assert read_digit_string(numerals.digit_by_digit(digits), 0) == digits


@given(st.integers(1, 10**16))
def test_written_numbers_hold_the_value(value: int) -> None:
    written = format_number(read_all(numerals.sino(value), 0)[0])
    total, group = 0, ""
    sizes = {"경": 10**16, "조": 10**12, "억": 10**8, "만": 10**4}
    for character in written.replace(",", ""):
        if character in sizes:
            thousand = group.endswith("천")
            total += int(group.rstrip("천")) * (1000 if thousand else 1) * sizes[character]
            group = ""
        else:
            group += character
    rest = int(group.rstrip("천") or 0) * (1000 if group.endswith("천") else 1)
    assert total + rest == value


def test_numbers_end_in_several_places() -> None:
    assert [n.value for n in read_sino("이십일일", 0)] == [21, 20, 2]
    assert read_sino("조에서", 0) == [] and read_sino("억지", 0) == []
    assert [n.value for n in read_sino("오 명", 0)] == [5]


def test_units_have_their_usual_symbols() -> None:
    table = counters()
    assert {name: table[name].written for name in ("킬로미터", "밀리리터", "제곱미터", "달러")} == {
        "킬로미터": "km", "밀리리터": "ml", "제곱미터": "㎡", "달러": "달러",
    }  # fmt: skip
    assert "모" not in table
