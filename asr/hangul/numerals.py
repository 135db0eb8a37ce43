"""Numbers in Korean words: Sino-Korean (일 이 삼), native (하나 둘 셋) and digit by digit."""

from __future__ import annotations

SINO_DIGITS = "영일이삼사오육칠팔구"
NATIVE_ONES = ("", "하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉")
NATIVE_ONES_ATTRIBUTIVE = ("", "한", "두", "세", "네", *NATIVE_ONES[5:])
NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
ENGLISH_DIGITS = ("제로", "원", "투", "쓰리", "포", "파이브", "식스", "세븐", "에이트", "나인")
# Readers of prices, rates and scores say 소수점 tense, and transcribers of speech write it so.
DECIMAL_POINT = "쩜"

_SMALL_UNITS = ("천", "백", "십", "")
_LARGE_UNITS = ("", "만", "억", "조", "경")
SINO_LENGTH = 4 * len(_LARGE_UNITS)


def sino(number: int) -> str:
    """Sino-Korean reading of 0 ≤ number < 10**20: 16000 → 만육천, 2026 → 이천이십육, 0 → 영."""
    if not 0 <= number < 10**SINO_LENGTH:
        raise ValueError(f"{number} is outside 0..10**20")
    if number == 0:
        return SINO_DIGITS[0]
    groups = []
    for unit in _LARGE_UNITS:
        number, group = divmod(number, 10_000)
        # 10000 is 만, but 10**8 is 일억: only a leading 만 drops its 일.
        leading_man = unit == "만" and group == 1 and number == 0
        if group:
            groups.append(("" if leading_man else _sino_group(group)) + unit)
    return "".join(reversed(groups))


def _sino_group(group: int) -> str:
    """Reading of 1..9999; a digit 1 before 천, 백, 십 is silent."""
    parts = []
    for digit, unit in zip(f"{group:04d}", _SMALL_UNITS, strict=True):
        if digit != "0":
            parts.append(("" if digit == "1" and unit else SINO_DIGITS[int(digit)]) + unit)
    return "".join(parts)


def native(number: int, attributive: bool = True) -> str:
    """Native reading of 1..99; attributive: as before a counter (세, 스무), else 셋, 스물."""
    if not 1 <= number <= 99:
        raise ValueError(f"{number} has no native reading (1..99)")
    tens, ones = divmod(number, 10)
    if attributive:
        return "스무" if number == 20 else NATIVE_TENS[tens] + NATIVE_ONES_ATTRIBUTIVE[ones]
    return NATIVE_TENS[tens] + NATIVE_ONES[ones]


def digit_by_digit(digits: str, zero: str = "공") -> str:
    """Each digit by itself, as telephone numbers are read: 010 → 공일공."""
    return "".join(zero if d == "0" else SINO_DIGITS[int(d)] for d in digits)


def read_number(text: str, keep_leading_zeros: bool = True) -> str:
    """Sino reading of an unsigned written number: thousands commas and one decimal point allowed.

    Digits after the point are read one by one (5.47 → 오쩜사칠). Leading zeros mark a code, read
    digit by digit (007 → 공공칠), unless ``keep_leading_zeros`` is false.
    """
    whole, point, decimals = text.replace(",", "").partition(".")
    is_code = keep_leading_zeros and len(whole) > 1 and whole[0] == "0"
    spoken = digit_by_digit(whole) if is_code or len(whole) > SINO_LENGTH else sino(int(whole))
    return spoken + DECIMAL_POINT + digit_by_digit(decimals, zero="영") if point else spoken


_APPROXIMATE_NATIVE = {
    1: "한두", 2: "두세", 3: "서너", 4: "네다섯", 5: "대여섯",
    6: "예닐곱", 7: "일고여덟", 8: "여덟아홉",
}  # fmt: skip


def approximate(first: int, native_counter: bool) -> str:
    """Reading of "first or first + 1" for 1..8: 3~4 is 서너 before native counters, else 삼사."""
    if native_counter:
        return _APPROXIMATE_NATIVE[first]
    second = "륙" if first == 5 else SINO_DIGITS[first + 1]
    return SINO_DIGITS[first] + second
