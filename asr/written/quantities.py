"""Numbers with their counters and units: dates, clock times, money, measures, people and things."""

from __future__ import annotations

import re
from collections.abc import Iterator

from asr.hangul import numerals
from asr.written.formatting import format_number
from asr.written.match import Match, Place, next_eojeol
from asr.written.numbers import Kind, Number, read_all
from asr.written.tables import Counter, counters, longest_counter
from asr.written.tails import tail_end

_PLAIN = frozenset(
    "년 년도 학년도 년대 번 번지 번길 호 동 호선 번출구 기 쪽 페이지 학년 회차 월 일 시 분 초".split()
)
"""Counters of names and dates: no commas, no 만."""
_CHAINS = frozenset("년 월 일 시 시간 분 박 학년 동 주 개월 년도 번지 대 승 패 무".split())
"""Counters after which another number may follow within the eojeol: 세시삼십분."""
_FOLLOWS = {
    "월": ("년", "년도"), "일": ("월", "박", "개월", "주"), "분": ("시", "시간", "도"),
    "초": ("분",), "호": ("동",), "번": ("반",), "개월": ("년",), "패": ("승", "무"),
    "무": ("승",), "반": ("학년",), "시": ("일",),
}  # fmt: skip
"""Counters that are sure after another: after 오월, 오일 is the fifth and no oil."""
_DAY_PARTS = frozenset("오전 오후 새벽 아침 점심 저녁 밤 낮 정오 자정 매일 다음날 당일".split())
_DEGREES = re.compile(r"(?:섭씨|화씨|영하|영상|기온|마이너스|체온|온도|수온|북위|남위|동경|서경)")
_DURATIONS = frozenset("분 일 주 주일 초 시간".split())
_DURING = re.compile(
    r"(?:간|동안|째|전|후|뒤|만에|만의|내|정도|이상|이내|안에|마다|씩|짜리|가량|남짓|넘|이나|지나|걸리|당)"
)
_WORDS_OF_TIME = ((1, "주일"), (9, "분"), (1, "주"), (1, "시간"), (2, "주"))
"""일주일 is usually so written; 구분, 일주, 이주 are other words."""
_NUMBERED = re.compile(
    r"(?:출구|아이언|홀|국도|게이트|트랙|채널|고속도로|승강장|타자|우드|마을버스|버스|노선|도로|번호|교향곡)"
)
_THIS_TIME = re.compile(r"(?:출구|아이언|홀|국도|게이트|트랙|채널|승강장|우드)")
"""After these 이번 is number two; before others it is "this time"."""
_HUNDRED_PER_CENT_SURE = re.compile(r"(?:활용|발휘|이해|공감|반영|감안|고려|살|이용|즐기)")
_AGES = frozenset("살 세 개월 년".split())
_AFTER_MONTH_NAMES = {"유월": "6월", "시월": "10월"}
_VAGUE = ("몇", "수")
_DAYS_BEFORE = frozenset("지난 오는 이달 매달 매월 다음달 내달 지난달 같은달 음력 양력".split())
_ORDINAL_ALONE = re.compile(r"제([이삼사])의(?![가-힣])")
"""제이의, 제삼의: a second, a third of its kind."""
_MANY = frozenset("원 달러 유로 위안 엔 명 개 건 톤 배럴 주 가구".split())
"""Of these there may be trillions; 구조, 백조 and 구경 before others are words."""
_SHORT_WORDS = frozenset("장 도 인 기 대 부 차 주 조 과 강 방 곳 동 절 표 석 단 반 등 급 무".split())
"""Counters before which 백사, 천사, 만사 and the like are the beginning of a word (백사장)."""
_POINTED_BY_COUNTER = 2
"""With 점 for the point a decimal in 이 or 일 needs a counter of so many syllables: 십점이다."""
_ORDERED = frozenset("대 회 차 조 항 절 장 권 과 기 호 편 부 막 세대 공화국 사단 군단 함대 호기 호점 공장 당 국 자 세계 외국어 금융권 분야 사분기".split())


def read_quantity(place: Place) -> Match | None:
    """The number at ``place`` and its counter, where Korean writers put digits."""
    if place.before in _VAGUE:
        return None
    text, start = place.text, place.start
    if match := _month_name(place) or _ordinal_alone(place):
        return match
    ordered = _ordinal_length(text, start)
    for number in read_all(text, start + ordered):
        for counter, begin, end in _counters_after(text, number):
            if match := _with_counter(place, number, counter, begin, end, text[start:][:ordered]):
                return match
            if tail_end(text, end) is not None:
                break  # 두 시간 is no 두 시
    return None


def _ordinal_length(text: str, start: int) -> int:
    """Characters of 제 in 제십팔대 and 제 십팔 대."""
    if text.startswith("제 ", start):
        return 2
    return 1 if text.startswith("제", start) else 0


def _month_name(place: Place) -> Match | None:
    for spoken, written in _AFTER_MONTH_NAMES.items():
        if place.text.startswith(spoken, place.start):
            return _finish(place, written, "월", place.start + len(spoken))
    return None


def _ordinal_alone(place: Place) -> Match | None:
    match = _ORDINAL_ALONE.match(place.text, place.start)
    if match is None:
        return None
    return Match(match.end(), f"제{numerals.SINO_DIGITS.index(match[1])}의")


def _counters_after(text: str, number: Number) -> Iterator[tuple[str, int, int]]:
    """Counters after a number, longest first: the word, where it begins and ends."""
    begin = number.end
    if text[begin : begin + 1] == "여" and number.value >= 10:
        begin += 1
    if text[begin : begin + 1] == " ":
        begin += 1
    for length in range(longest_counter(), 0, -1):
        word = text[begin : begin + length]
        if len(word) == length and (word in counters() or word in _ORDERED):
            yield word, begin, begin + length


def _with_counter(
    place: Place, number: Number, word: str, begin: int, end: int, ordinal: str
) -> Match | None:
    text = place.text
    counter = counters().get(word, Counter(word))
    between = text[number.end : begin]
    if ordinal:
        sure = word in _ORDERED and number.kind is Kind.SINO and number.value > 0
        if not sure or (ordinal.endswith(" ") and number.value < 10):
            return None
    elif word not in counters() or not _is_written_in_digits(place, number, word, begin, end):
        return None
    written = _digits(text, number, word) + between.replace(" ", "")
    if " " in between and (written[-1] in "만억조천여"):
        written += " "
    return _finish(place, ordinal.strip() + written + counter.written, word, end)


def _finish(place: Place, written: str, word: str, end: int) -> Match | None:
    """The match with its tail, or with another number in the same eojeol: 세시삼십분에."""
    text = place.text
    if (tail := tail_end(text, end)) is not None:
        return Match(tail, written + text[end:tail], word)
    if word in _CHAINS and end < len(text):
        further = Place(text, end, counter=word)
        if word == "시" and (half := read_half_hour(further)):
            return Match(half.end, f"{written} {half.written}", "분")
        if rest := read_quantity(further):
            return Match(rest.end, f"{written} {rest.written}", rest.counter)
    return None


def read_half_hour(place: Place) -> Match | None:
    """반 after an hour: 세 시 반 → 3시 30분."""
    if place.counter != "시" or not place.text.startswith("반", place.start):
        return None
    end = tail_end(place.text, place.start + 1)
    return None if end is None else Match(end, "30분" + place.text[place.start + 1 : end], "분")


def _digits(text: str, number: Number, word: str) -> str:
    if word in _PLAIN or word in _ORDERED:
        return format_number(number, plain=True)
    return format_number(number, spoken=text[number.start : number.end])


def _is_written_in_digits(place: Place, number: Number, word: str, begin: int, end: int) -> bool:
    text = place.text
    attached = begin == number.end
    if number.kind is Kind.SINO and not _is_possible(place, number, word):
        return False
    if place.counter in _FOLLOWS.get(word, ()):
        return number.kind is Kind.SINO or word == "시"
    sure = _by_context(place, number, word, attached, end)
    if sure is not None:
        return sure
    return counters()[word].takes(number, text[number.start], attached)


def _is_possible(place: Place, number: Number, word: str) -> bool:
    """Whether there are so many at all, and the words are one number."""
    text = place.text
    limits = {"월": (1, 12), "시": (0, 24), "분기": (1, 4)}
    low, high = limits.get(word, (0, 10**20))
    if not low <= number.value <= high or (word == "시" and 0 < number.value < 11):
        return False
    if _is_beginning_of_word(text, number, word):
        return False
    if text.startswith("만 ", number.start) and number.syllables > 1:  # 만 이십사개월: an age
        return number.value >= 11_000 and word not in _AGES
    return not (number.value == 10**7 and number.syllables == 2)  # 천만 stays


def _is_beginning_of_word(text: str, number: Number, word: str) -> bool:
    said = text[number.start : number.end]
    if said[-1] in "조경":
        return word not in _MANY
    return number.syllables == 2 and said[0] in "백천만" and word in _SHORT_WORDS


def _by_context(
    place: Place, number: Number, word: str, attached: bool, end: int
) -> bool | None:
    """What the neighbours say; None where they say nothing."""
    text = place.text
    if word == "시" and number.value == 1:
        return place.before in _DAY_PARTS or _minutes_follow(text, end)
    if word == "시간" and number.value == 1:
        return _minutes_follow(text, end)
    if number.kind is Kind.NATIVE:
        return False if (number.value, word, attached) == (10, "대", True) else None  # 열대
    if number.kind is Kind.DECIMAL:
        said = text[number.start : number.end]
        unclear = "쩜" not in said and len(number.decimals) == 1 and said[-1] in "이일"
        return not unclear or len(word) >= _POINTED_BY_COUNTER or word == "배"
    if word == "일":
        if place.before in _DAYS_BEFORE or next_eojeol(text, end) in _DAY_PARTS:
            return attached or number.value != 2
        return _is_day(place, number, attached, end)
    if word == "도":
        return bool(_DEGREES.match(place.before)) or None
    if word == "번" and (attached or number.value > 9):
        named = _THIS_TIME if number.value == 2 else _NUMBERED
        return bool(named.match(next_eojeol(text, end))) or None
    if word == "분" and number.value == 10 and _HUNDRED_PER_CENT_SURE.match(next_eojeol(text, end)):
        return False  # 십분 활용: "fully"
    if word == "박":
        return _nights_have_days(text, end) or number.syllables > 1 or None
    if word in _DURATIONS and number.value < 10 and (attached or number.value != 2):
        return (number.value, word) not in _WORDS_OF_TIME and _is_duration(text, end) or None
    return None


def _is_duration(text: str, end: int) -> bool:
    rest = text[end:].lstrip(" ") if text[end : end + 1] == " " else text[end:]
    return bool(_DURING.match(rest))


def _is_day(place: Place, number: Number, attached: bool, end: int) -> bool:
    """A day without its month: 십오일, 이십 일에; 백일 and 오일 only as a stretch of time."""
    if 10 < number.value <= 31 and number.value != 21:
        return True
    if number.value in (10, 21):
        return number.syllables > 1 or not attached or _is_duration(place.text, end)
    return number.value >= 3 and _is_duration(place.text, end)


_MINUTES = re.compile(
    rf" ?(?:반(?![가-힣])|반[에은이을까부]|[{numerals.SINO_DIGITS}십]+ ?분(?!의))"
)
_DAYS = re.compile(rf" ?[{numerals.SINO_DIGITS}십]+ ?일")


def _minutes_follow(text: str, end: int) -> bool:
    return bool(_MINUTES.match(text, end))


def _nights_have_days(text: str, end: int) -> bool:
    return bool(_DAYS.match(text, end))
