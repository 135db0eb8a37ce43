"""Spoken to written: examples, words that are no numbers, round trips, real pairs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data import load_split
from asr.hangul.normalize import scoring_text, to_spoken
from asr.written import to_written, written_tokens

SPEECH = Path(__file__).parents[2] / ".." / "shared" / "speech"

WRITTEN = [
    # dates; spaces wherever the recogniser put them
    ("이천이십육년 유월 삼일", "2026년 6월 3일"),
    ("이천 이십 육년 시월 이십 일에", "2026년 10월 20일에"),
    ("이천이십육 년 십일월 삼십일일까지", "2026년 11월 31일까지"),
    ("이천십육년칠월사일", "2016년 7월 4일"),
    ("오월 오일의 오일", "5월 5일의 오일"),
    ("천구백팔십년대와 구십년대", "1980년대와 90년대"),
    ("지난 팔일 오후", "지난 8일 오후"),
    ("오일부터 팔일까지 쉰다", "5일부터 8일까지 쉰다"),
    ("십이월과 이월 사이에는", "12월과 2월 사이에는"),
    # clock times and durations
    ("오후 세 시 반", "오후 3시 30분"),
    ("오전 열한시 오분부터", "오전 11시 5분부터"),
    ("세시삼십분에 와", "3시 30분에 와"),
    ("내일 세시반 예약", "내일 3시 30분 예약"),
    ("여섯시되면 깨워", "6시되면 깨워"),
    ("오후 한 시에", "오후 1시에"),
    ("한 시 반에", "1시 30분에"),
    ("십삼시 이십분", "13시 20분"),
    ("두 시간 삼십 분", "2시간 30분"),
    ("이 년 동안", "2년 동안"),
    ("삼일 동안", "3일 동안"),
    ("일박 이일로", "1박 2일로"),
    ("일분 이십팔초", "1분 28초"),
    # percent, decimals, units
    ("삼십 퍼센트는", "30%는"),
    ("육십사쩜오퍼센트에", "64.5%에"),
    ("육십사 점 오 퍼센트", "64.5%"),
    ("이퍼센트포인트", "2%p"),
    ("백미터 앞에서", "100m 앞에서"),
    ("십오킬로그램을 초과한", "15kg을 초과한"),
    ("백육십오쎈티미터입니다", "165cm입니다"),
    ("영하 오 도", "영하 5도"),
    ("마이너스 오도", "-5도"),
    ("사쩜사이다", "4.4이다"),
    ("일쩜이쩜삼 버전", "1.2.3 버전"),
    # money and large numbers
    ("만육천명 이상이", "16,000명 이상이"),
    ("오천원입니다", "5천원입니다"),
    ("삼천만 원에 오십오만 원이요", "3천만 원에 55만 원이요"),
    ("이천에 육십만 원입니다", "2천에 60만 원입니다"),
    ("일억 이천만 원", "1억 2천만 원"),
    ("백삼십만 명", "130만 명"),
    ("만 오천 원", "1만 5천 원"),
    ("백만 장의 판매고", "100만 장의 판매고"),
    # counters
    ("이십여 명이", "20여 명이"),
    ("오십 여자 선수가 이십 여 명과", "50 여자 선수가 20여 명과"),
    ("스물일곱살입니다만", "27살입니다만"),
    ("최소 스무명이 두건 이상", "최소 20명이 2건 이상"),
    ("백한 마리", "101마리"),
    ("이개국씩 이십사개월", "2개국씩 24개월"),
    ("만 이십사개월 이상이", "만 24개월 이상이"),
    ("만 오세 이하", "만 5세 이하"),
    ("오위부터 팔위까지는", "5위부터 8위까지는"),
    ("제십팔대 대통령과 제삼의 물결", "제18대 대통령과 제3의 물결"),
    ("구경기 연속", "9경기 연속"),
    ("이번 출구와 팔번 아이언", "2번 출구와 8번 아이언"),
    ("이호선 강남역 십일번 출구", "2호선 강남역 11번 출구"),
    ("삼 학년 이 반", "3학년 2반"),
    ("백일동 천이백삼호", "101동 1203호"),
    # ranges, scores, fractions
    ("삼에서 오 킬로미터", "3~5km"),
    ("십육세에서 십팔세 사이에", "16~18세 사이에"),
    ("십 퍼센트에서 이십 퍼센트로 올랐다", "10%에서 20%로 올랐다"),
    ("삼 대 이로 이겼다", "3 대 2로 이겼다"),
    ("십년에서 십오년 뒤의 모습", "10~15년 뒤의 모습"),
    ("삼십대에서 오십대 회원이", "30~50대 회원이"),
    ("두시에서 네시 사이에", "2~4시 사이에"),
    ("기온이 오도에서 구도 올랐다", "기온이 5도에서 9도 올랐다"),
    ("일이초면 끝난다", "1~2초면 끝난다"),
    ("이삼십 명과 오륙만 명", "20~30명과 5~6만 명"),
    ("칠팔백 미터를 걸었다", "700~800m를 걸었다"),
    ("일 이편을 이어서 보았다", "1, 2편을 이어서 보았다"),
    ("삼분의 일이 남았다", "3분의 1이 남았다"),
    # codes
    ("공일공 일이삼사 오육칠팔로 전화해", "010-1234-5678로 전화해"),
    ("공일공일이삼사오육칠팔", "010-1234-5678"),
    ("공이에 일이삼에 사오육칠", "02-123-4567"),
    ("일오팔팔 일이삼사", "1588-1234"),
    ("공구칠일 다시 일이삼사오육 다시 칠팔구공", "0971-123456-7890"),
    ("지하철 이 호선과 칠 번 출구", "지하철 2호선과 7번 출구"),
    ("공일번 마을버스", "01번 마을버스"),
    ("일일구에 신고해", "119에 신고해"),
    ("육이오 때", "6.25 때"),
    ("육삼빌딩이", "63빌딩이"),
    ("그때 공일공으로 바꿨다", "그때 010으로 바꿨다"),
    ("일일구 신고가 늘었다", "119 신고가 늘었다"),
    ("공공칠영화처럼", "007영화처럼"),
    ("그 숫자는 이백이십팔입니다", "그 숫자는 228입니다"),
    # single digits, by what stands around them
    ("대회에서 일등을 했다", "대회에서 1등을 했다"),
    ("일종 보통 면허", "1종 보통 면허"),
    ("일번을 고르세요", "1번을 고르세요"),
    ("오 번 플랫폼은 어디에요", "5번 플랫폼은 어디에요"),
    ("일박 요금은", "1박 요금은"),
    ("일인당 다섯 개씩", "1인당 다섯 개씩"),
    ("이번 영화는 팔점 드립니다", "이번 영화는 8점 드립니다"),
    # things that have a number
    ("시즌 삼이 제일 낫다", "시즌 3이 제일 낫다"),
    ("볼륨을 육십으로 올려줘", "볼륨을 60으로 올려줘"),
    ("칠칠 사이즈 있어요", "77 사이즈 있어요"),
    ("삼백오십팔열차의 운행을", "358열차의 운행을"),
    # run together with what stands before
    ("오후세시에 총칠십육퍼센트가", "오후3시에 총76%가"),
    ("주이회 약삼백명", "주2회 약300명"),
    ("이천 씨씨와 오천 킬로미터", "2,000cc와 5,000km"),
    ("팔팔년생 공삼학번", "88년생 03학번"),
    ("십칠대일 경쟁률", "17대1 경쟁률"),
    ("일일 삼회 드세요", "1일 3회 드세요"),
    ("이백육십오 밀리", "265밀리"),
    # days and spans
    ("수도에서 이십일 개최되는", "수도에서 20일 개최되는"),
    ("만난 지 백일 됐어", "만난 지 100일 됐어"),
    ("삼월 육일자 신문", "3월 6일자 신문"),
    ("백만 년 전에", "100만 년 전에"),
    ("이십 여 종씩", "20여 종씩"),
    # native numbers run together with their counters, where writers use digits
    ("작년보다 두배 이상 늘었다", "작년보다 2배 이상 늘었다"),
    ("네번째로 큰 섬이고 항구는 여섯곳이다", "4번째로 큰 섬이고 항구는 6곳이다"),
    ("트럭 두대가 섰다", "트럭 2대가 섰다"),
    ("아파트 삼백세대가 산다", "아파트 300세대가 산다"),
    # 만, 억, 천 as they were said
    ("십이만 사천 헥타르", "12만 4천 헥타르"),
    ("상금은 천만원이다", "상금은 1000만원이다"),
    ("이조 삼천억을 들였다", "2조 3천억을 들였다"),
    # alone, and run together with what follows
    ("나이 육십에 배운 수영", "나이 60에 배운 수영"),
    ("이십년지난 집을 칠십육년도처럼", "20년지난 집을 76년도처럼"),
    ("웹이쩜영 시대와 정부삼쩜영의", "웹2.0 시대와 정부3.0의"),
    ("사개부문에서 상을 받았다", "4개부문에서 상을 받았다"),
    # the same counter elsewhere makes it sure
    ("서울 삼도 인천 사도 부산 칠도로", "서울 3도 인천 4도 부산 7도로"),
    # ordinals and names
    ("제구조의이는 제백육조제일항과", "제9조의2는 제106조제1항과"),
    ("위암 사기 판정을 받은 사인 가족", "위암 4기 판정을 받은 4인 가족"),
    ("제삼본부와 제이병원", "제3본부와 제2병원"),
    ("사일구혁명 뒤", "4.19혁명 뒤"),
    # marks, if a text has them
    ("오후 세 시 반, 삼십 퍼센트.", "오후 3시 30분, 30%."),
    ("(이천이십육년)", "(2026년)"),
]

UNCHANGED = [
    "이 일은 만 사람이 사 온 조각이다",
    "두 사람이 한 번 더 세 번째 문을 열었다",
    "한시라도 빨리 이번에는 다시 한번 보자",
    "구조를 구경하는 천사와 백조 한 마리",
    "백사장에서 오만과 편견을 읽었다",
    "수십 명과 몇 십 명과 두세 명과 서너 개",
    "사이사이에 일일이 끼워 넣었다",
    "일대일로 만나 일석이조를 노렸다",
    "열대 우림과 구급차와 이모와 사육",
    "이 분은 사회 일부의 이유를 아신다",
    "십분 활용하고 일주일 쉬었다",
    "이 년이나 이 차나 이 도시나",
    "만일 이만 가 보면 오만해진다",
    "영공과 이륙과 삼겹살과 사이다",
    "석 달과 넉 장과 두 잔과 이 사람",
    "천만 관객이 만 원을 냈다",
    "화이트 로제 레드 세 가지가 있습니다",
    "일부는 철도와 단양과 제천과 함께",
    "일종의 구조주의 형태론",
    "어린이 채널 이라고 한다",
    "자아 만이 남은 세계",
    "이 차나 이 점도 확실히 알고 있다",
    "사회 일부의 사기와 이주와 일화",
    "그 시즌 사 주세요",
    "두 배 세 가지 네 마리 다섯 사람",
    "비용이 한시간 뒤에 나온다",
    "일이 초과되면 일이 주는 기쁨이 준다",
    "이사회와 삼사관학교와 오륙도",
    "꽃도 좀 사오세요",
    "오대산 백발 노인",
    "사만사와 함께 왔다",
    "세대 차이와 두고 간 사람",
    "",
]


@pytest.mark.parametrize(("spoken", "written"), WRITTEN)
def test_numbers_are_written_in_digits(spoken: str, written: str) -> None:
    assert to_written(spoken) == written


@pytest.mark.parametrize("text", UNCHANGED)
def test_words_stay(text: str) -> None:
    assert to_written(text) == text


def test_written_text_stays() -> None:
    for _, written in WRITTEN:
        assert to_written(written) == written


def test_tokens_say_what_was_said() -> None:
    tokens = written_tokens(["내일", "세", "시", "반에", "이십", "명이", "온다"])
    assert [(token.spoken, token.written) for token in tokens] == [
        ("내일", "내일"), ("세 시", "3시"), ("반에", "30분에"), ("이십 명이", "20명이"),
        ("온다", "온다"),
    ]  # fmt: skip
    assert [token.end for token in tokens] == [1, 3, 4, 6, 7]
    assert [token.changed for token in tokens] == [False, True, True, True, False]


def number(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


def money(value: int) -> str:
    """An amount as it is written here: 천 and 만 where nothing smaller follows, else commas."""
    if value % 10_000 == 0:
        return f"{value // 10_000}만 원"
    return f"{value // 1000}천원" if value in range(2000, 10_000, 1000) else f"{value:,}원"


FORMS = {
    "date": st.builds("{}년 {}월 {}일".format, number(1900, 2100), number(1, 12), number(1, 31)),
    "time": st.builds("오후 {}시 {}분에".format, number(1, 12), number(1, 59)),
    "percent": st.builds("{}.{}%가".format, number(0, 999), number(0, 99)),
    "whole percent": st.builds("{}%는".format, number(0, 150)),
    "mobile": st.builds("010-{:04d}-{:04d}".format, number(0, 9999), number(0, 9999)),
    "area": st.builds("031-{:03d}-{:04d}로".format, number(200, 999), number(0, 9999)),
    "people": st.builds("{}명이".format, number(11, 999)),
    "things": st.builds("{}개를".format, number(2, 99)),
    "age": st.builds("{}살입니다".format, number(3, 99)),
    "length": st.builds("{}km와".format, number(1, 999)),
    "money": number(11, 9999).map(lambda n: money(n * 10)).filter(lambda it: it != "1만 원"),
    "round money": number(2, 99).map(lambda n: money(n * 1000)).filter(lambda it: it != "1만 원"),
    "much money": number(2, 999).map(lambda n: money(n * 10_000)),
    "subway": st.builds("{}호선".format, number(1, 9)),
    "floors": st.builds("{}층에서".format, number(3, 63)),
    "months": st.builds("{}개월간".format, number(1, 36)),
    "fraction": st.builds("{}분의 {}".format, number(2, 99), number(1, 99)),
}


@pytest.mark.parametrize("kind", FORMS)
@settings(derandomize=True, deadline=None, max_examples=150)
@given(data=st.data())
def test_what_is_read_aloud_is_written_back(kind: str, data: st.DataObject) -> None:
    written = data.draw(FORMS[kind])
    assert to_written(to_spoken(written)) == written


SYLLABLES = "일이삼사오육칠팔구십백천만억조공영한두세네열스무물 년월시분초명개원번도대제반점쩜에의"


@settings(derandomize=True, deadline=None, max_examples=500)
@given(st.text(st.sampled_from(SYLLABLES), max_size=30) | st.text(max_size=30))
def test_any_text_is_covered_by_tokens(text: str) -> None:
    eojeols = text.split()
    tokens = written_tokens(eojeols)
    assert " ".join(token.spoken for token in tokens) == " ".join(eojeols)
    assert [token.first for token in tokens] == [0, *(token.end for token in tokens)][: len(tokens)]
    assert all(token.written for token in tokens)


@pytest.mark.skipif(not SPEECH.is_dir(), reason="../shared/speech is not on this machine")
def test_real_scripts_come_back() -> None:
    """Pairs of emotiontts on which the rules were made; the test split is for tools/bench."""
    pairs = {
        (one.script, one.transcript)
        for split in ("train", "dev")
        for one in load_split(SPEECH, "emotiontts", split)
    }
    with_digits = [pair for pair in pairs if re.search(r"\d", pair[0])]
    right = sum(_digits(script) == _digits(to_written(scoring_text(spoken)))
                for script, spoken in with_digits)
    assert len(with_digits) > 30 and right / len(with_digits) >= 0.9
    plain = {scoring_text(spoken) for script, spoken in pairs if not re.search(r"\d", script)}
    changed = [text for text in plain if to_written(text) != text]
    assert len(changed) / len(plain) <= 0.005, changed


def _digits(text: str) -> list[str]:
    return re.findall(r"\d[\d.,]*(?<=\d)", text)
