"""Text normalisation: written Korean to the words a reader would speak, and the scoring alphabet.

``to_spoken`` is a chain of small rewrites, the particular before the general: fixed phrases,
addresses, telephone numbers, dates, clock times, fractions, ranges, quantities, then Latin letters
and signs. Lines of Hangul and plain punctuation skip the chain.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

from asr.hangul import numerals
from asr.hangul.latin import lookup_latin, read_latin, spell_letters
from asr.hangul.quantities import (
    NUMBER,
    SCALES,
    counter_pattern,
    has_native_numbers,
    read_quantities,
    read_ranges,
    unit_pattern,
)
from asr.hangul.tables import read_table

# Stands for something that no rule could read; never part of what is returned.
_UNREAD = "\ufffc"

_NOT_SCORED = re.compile(r"[^가-힣A-Za-zÀ-ÖØ-öø-ɏ0-9 ]")
_SPACES = re.compile(r"\s+")


def scoring_text(text: str) -> str:
    """The alphabet of scoring: NFC; Hangul syllables, Latin letters, digits and single spaces kept.

    Everything else is deleted (white space of any kind counts as a space), ends are trimmed.
    """
    kept = _NOT_SCORED.sub("", _SPACES.sub(" ", unicodedata.normalize("NFC", text)))
    return _SPACES.sub(" ", kept).strip()


def to_spoken(text: str) -> str:
    """Written Korean as it is spoken, in Hangul, spaces and ``. , ? !``.

    Numbers, counters, units, dates, times, telephone numbers, Latin letters and signs are read
    aloud; quotes and brackets vanish; laughter (ㅋㅋ, ㅠㅠ), emoji and what cannot be read is
    dropped. Spacing follows the text: ``7년`` gives ``칠년``.

    >>> to_spoken("2026년 6월 3일 3시 30분, KBS는 64.5%입니다.")
    '이천이십육년 유월 삼일 세시 삼십분, 케이비에스는 육십사쩜오퍼센트입니다.'
    """
    return _tidy(_rewrite(text).replace(_UNREAD, " "))


def spoken_sentences(text: str) -> list[str]:
    """The sentences of ``text`` as spoken, each Hangul syllables and single spaces only.

    Sentences with anything that no rule reads surely (unknown Latin words, foreign scripts, web
    addresses, stray jamo) are left out: this is for cleaning language-model corpora.
    """
    sentences = _SENTENCE_END.split(_rewrite(text))
    clean = (_words(sentence) for sentence in sentences if _UNREAD not in sentence)
    return [sentence for sentence in clean if sentence]


_SENTENCE_END = re.compile(r"[.?!\n\r]+")
_NOT_WORD = re.compile(r"[^가-힣]+")
_PLAIN = re.compile(r"[가-힣\s.,?!]*")
_KEPT_MARKS = re.compile(r"[^가-힣.,?!]+")
_MARK_RUN = re.compile(r"\s*[.,?!][\s.,?!]*")


def _words(text: str) -> str:
    return _NOT_WORD.sub(" ", text).strip()


def _tidy(text: str) -> str:
    """Only Hangul, single spaces, and after a word the last sentence mark of those in a row."""
    text = _KEPT_MARKS.sub(" ", text).lstrip(" .,?!")
    return _MARK_RUN.sub(lambda match: match[0].rstrip()[-1] + " ", text).rstrip()


# Signs that mean the same as an ASCII one or a number, and brackets and quotes, which are silent.
_FOLDED = str.maketrans(
    {chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    | dict(zip("ⅠⅡⅢⅣⅤⅥⅦⅧⅨ", "123456789", strict=True))
    | dict(zip("①②③④⑤⑥⑦⑧⑨", "123456789", strict=True))
    | {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "Ⅹ": "10", "⑩": "10"}
    | {"￦": "₩", "￥": "¥", "￡": "£"}
    | dict.fromkeys("‘’“”´`'「」『』《》〈〉<>｢｣", "")
    | dict.fromkeys("∼〜˜～", "~")
    | dict.fromkeys("‐‑–—−―", "-")
    | dict.fromkeys("ㆍ·‧⋅․・•", "·")
    | {"…": ".", "‥": ".", "。": ".", "、": ",", "\u200b": "", "\ufeff": "", "\xa0": " "}
)


def _rewrite(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if _PLAIN.fullmatch(text):
        return text
    text = _GLOSS.sub("", text.translate(_FOLDED))
    if _HAS_ALNUM.search(text):
        for pattern, replacement in _alphanumeric_rules():
            text = pattern.sub(replacement, text)
            if not _HAS_ALNUM.search(text):
                break
    return _LEFTOVER.sub(_read_leftover, text.translate(_CLOSING))


# Dropped after the numbers (" may be an inch), without a space: a particle may follow.
_CLOSING = dict.fromkeys(map(ord, ')]"'))
_HAS_ALNUM = re.compile(r"[0-9A-Za-z]")
# The Latin or Chinese spelling in brackets after a Korean word is not read: 국수전(國手戰).
_GLOSS = re.compile(
    r"(?<=[가-힣])\((?=[^)]*[A-Za-z\u4e00-\u9fff])[A-Za-z\u4e00-\u9fff\s.,·&:'-]+\)"
)

_Replacement = Callable[[re.Match[str]], str]


@cache
def _alphanumeric_rules() -> tuple[tuple[re.Pattern[str], _Replacement], ...]:
    """Rewrites of text with digits or Latin letters, in the order in which they must run."""
    rules: list[tuple[str, _Replacement]] = [
        (r"(?:https?://|www\.)\S+|(?<![\w.+-])[\w.+-]+@[\w-]+\.[\w.]+", _read_address),
        (
            r"(?<![A-Za-z0-9_.-])[A-Za-z][\w-]*(?:\.[A-Za-z][\w-]*){0,4}\.(?:com|net|org|kr)\b",
            _read_address,
        ),
        (r"\b(Mr|Mrs|Ms|Dr|No|Vol)\.\s?", lambda m: m[1] + " "),
        (r"(?<!\d)(\d\d)(?=학번)", _read_groups),
        (r"(?<![A-Za-z])([A-Z])\.\s+(?=[A-Z가-힣])", lambda m: m[1] + " "),
        (_phrase_pattern(), lambda m: _phrases()[m[0]]),
        (r"(?<![\d-])0\d{1,2}[-. )]\s?\d{3,4}[-. ]\d{4}(?!\d)", _read_groups),
        (rf"(?<![\d-])(?:{_SERVICE_PREFIXES})-\d{{4}}(?![\d-])", _read_groups),
        (
            r"(?<![\d.,])([12]\d{3})\s?([-./])\s?(0?[1-9]|1[0-2])\s?\2\s?(0?[1-9]|[12]\d|3[01])(?!\d)",
            lambda m: f"{m[1]}년 {m[3]}월 {m[4]}일",
        ),
        (r"(?<!\d)\d+(?:-\d+){2,}", _read_groups),
        (r"(?<!\d)(?<!\d\.)\d+(?:\.\d+){2,}", _read_version),
        (r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?::([0-5]\d))?(?![\d:])", _read_clock),
        (r"(\d)(?::|\s:\s)(?=\d)", lambda m: f"{m[1]} 대 "),
        (r"(?<![A-Za-z\d])([A-Za-z]{1,6})(-?)(\d{1,4})" + _NOT_COUNTED, _read_model),
        (_DIGIT_AND_CAPITALS + rf"(?!\d{unit_pattern()})", _read_english_digit),
        (rf"(?:US)?([$€£¥₩])\s?({NUMBER}[{SCALES}]*)", _read_price),
        (r"(?<![\d/])(\d)/4\s?분기", lambda m: f"{m[1]}사분기"),
        (r"(?<![\d/.])(\d{1,3})/(\d{1,3})(?![\d/])", _read_fraction),
        (r"(?<![\d·])(\d+)·(\d+)(?![\d·])", _read_anniversary),
        (r"(\d)\s?([+×x÷=*])\s?(?=\d)", _read_operator),
        (rf"(?<![가-힣])제\s?(\d+)(?={counter_pattern()})", _read_ordinal),
        (rf"(?<![\d.,])([1-8])[,·]\s?([2-9])(?=\s?({counter_pattern()}))", _read_listed),
    ]
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    whole = re.compile(r"(?s)\A.*\d.*")
    return (
        *compiled,
        (whole, lambda m: read_quantities(read_ranges(m[0]))),
        (re.compile(r"[A-Za-z]+(?:[.'&-][A-Za-z]+)*"), _read_latin),
    )


_DIGIT_AND_CAPITALS = r"(?<![\w.,])(\d)(?=[A-Z]{1,3}(?![A-Za-z]))"
# Nation-wide service numbers (1588-1234); other pairs of four digits are years.
_SERVICE_PREFIXES = (
    "15(?:22|33|44|66|77|88|99)|16(?:00|11|22|33|44|55|61|66|70|77|88|99)"
    "|18(?:00|11|22|33|44|51|55|66|70|77|99)"
)
# Not before a thing that is counted: SF 2편, CD3장; but floors have names like B1층.
_NOT_COUNTED = r"(?!\d|[.,]\d|\s?(?:개|번|편|장|회|명|년|월|일|시|분|차|권|위|부|화|탄))"


@cache
def _phrases() -> dict[str, str]:
    return {phrase: reading for phrase, reading, _ in read_table("phrases.tsv")}


def _phrase_pattern() -> str:
    rows = sorted(read_table("phrases.tsv"), key=lambda row: -len(row[0]))
    alternatives = []
    for phrase, _, not_before in rows:
        head = r"(?<![0-9A-Za-z.,])" if phrase[0].isascii() else ""
        tail = r"(?![0-9A-Za-z]|[.,]\d)" if phrase[-1].isascii() else ""
        alternatives.append(
            head + re.escape(phrase) + tail + (f"(?!{not_before})" if not_before else "")
        )
    return "|".join(alternatives)


def _read_address(match: re.Match[str]) -> str:
    """Web and mail addresses: dots as 쩜 (닷컴), @ as 골뱅이; never sure enough for a corpus."""
    text = re.sub(r"^https?://", "", match[0]).replace(".com", " 닷컴").replace("@", " 골뱅이 ")
    return _UNREAD + text.replace(".", " 쩜 ").replace("/", " 슬래시 ")


def _read_groups(match: re.Match[str]) -> str:
    return " ".join(numerals.digit_by_digit(group) for group in re.findall(r"\d+", match[0]))


def _read_version(match: re.Match[str]) -> str:
    parts = match[0].split(".")
    return numerals.DECIMAL_POINT.join(numerals.read_number(part) for part in parts)


def _read_clock(match: re.Match[str]) -> str:
    hour, minute, second = int(match[1]), int(match[2]), match[3]
    spoken = f"{hour}시" + (f" {minute}분" if minute else "")
    return spoken + (f" {int(second)}초" if second else "")


def _read_model(match: re.Match[str]) -> str:
    """Letters and digits of a model name: A4 → 에이포, F-16 → 에프십육, A380 → 에이삼팔공."""
    letters, digits = match[1], match[3]
    if len(digits) == 1:
        spoken = numerals.ENGLISH_DIGITS[int(digits)]
    elif len(digits) == 2 and digits[0] != "0":
        spoken = numerals.sino(int(digits))
    elif len(digits) == 4:
        return letters + " " + digits
    else:
        spoken = numerals.digit_by_digit(digits)
    return (lookup_latin(letters) or spell_letters(letters)) + spoken


def _read_english_digit(match: re.Match[str]) -> str:
    return numerals.ENGLISH_DIGITS[int(match[1])]


_CURRENCIES = {"$": "달러", "€": "유로", "£": "파운드", "¥": "엔", "₩": "원"}


def _read_price(match: re.Match[str]) -> str:
    return match[2] + _CURRENCIES[match[1]]


def _read_fraction(match: re.Match[str]) -> str:
    part, whole = int(match[1]), int(match[2])
    if 0 < part < whole:
        return f"{numerals.sino(whole)}분의 {numerals.sino(part)}"
    return f"{match[1]} {match[2]}"


def _read_anniversary(match: re.Match[str]) -> str:
    """Days named by month and day: 5·18 → 오일팔, 6·25 → 육이오."""
    return numerals.digit_by_digit(match[1] + match[2])


_OPERATORS = {"+": "더하기", "×": "곱하기", "x": "곱하기", "*": "곱하기", "÷": "나누기"}


def _read_operator(match: re.Match[str]) -> str:
    if match[2] == "=":  # the topic particle: 은 after a coda, 는 after a vowel
        return match[1] + ("는" if match[1] in "2459" else "은") + " "
    return f"{match[1]} {_OPERATORS[match[2]]} "


def _read_listed(match: re.Match[str]) -> str:
    """2,3명 → 두세명: consecutive digits with a comma before a native counter are a range."""
    first, second, counter = match.groups()
    is_range = int(second) == int(first) + 1 and has_native_numbers(counter)
    return f"{first}~{second}" if is_range else f"{first}, {second}"


def _read_ordinal(match: re.Match[str]) -> str:
    return "제" + numerals.read_number(match[1])


def _read_latin(match: re.Match[str]) -> str:
    reading, certain = read_latin(match[0])
    return reading if certain else _UNREAD + reading


_LEFTOVER = re.compile(
    r"(?P<laughter>[ㅋㅎㅠㅜㅡㅉㅍ]+)"
    r"|(?P<letter>[ㄱ-ㅎ])(?=자(?![가-힣])|자[형로모])"
    r"|(?P<hanja>[\u4e00-\u9fff]+)"
    r"|(?P<sign>(?<=[가-힣])\s?[&+]\s?(?=[가-힣]))"
    r"|(?P<strange>[ㄱ-ㆎ\u0370-\u1fff\u3040-\u30ff\u3400-\u4dff\uac00-\ud7ff@#\\{}=_|](?<![가-힣]))"
)
_JAMO_NAMES = {
    "ㄱ": "기역", "ㄴ": "니은", "ㄷ": "디귿", "ㄹ": "리을", "ㅁ": "미음", "ㅂ": "비읍",
    "ㅅ": "시옷", "ㅇ": "이응", "ㅈ": "지읒", "ㅊ": "치읓", "ㅋ": "키읔", "ㅌ": "티읕",
    "ㅍ": "피읖", "ㅎ": "히읗",
}  # fmt: skip


@cache
def _hanja() -> dict[str, str]:
    return {hanja: reading for hanja, reading, *_ in read_table("hanja.tsv")}


def _read_leftover(match: re.Match[str]) -> str:
    if match["laughter"]:
        return " "
    if match["letter"]:
        return _JAMO_NAMES.get(match["letter"], _UNREAD)
    if match["hanja"]:
        readings = [_hanja().get(character) for character in match["hanja"]]
        return "".join(reading or _UNREAD for reading in readings)
    if match["sign"]:
        return " 앤드 " if "&" in match["sign"] else " 플러스 "
    return _UNREAD
