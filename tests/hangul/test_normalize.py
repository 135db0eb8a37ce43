"""Number and letter reading: the examples of the guide, real pairs of script and transcript."""

from __future__ import annotations

import re
from pathlib import Path

import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data import load_split
from asr.hangul import numerals
from asr.hangul.normalize import scoring_text, spoken_sentences, to_spoken

SPEECH = Path(__file__).parents[2] / ".." / "shared" / "speech"

READINGS = [
    # Sino-Korean numbers, scales, decimals, signs
    ("2026년", "이천이십육년"),
    ("16,000명", "만육천명"),
    ("1,234,567원", "백이십삼만사천오백육십칠원"),
    ("1억 2천만 원", "일억 이천만 원"),
    ("1만5천원", "만오천원"),
    ("3.5만 명", "삼쩜오만 명"),
    ("10000000000000000", "일경"),
    ("0.5초", "영쩜오초"),
    ("5.47의", "오쩜사칠의"),
    ("-5도", "마이너스 오도"),
    ("1.2.3", "일쩜이쩜삼"),
    # counters: native, Sino, and those that change with the number
    ("3개 3층 3 개", "세개 삼층 세 개"),
    ("20살 20세 27살입니다", "스무살 이십세 스물일곱살입니다"),
    ("2개국 24개월 5시간", "이개국 이십사개월 다섯시간"),
    ("1번째 2번째 21번째 제1회", "첫번째 두번째 스물한번째 제일회"),
    ("101마리", "백한마리"),
    ("2번 출구에서 2번 봤다", "이번 출구에서 두번 봤다"),
    ("8번 아이언", "팔번 아이언"),
    ("버스 3대가 20대", "버스 세대가 이십대"),
    ("3조각 3조 원", "세조각 삼조 원"),
    ("4대강 1대1 1석2조 25명", "사대강 일대일 일석이조 이십오명"),
    ("2시즌 3장르 3장", "이시즌 삼장르 세장"),
    ("2인분 1년 1박2일", "이인분 일년 일박이일"),
    # dates and clock times
    ("6월 10월 12월 16월드", "유월 시월 십이월 십육월드"),
    ("2016년7월5일", "이천십육년 칠월 오일"),
    ("2016-05-03 2016.5.3.", "이천십육년 오월 삼일 이천십육년 오월 삼일."),
    ("05월 03일", "오월 삼일"),
    ("3시 30분 0시 12시 13시", "세시 삼십분 영시 열두시 십삼시"),
    ("09:00~18:00 1시간30분", "아홉시에서 십팔시 한시간 삼십분"),
    ("15:30에 10:05:03", "십오시 삼십분에 열시 오분 삼초"),
    ("6·25와 5·18 3.1절", "육이오와 오일팔 삼일절"),
    # codes
    ("010-1234-5678", "공일공 일이삼사 오육칠팔"),
    ("02) 123-4567", "공이 일이삼 사오육칠"),
    ("1588-1234", "일오팔팔 일이삼사"),
    ("007 01번", "공공칠 공일번"),
    ("119에 신고, 114년 전", "일일구에 신고, 백십사년 전"),
    ("6.25 6.25배 99학번", "육이오 육쩜이오배 구구학번"),
    ("63빌딩", "육삼빌딩"),
    # units, money, percent
    ("165cm 15kg을 5 km 100M", "백육십오센티미터 십오킬로그램을 오 킬로미터 백미터"),
    ("64.5%에 2%p", "육십사쩜오퍼센트에 이퍼센트포인트"),
    ("8~9cm ₩5,000", "팔에서 구센티미터 오천원"),
    ("영하 5℃ 30㎡", "영하 오도 삼십제곱미터"),
    ("$3만 100$", "삼만달러 백달러"),
    # ranges, scores, fractions, arithmetic
    ("16~18세", "십육세에서 십팔세"),
    ("5~10% 1월~3월", "오에서 십퍼센트 일월에서 삼월"),
    ("3~4개 3~4점 2,3명", "서너개 삼사점 두세명"),
    ("1914-1918", "천구백십사에서 천구백십팔"),
    ("3:2로 3-1로", "삼 대 이로 삼 대 일로"),
    ("123-45번지", "백이십삼 다시 사십오번지"),
    ("1/2 3/4분기 5분의 3", "이분의 일 삼사분기 오분의 삼"),
    ("1+1=2", "일 더하기 일은 이"),
    # Latin letters
    ("KBS와 TV, AIDS", "케이비에스와 티비, 에이즈"),
    ("L.A에 J. K. 롤링", "엘에이에 제이 케이 롤링"),
    ("ENTP 형", "이엔티피 형"),
    ("A4 F-16 A380 MP3 3D 5G", "에이포 에프십육 에이삼팔공 엠피쓰리 쓰리디 파이브지"),
    ("R&D Wi-Fi love A+ No.1", "알앤디 와이파이 러브 에이플러스 넘버 일"),
    ("naver.com a@b.co.kr", "네이버 닷컴 에이 골뱅이 비 쩜 씨오 쩜 케이알"),
    # signs, Hanja, laughter
    ("톰 & 제리", "톰 앤드 제리"),
    ("국수전(國手戰)은 前 대통령", "국수전은 전 대통령"),
    ("재밌다ㅋㅋㅋㅠㅠ ^^;; 굿!!!! 😀", "재밌다 굿!"),
    ("ㄷ자형", "디귿자형"),
    ("‘주일’은 《책》 … 끝", "주일은 책. 끝"),
    ("개정(2011년)에", "개정 이천십일년에"),
]


@pytest.mark.parametrize(("written", "spoken"), READINGS)
def test_reading(written: str, spoken: str) -> None:
    assert to_spoken(written) == spoken


@pytest.mark.parametrize(
    ("written", "sentences"),
    [
        ("좋아요! 3번 봤다.. 끝", ["좋아요", "세번 봤다", "끝"]),
        ("3.5점. 굿", ["삼쩜오점", "굿"]),
        ("unbelievable한 영화. 최고", ["최고"]),
        ("ㅇㅈ 재밌다. 진짜ㅋㅋ", ["진짜"]),
        ("http://a.kr/b 보자", []),
        ("すごい 영화", []),
        ("그는 \ud55c\uad6d, 사람", ["그는 한국 사람"]),
        ("   ", []),
    ],
)
def test_spoken_sentences(written: str, sentences: list[str]) -> None:
    assert spoken_sentences(written) == sentences


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("\ufeff[일] (백) {만}, A4 용지.", "일 백 만 A4 용지"),
        ("〈어린이  시간〉에\t출연ㅋㅋ ", "어린이 시간에 출연"),
        ("\u1112\u1161\u11ab글", "한글"),
    ],
)
def test_scoring_text(text: str, kept: str) -> None:
    assert scoring_text(text) == kept


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.text(
        st.one_of(
            st.sampled_from("0123456789.,-~:/%$()[]+=·㎏Ⅲ①½ "),
            st.sampled_from("개번명월일시분대장살만억조제가나ㅋ國AaKm"),
            st.characters(exclude_categories=["Cs"]),
        ),
        max_size=40,
    )
)
def test_any_text_comes_out_as_hangul(text: str) -> None:
    spoken = to_spoken(text)
    assert re.fullmatch(r"(?:[가-힣]+[.,?!]?(?: (?=[가-힣])|$))*", spoken)
    assert to_spoken(spoken) == spoken
    assert scoring_text(scoring_text(text)) == scoring_text(text)
    for sentence in spoken_sentences(text):
        assert re.fullmatch(r"[가-힣]+(?: [가-힣]+)*", sentence)


def test_a_number_of_any_length_is_read() -> None:
    assert to_spoken("7" * 5000 + "개") == "칠" * 5000 + "개"


_DIGITS = {digit: value for value, digit in enumerate("영일이삼사오육칠팔구")}


def _value(spoken: str) -> int:
    """Value of a Sino-Korean number by its definition: an oracle that reads the other way."""
    total = group = digit = 0
    for character in spoken:
        if character in _DIGITS:
            digit = _DIGITS[character]
        elif character in "십백천":
            group += (digit or 1) * {"십": 10, "백": 100, "천": 1000}[character]
            digit = 0
        else:
            unit = 10_000 ** ("만억조경".index(character) + 1)
            total += ((group + digit) or 1) * unit
            group = digit = 0
    return total + group + digit


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 10**20 - 1))
def test_sino_numbers_read_back(number: int) -> None:
    assert _value(numerals.sino(number)) == number


def test_native_numbers() -> None:
    assert [numerals.native(n) for n in (1, 2, 3, 4, 5, 10, 11, 20, 21, 34, 99)] == [
        "한", "두", "세", "네", "다섯", "열", "열한", "스무", "스물한", "서른네", "아흔아홉",
    ]  # fmt: skip
    assert numerals.native(20, attributive=False) == "스물"
    assert numerals.native(43, attributive=False) == "마흔셋"
    assert len({numerals.native(n) for n in range(1, 100)}) == 99
    for number in (0, 100):
        with pytest.raises(ValueError, match="native"):
            numerals.native(number)
    with pytest.raises(ValueError, match="outside"):
        numerals.sino(10**20)


@pytest.mark.skipif(not SPEECH.exists(), reason="needs ../shared/speech")
def test_scripts_are_read_as_they_were_spoken() -> None:
    """EmotionTTS train and dev: 8 of the 103 are one sentence that speakers read in two ways."""
    pairs = [
        (scoring_text(to_spoken(utterance.script or "")), scoring_text(utterance.transcript))
        for split in ("train", "dev")
        for utterance in load_split(SPEECH, "emotiontts", split)
        if re.search(r"[0-9A-Za-z]", utterance.script or "")
    ]
    assert len(pairs) == 103
    assert sum(spoken == transcript for spoken, transcript in pairs) >= 94
    assert jiwer.cer([b for _, b in pairs], [a for a, _ in pairs]) < 0.005
