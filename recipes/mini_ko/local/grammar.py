"""Korean sentences from a small grammar, as they are said: Hangul and spaces only."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

PAST, NOW, FUTURE = "past", "now", "future"
TIMES = {
    PAST: ("어제", "지난주에", "그저께", "아까", "작년에"),
    NOW: ("지금", "오늘도", "요즘", "아침마다"),
    FUTURE: ("내일", "모레", "다음 주에", "이따가", "주말에"),
}
PEOPLE = ("동생", "어머니", "선생님", "친구들", "할아버지", "민수", "지영", "삼촌", "옆집 아이",
          "우리")  # fmt: skip
PLACES = ("학교", "도서관", "부엌", "공원", "시장", "바닷가", "거실", "운동장", "마당", "서울역")
CITIES = ("서울", "부산", "대구", "인천", "광주", "대전", "울산", "제주", "강릉", "전주", "춘천")
# Object, and its verb's polite forms by time.
ACTIONS = (
    ("책", {PAST: "읽었어요", NOW: "읽고 있어요", FUTURE: "읽을 거예요"}),
    ("점심", {PAST: "먹었습니다", NOW: "먹습니다", FUTURE: "먹겠습니다"}),
    ("노래", {PAST: "불렀어요", NOW: "부르고 있어요", FUTURE: "부를 거예요"}),
    ("음악", {PAST: "들었습니다", NOW: "듣습니다", FUTURE: "듣겠습니다"}),
    ("그림", {PAST: "그렸어요", NOW: "그려요", FUTURE: "그릴 거예요"}),
    ("꽃", {PAST: "심었습니다", NOW: "심고 있습니다", FUTURE: "심을 겁니다"}),
    ("생선", {PAST: "샀어요", NOW: "사고 있어요", FUTURE: "살 거예요"}),
    ("숙제", {PAST: "끝냈어요", NOW: "하고 있어요", FUTURE: "할 거예요"}),
    ("사진", {PAST: "찍었습니다", NOW: "찍고 있습니다", FUTURE: "찍겠습니다"}),
    ("연", {PAST: "날렸어요", NOW: "날리고 있어요", FUTURE: "날릴 거예요"}),
    ("커피", {PAST: "마셨습니다", NOW: "마십니다", FUTURE: "마시겠습니다"}),
    ("편지", {PAST: "썼어요", NOW: "쓰고 있어요", FUTURE: "쓸 거예요"}),
)
SKY = ("맑겠습니다", "흐리겠습니다", "덥겠습니다", "춥겠습니다", "비가 오겠습니다",
       "눈이 오겠습니다", "바람이 세게 불겠습니다", "안개가 끼겠습니다")  # fmt: skip
DAYS = ("오늘", "내일", "모레", "이번 주말", "월요일", "수요일", "금요일")
THINGS = ("불", "텔레비전", "라디오", "난방", "선풍기", "컴퓨터", "창문 옆 등", "음악")
SWITCHES = ("켜 주세요", "꺼 주세요", "켜 줄래요", "꺼 줄 수 있어요", "켜 놓으세요")
COMPARED = ("사과", "수박", "딸기", "감", "포도", "밤", "귤", "복숭아", "참외", "앵두")
QUALITIES = ("맛있어요", "비싸요", "달아요", "큽니다", "좋습니다", "예쁩니다", "값싸요")
DIGITS = ("공", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
TENS = ("", "십", "이십", "삼십", "사십", "오십")
HOURS = ("한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉", "열", "열한", "열두")


def sentences(seed: int) -> Iterator[str]:
    """Sentences without end, the same for the same seed; some come more than once."""
    draw = random.Random(seed)
    kinds = (_action, _action, _action, _weather, _switch, _comparison, _clock, _number, _journey)
    while True:
        yield _one(draw, kinds)(draw)


def with_particle(noun: str, particle: str) -> str:
    """A noun with its particle, given as after a consonant and after a vowel: 을/를, 은/는, 이/가.

    >>> with_particle("책", "을/를"), with_particle("노래", "을/를")
    ('책을', '노래를')
    """
    closed, open_ = particle.split("/")
    return noun + (closed if (ord(noun[-1]) - ord("가")) % 28 else open_)


def _one(draw: random.Random, choices: Sequence) -> object:
    # random() alone is the same in every version of Python; choice() is not.
    return choices[int(draw.random() * len(choices))]


def _action(draw: random.Random) -> str:
    tense = _one(draw, (PAST, NOW, FUTURE))
    thing, verb = _one(draw, ACTIONS)
    return " ".join((
        _one(draw, TIMES[tense]), with_particle(_one(draw, PEOPLE), _one(draw, ("은/는", "이/가"))),
        _one(draw, PLACES) + "에서", with_particle(thing, "을/를"), verb[tense],
    ))  # fmt: skip


def _weather(draw: random.Random) -> str:
    grade = _one(draw, ("아주 ", "조금 ", "대체로 ", ""))
    return f"{_one(draw, DAYS)} {_one(draw, CITIES)} 날씨는 {grade}{_one(draw, SKY)}"


def _switch(draw: random.Random) -> str:
    return (
        f"{_one(draw, PLACES)}에 있는 {with_particle(_one(draw, THINGS), '을/를')}"
        f" {_one(draw, SWITCHES)}"
    )


def _comparison(draw: random.Random) -> str:
    first = int(draw.random() * len(COMPARED))
    second = (first + 1 + int(draw.random() * (len(COMPARED) - 1))) % len(COMPARED)
    better = with_particle(COMPARED[second], "이/가")
    how = _one(draw, ("더", "훨씬 더"))
    return f"{COMPARED[first]}보다 {better} {how} {_one(draw, QUALITIES)}"


def _clock(draw: random.Random) -> str:
    half = _one(draw, ("오전", "오후"))
    return (
        f"{half} {_one(draw, HOURS)} 시 {_minutes(draw)} 분에 {_one(draw, PLACES)} 앞에서"
        f" {_one(draw, ('만나요', '만납시다', '기다릴게요', '출발합니다'))}"
    )


def _minutes(draw: random.Random) -> str:
    number = 1 + int(draw.random() * 59)
    return TENS[number // 10] + (DIGITS[number % 10] if number % 10 else "")


def _number(draw: random.Random) -> str:
    blocks = ["".join(_one(draw, DIGITS) for _ in range(4)) for _ in range(2)]
    owner = _one(draw, PEOPLE)
    return f"{owner} 전화번호는 공일공 {blocks[0]} {blocks[1]}번입니다"


def _journey(draw: random.Random) -> str:
    first = int(draw.random() * len(CITIES))
    second = (first + 1 + int(draw.random() * (len(CITIES) - 1))) % len(CITIES)
    way = _one(draw, ("기차로", "버스로", "비행기로", "자동차로"))
    time = f"{_one(draw, HOURS)} 시간 {_minutes(draw)} 분"
    return f"{CITIES[first]}에서 {CITIES[second]}까지 {way} {time} 걸립니다"
