"""Numbers in digits, as Korean writers put them: 16,000 but 130만, 5천, 3억 5천만."""

from __future__ import annotations

from asr.written.numbers import Kind, Number

_GROUPS = ((10**16, "경"), (10**12, "조"), (10**8, "억"), (10**4, "만"))
_COMMAS_BELOW = 10**8
"""Below this a number that is not so many 만 is written in digits and commas alone."""


def format_number(
    number: Number, plain: bool = False, spoken: str = "", thousands: bool = True
) -> str:
    """The number in digits.

    Args:
        number: the number.
        plain: as in years and codes, without commas and 만, 억.
        spoken: the words; a space after 억 or 만 there is one here, and 만 오천 is 1만 5천, while
            만오천 is 15,000.
        thousands: whether 5,000 is 5천.

    >>> from asr.written.numbers import read_all
    >>> [format_number(read_all(spoken, 0)[0])
    ...  for spoken in ("만육천", "백삼십만", "오천", "삼억오천만", "육십사쩜오", "천오백")]
    ['16,000', '130만', '5천', '3억5천만', '64.5', '1,500']
    """
    if number.decimals:
        return f"{number.value}.{number.decimals}"
    if (plain and number.value % 10_000) or number.value < 1000:
        return str(number.value)
    if number.value % 10_000 and number.value < _COMMAS_BELOW and "만 " not in spoken:
        return _thousands(number.value) if thousands else f"{number.value:,}"
    written, rest = "", number.value
    for size, name in _GROUPS:
        count, rest = divmod(rest, size)
        if count:
            gap = " " if f"{name} " in spoken and rest else ""
            written += _thousands(count).replace(",", "") + name + gap
    return written + (_thousands(rest).replace(",", "") if rest else "")


def _thousands(value: int) -> str:
    """N천 where nothing else follows, as prices and crowds are written; else with commas."""
    if value % 1000 == 0 and 1000 < value < 10_000:
        return f"{value // 1000}천"
    return f"{value:,}"


def format_whole(number: Number) -> str:
    """The number as in scores, ranges and codes: 1500 of Sino-Korean ones."""
    return format_number(number, plain=number.kind is Kind.SINO)
