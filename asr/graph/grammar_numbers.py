"""Numbers of a grammar: every way in which they are said, and how they are written (digits)."""

from __future__ import annotations

import re

from asr.graph.grammar_nodes import EMPTY, Choice, Entries, Entry, Node, Sequence, syllables_of
from asr.hangul import numerals
from asr.hangul.quantities import counter_pattern, has_native_numbers, read_quantities

FORMS = ("both", "sino", "native")
MOST_NUMBERS = 100_000
MOST_DIGITS = 32
_ZERO = ("영", "공")


def digits_node(fewest: int, most: int, form: str = "both") -> Node:
    """A string of ``fewest`` to ``most`` digits, all lengths equally likely, said one by one."""
    digit = Entries(
        tuple(
            Entry(str(value), spoken)
            for value in range(10)
            for spoken in _digit_readings(value, form)
        ),
        loose=True,
    )
    rest: Node = EMPTY
    for length in range(most - 1, fewest - 1, -1):  # how many more, given that so many are said
        rest = Choice((EMPTY, Sequence((digit, rest))), (1.0, float(most - length)))
    return Sequence((*(digit for _ in range(fewest)), rest))


def _digit_readings(value: int, form: str) -> list[str]:
    sino = [*_ZERO] if value == 0 else [numerals.SINO_DIGITS[value]]
    native = [*_ZERO] if value == 0 else [numerals.NATIVE_ONES[value]]
    return {"sino": sino, "native": native}.get(form) or list(dict.fromkeys(sino + native))


def number_entries(low: int, high: int, form: str = "both", following: str | None = "") -> Entries:
    """The numbers ``low`` to ``high``, each as likely, in all its readings.

    ``following`` is the text right after the number ("" for none, None where it is not fixed). A
    counter there decides the reading, by the table of ``asr.hangul``: 스물세 시, 유 월; before a
    native counter Sino numbers are taken as well (이십 명). Otherwise both are: 스물셋, 이십삼.
    """
    words = []
    for value in range(low, high + 1):
        spoken = [_parted(reading) for reading in _readings(value, form, following)]
        words += [Entry(str(value), reading, 1.0 / len(spoken)) for reading in spoken]
    return Entries(tuple(words), loose=True)


def _readings(value: int, form: str, following: str | None) -> list[str]:
    sino = [*_ZERO] if value == 0 else [numerals.sino(value)]
    if 10_000 <= value < 20_000:
        sino.append("일" + sino[0])
    if form == "sino":
        return sino
    counter = re.match(counter_pattern(), following or "")
    native = _native(value, attributive=counter is not None or following != "",
                     alone=counter is None)  # fmt: skip
    if form == "native":
        return native or sino
    if counter is not None and following:
        usual = syllables_of(read_quantities(f"{value}{counter[0]}").removesuffix(counter[0]))
        native = native if has_native_numbers(counter[0]) else []
        sino = [usual, *sino] if usual else sino
    return list(dict.fromkeys((*sino, *native)))


_PARTS = re.compile(
    rf"[억만천백십](?=.)|(?:{'|'.join(word for word in numerals.NATIVE_TENS if word)})(?=.)"
)


def _parted(reading: str) -> str:
    """A space where a speaker may pause: 이천 삼백 오십 육, 스물 세."""
    return _PARTS.sub(lambda match: match[0] + " ", reading)


def _native(value: int, attributive: bool, alone: bool) -> list[str]:
    """Native words, after Sino hundreds where the number has them: 백스물셋, 백스물세 (명)."""
    hundreds, rest = divmod(value, 100)
    if not rest or value >= 1000 or (hundreds and not attributive):
        return []
    head = numerals.sino(hundreds * 100) if hundreds else ""
    forms = [numerals.native(rest, form) for form, wanted in ((True, attributive), (False, alone))
             if wanted]  # fmt: skip
    return [head + text for text in forms]
