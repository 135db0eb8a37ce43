"""Whether a number before a counter is a number at all, and what the neighbours say to it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from asr.written.likelihood import COHERENT, NO_DOUBT, SURE, USUAL, Candidate, log_odds
from asr.written.match import Place, next_eojeol
from asr.written.numbers import Kind, Number
from asr.written.tables import counters, is_no_number, word_list
from asr.written.tails import tail_end

_SINO = "영일이삼사오육륙칠팔구십"
_FOLLOWS = {
    "월": ("년", "년도"),
    "일": ("월", "박", "개월", "주"),
    "분": ("시", "시간", "도"),
    "초": ("분",),
    "호": ("동", "항", "조"),
    "반": ("학년",),
    "번": ("반",),
    "개월": ("년",),
    "패": ("승", "무"),
    "무": ("승",),
    "시": ("일",),
    "항": ("조",),
}
"""Counters that are sure after another: after 오월, 오일 is the fifth and no oil."""
_LIMITS = {"월": (1, 12), "시": (0, 24), "분기": (1, 4)}
_FIRST_SINO_HOUR = 11
"""Hours from here on are also said in Sino-Korean: 십삼시."""
_DEGREES = re.compile(
    r"(?:섭씨|화씨|영하|영상|기온|마이너스|체온|온도|수온|북위|남위|동경|서경)"
)
_STAGE = re.compile(r"(?:암|종양|민선|원전)$")
"""After these 사기 is stage or term four, and no fraud."""
_PERSONS = re.compile(r"(?:가족|가구|이상|이하|이내|기준|모임|식탁|병실)")
"""Before these 사인 is four persons, and no signature."""
_DURING = re.compile(
    r"(?:간|동안|째|전|후|뒤|만에|만의|내|정도|이상|이내|안에|마다|씩|짜리|가량|남짓|넘|이나|지나"
    r"|걸리|당|있다|됐|되[는었어]|된|돼|기념|연속|차(?![가-힣]))"
)
_SURELY_DURING = re.compile(r"간| (?:동안|전|뒤|만에|사이에)")
"""이 분 후에 may be after this person; 이 년 동안 is a time."""
_WORDS_OF_TIME = (
    (1, "주일"), (9, "분"), (1, "주"), (1, "시간"), (2, "주"), (1, "일"), (2, "일"),
)  # fmt: skip
"""일주일 is usually so written; 구분, 일주, 이주, 이일 are other words."""
_NUMBERED = re.compile(
    r"(?:출구|아이언|홀|국도|게이트|트랙|채널|고속도로|승강장|타자|우드|마을버스|버스|노선|도로"
    r"|번호|교향곡)"
)
_THIS_TIME = re.compile(r"(?:출구|아이언|홀|국도|게이트|트랙|채널|승강장|우드)")
"""Before these 이번 is number two; before others it is "this time"."""
_FULLY = re.compile(r"(?:활용|발휘|이해|공감|반영|감안|고려|살|이용|즐기)")
"""Before these 십분 is "fully" and no ten minutes."""
_MINUTES = re.compile(rf" ?(?:반(?![가-힣])|반[에은이을까부]|[{_SINO}]+ ?분(?!의))")
_SECONDS = re.compile(rf" ?[{_SINO}]+ ?초")
_DAYS = re.compile(rf" ?[{_SINO}]+ ?일")
_SINCE = re.compile(rf"[{_SINO}]+일부터$")
_UNTIL = re.compile(rf"부터 [{_SINO}]+ ?일까지")
_CLEAR_DAYS = (6, 7, 8, 9)
"""육일, 칠일, 팔일, 구일 are no other words."""
_TIMES = re.compile(rf" [{_SINO}]+ ?회")
_DAY_TAIL = re.compile(r"(?:에|에는|에도|부터|까지|의|께|경|자|부로?)(?![가-힣])| (?=[가-힣]{2})")
"""After 십일 and 이십일 these say that they are the tenth and the twentieth, not 11 and 21."""
_ROOM = re.compile(rf" ?[{_SINO}백천]+ ?호(?!선)")
_MOST_LEARNT = 10
"""Weights were learnt of native numbers up to here; 한 stays."""
_POINTED_BY_COUNTER = 2
"""With 점 for the point a decimal in 이 or 일 needs a counter of so many syllables: 십점이다."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A number and the counter after it.

    Attributes:
        number: the number.
        word: the counter, as said.
        begin: index of the counter's first syllable.
        end: index after its last.
    """

    number: Number
    word: str
    begin: int
    end: int

    @property
    def attached(self) -> bool:
        """Whether nothing stands between them."""
        return self.begin == self.number.end


def is_written_in_digits(place: Place, counted: Counted) -> bool:
    """Whether Korean writers would put digits there."""
    number, word = counted.number, counted.word
    if number.kind is Kind.SINO and not _is_possible(place.text, counted):
        return False
    if place.counter in _FOLLOWS.get(word, ()):
        return number.kind is Kind.SINO or word == "시"
    judged = _JUDGES[number.kind](place, counted)
    if judged is not None:
        return judged
    usual = counters()[word].takes(number, place.text[number.start], counted.attached)
    if number.kind is Kind.NATIVE:
        learnt = 1 < number.value <= _MOST_LEARNT and not (usual and counted.attached)
    else:
        learnt = number.kind is Kind.SINO and 0 < number.value < 10
    return _is_likely(place, counted, usual) if learnt else usual


def _is_likely(place: Place, counted: Counted, usual: bool) -> bool:
    """What the learnt weights say to a small number; where they know nothing, what is usual."""
    text, end, number = place.text, counted.end, counted.number
    tail = tail_end(text, end)
    if tail is None:
        return usual
    digit = text[number.start : number.end].replace("륙", "육")
    odds = log_odds(
        Candidate(
            digit, counted.word, counted.attached, text[end:tail],
            place.before, next_eojeol(text, tail),
        ),
        native=number.kind is Kind.NATIVE,
    )  # fmt: skip
    if odds is None:
        return usual
    if counted.attached and counted.word in place.counters:
        odds += COHERENT
    if usual:
        return odds > USUAL
    this = digit == "이" and not counted.attached
    return odds > (NO_DOUBT if this or digit + counted.word in word_list("everyday") else SURE)


def _is_possible(text: str, counted: Counted) -> bool:
    """Whether there are so many at all, and the words are one number and not part of a word."""
    number, word = counted.number, counted.word
    low, high = _LIMITS.get(word, (0, 10**20))
    if not low <= number.value <= high:
        return False
    if word == "시" and 0 < number.value < _FIRST_SINO_HOUR:
        return False
    if _is_beginning_of_word(text, counted):
        return False
    if text.startswith("만 ", number.start) and number.syllables > 1:  # 만 이십사개월: an age
        return number.value >= 11_000 and word not in word_list("ages")
    many = number.value == 10**7 and number.syllables == 2  # 천만 관객
    return not many or word in word_list("money")


def _is_beginning_of_word(text: str, counted: Counted) -> bool:
    number, word = counted.number, counted.word
    said = text[number.start : number.end]
    if is_no_number(text, number.start):
        return True
    if said[-1] in "조경":
        return word not in word_list("many")
    if word == "동" and _ROOM.match(text, counted.end):
        return False
    bare = number.syllables == 2 and said[0] in "백천만" and number.value % 10 > 0
    if bare and said[0] == "만" and not counted.attached:  # 만이 남은, 만일 세 대가
        return True
    return bare and word in word_list("short")


def _judge_native(place: Place, counted: Counted) -> bool | None:
    value, word = counted.number.value, counted.word
    minutes_follow = bool(_MINUTES.match(place.text, counted.end))
    if word == "시" and value == 1:
        return place.before in word_list("day_parts") or minutes_follow
    if word == "시간":
        return minutes_follow or None
    if word == "대" and value in (2, 10) and counted.attached:  # 두대; 열대 are the tropics
        return value == 2
    return None


def _judge_decimal(place: Place, counted: Counted) -> bool:
    number, word = counted.number, counted.word
    said = place.text[number.start : number.end]
    unclear = "쩜" not in said and len(number.decimals) == 1 and said[-1] in "이일"
    return not unclear or len(word) >= _POINTED_BY_COUNTER or word == "배"


def _judge_sino(place: Place, counted: Counted) -> bool | None:
    text, number, word, end = place.text, counted.number, counted.word, counted.end
    if word == "일":
        return _is_day(place, counted)
    sure = (
        (word == "분" and _SECONDS.match(text, end))
        or (word == "세" and place.before == "만")
        or (word == "동" and _ROOM.match(text, end))
        or (word == "도" and _DEGREES.match(place.before))
        or (word == "도" and counted.attached and word in place.counters)
        or (word == "기" and _STAGE.search(place.before))
        or (word == "인" and _PERSONS.match(next_eojeol(text, end)))
        or (word == "박" and _DAYS.match(text, end))
        or (word == "번" and (place.before.endswith("채널") or _is_numbered(text, counted)))
    )
    if sure:
        return True
    if word == "분" and number.value == 10 and _FULLY.match(next_eojeol(text, end)):
        return False
    if number.value == 2 and not counted.attached and word in {"년", *word_list("durations")}:
        return bool(_SURELY_DURING.match(text, end)) or None
    if word in word_list("durations") and number.value < 10:
        return ((number.value, word) not in _WORDS_OF_TIME and _is_duration(text, end)) or None
    return None


def _is_numbered(text: str, counted: Counted) -> bool:
    """이번 출구 is exit two, 팔번 버스 bus eight; but 이번 버스 is this bus."""
    named = _THIS_TIME if counted.number.value == 2 else _NUMBERED
    return bool(named.match(next_eojeol(text, counted.end)))


def _is_duration(text: str, end: int) -> bool:
    return bool(_DURING.match(text, end + text.startswith(" ", end)))


def _is_day(place: Place, counted: Counted) -> bool:
    """A day without its month: 십오일, 이십 일에; 백일 and 오일 only as a stretch of time."""
    number, text = counted.number, place.text
    if number.value == 1 and _TIMES.match(text, counted.end):  # 일일 삼회
        return True
    before_time = next_eojeol(text, counted.end) in word_list("day_parts")
    of_two = _SINCE.search(place.before) or _UNTIL.match(text, counted.end)
    if place.before in word_list("before_days") or before_time or of_two:
        return counted.attached or number.value != 2
    if 10 < number.value <= 31 and number.value != 21:
        return True
    if number.value in _CLEAR_DAYS and counted.attached:
        return True
    if number.value in (10, 21):
        apart = (number.syllables > 1 and number.value == 10) or not counted.attached
        return apart or bool(_DAY_TAIL.match(text, counted.end)) or _is_duration(text, counted.end)
    if number.value >= 100 and place.before.endswith("지"):  # 만난 지 백일
        return True
    return number.value > 2 and _is_duration(text, counted.end)


_JUDGES = {
    Kind.NATIVE: _judge_native,
    Kind.DECIMAL: _judge_decimal,
    Kind.SINO: _judge_sino,
}
