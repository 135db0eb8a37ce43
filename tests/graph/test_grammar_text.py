"""The grammar format: what it means, and one clear error with its line for what is malformed."""

from __future__ import annotations

from pathlib import Path

import pytest

from asr.errors import DataError
from asr.graph.grammar import load_grammar, parse_grammar
from asr.graph.grammar_particles import PAIRS, read_particle
from asr.hangul import numerals

WEATHER = """
# 날씨
$도시 = 서울 | 부산   # 큰 도시
     | 대구
$도시(에서)? 날씨 (알려줘 | 보여 줘)
<도착: $도시>(으)로 가자
"""


def text_of(grammar: str, spoken: str) -> str | None:
    match = parse_grammar(grammar).parse(spoken)
    return match.text if match else None


def test_phrases_slots_and_spaces() -> None:
    grammar = parse_grammar(WEATHER)
    match = grammar.parse("대구에서 날씨보여줘")
    assert match is not None
    assert (match.text, match.slots) == ("대구에서 날씨 보여 줘", {"도시": "대구"})
    assert grammar.parse("서울로가자").slots == {"도착": "서울"}  # type: ignore[union-attr]
    assert grammar.parse(["▁부", "산", "▁으", "로", "▁가", "자"]) is not None  # marks do not count
    assert grammar.parse("서울으로가자") is None
    assert grammar.parse("광주날씨알려줘") is None
    assert grammar.parse("") is None


@pytest.mark.parametrize(
    ("particle", "word", "form"),
    [
        ("{을}", "책", "을"), ("{을}", "나무", "를"), ("을/를", "물", "을"),
        ("를/을", "커피", "를"), ("{이/가}", "집", "이"), ("{가}", "학교", "가"),
        ("{은}", "달", "은"), ("{는}", "해", "는"), ("{과}", "밥", "과"),
        ("와/과", "우유", "와"), ("(으)로", "집", "으로"), ("{로}", "학교", "로"),
        ("{으로}", "서울", "로"), ("{으로부터}", "하늘", "로부터"), ("{(이)랑}", "물", "이랑"),
        ("{랑}", "친구", "랑"), ("{아}", "영숙", "아"), ("{야}", "철수", "야"),
        ("{이에요}", "물", "이에요"), ("{예요}", "나무", "예요"),
    ],
)  # fmt: skip
def test_particles_follow_the_coda(particle: str, word: str, form: str) -> None:
    """Forms by 한글 맞춤법 and 표준국어대사전: ㄹ counts as open for (으)로 alone."""
    grammar = f"{word}{particle} 본다"
    assert text_of(grammar, f"{word}{form}본다") == f"{word}{form} 본다"
    others = {other for pair in PAIRS if form in pair for other in pair} - {form}
    assert all(text_of(grammar, f"{word}{other}본다") is None for other in others)


def test_particle_after_a_slot_fits_each_word() -> None:
    grammar = "$x = 책 | 나무 | KBS | 1\n$x{을}? 줘"
    accepted = ["책을줘", "나무를줘", "케이비에스를줘", "일을줘", "책줘"]
    assert all(text_of(grammar, spoken) for spoken in accepted)
    assert not any(text_of(grammar, spoken) for spoken in ("책를줘", "나무을줘", "케이비에스을줘"))


def test_any_pair_is_a_particle() -> None:
    assert read_particle("아버지/어머니") == ("아버지", "어머니")
    assert text_of("집{이라서/라서} 좋다", "집이라서좋다") == "집이라서 좋다"


@pytest.mark.parametrize(
    ("phrase", "spoken", "written"),
    [
        ("KBS 틀어 줘", "케이비에스틀어줘", "KBS 틀어 줘"),
        ("AI{를} 켜", "에이아이를켜", "AI를 켜"),
        ("5G폰", "파이브지폰", "5G폰"),
        ("<BTS = 방탄소년단 | 비티에스> 노래", "방탄소년단노래", "BTS 노래"),
        ("3시 30분에 깨워", "세시삼십분에깨워", "3시 30분에 깨워"),
        ('"문 (안쪽)" 열어', "문안쪽열어", "문 (안쪽) 열어"),
        ("네, 알겠어요. 지금 몇 시야?", "네알겠어요지금몇시야", "네, 알겠어요. 지금 몇 시야?"),
    ],
)
def test_written_as_in_the_grammar(phrase: str, spoken: str, written: str) -> None:
    match = parse_grammar(phrase).parse(spoken)
    assert match is not None and match.text == written
    assert match.spoken.replace(" ", "") == spoken
    assert " ".join(piece.text for piece in match.pieces) == written
    assert match.pieces[0].begin == 0 and match.pieces[-1].end == len(spoken)
    assert all(a.end == b.begin for a, b in zip(match.pieces, match.pieces[1:], strict=False))


@pytest.mark.parametrize(
    ("phrase", "readings", "refused"),
    [
        ("<number 1-24>시", {"세": "3", "스물네": "24", "이십사": "24"}, ["셋", "스물다섯"]),
        ("<number 1-99>개", {"스무": "20", "한": "1", "아흔아홉": "99"}, ["하나", "스물", "백"]),
        ("<number 0-9999>원", {"이백삼십": "230", "영": "0", "천": "1000"}, ["세", "스물세"]),
        ("<number 1-12>월", {"유": "6", "시": "10", "삼": "3"}, ["여섯", "열"]),
        ("<number 1-100>", {"백": "100", "이십삼": "23", "스물셋": "23"}, ["세", "백하나"]),
        ("<number 1-99 native>", {"스물셋": "23"}, ["이십삼"]),
        ("<number 1-99 sino>", {"이십삼": "23"}, ["스물셋"]),
        ("<number 9999-10001>", {"만": "10000", "일만": "10000"}, ["이만"]),
        ("<digits 4-11>", {"공일공일이삼사": "0101234", "하나둘셋넷": "1234"}, ["공일공"]),
        ("<digits 2 sino>", {"영팔": "08"}, ["하나둘", "공"]),
    ],
)  # fmt: skip
def test_numbers(phrase: str, readings: dict[str, str], refused: list[str]) -> None:
    counter = phrase.partition(">")[2]
    grammar = parse_grammar(phrase)
    for reading, value in readings.items():
        match = grammar.parse(reading + counter)
        assert match is not None and match.text == value + counter
        assert list(match.slots.values()) == [value]
    assert not any(grammar.parse(reading + counter) for reading in refused)


def test_numbers_cover_their_range() -> None:
    grammar = parse_grammar("<번호: number 0-9999>번")
    for value in range(0, 10_000, 37):
        match = grammar.parse(numerals.sino(value) + "번")
        assert match is not None and match.slots == {"번호": str(value)}


def test_weights_decide_between_equal_readings() -> None:
    assert text_of("배 | <ship = 배>", "배") == "배"
    assert text_of("배 | <ship = 배> @ 3", "배") == "ship"
    assert text_of("배\n<ship = 배> @ 2", "배") == "ship"


def test_definitions_alone_are_the_phrases() -> None:
    match = parse_grammar("$city = 서울 | 부산\n$cmd = $city 날씨").parse("부산날씨")
    assert match is not None and match.slots == {"city": "부산", "cmd": "부산 날씨"}


def test_a_slot_used_twice() -> None:
    match = parse_grammar("$c = 서울 | 부산\n$c에서 $c까지").parse("서울에서부산까지")
    assert match is not None and match.slots == {"c": "서울", "c.2": "부산"}


def test_lists_in_files(tmp_path: Path) -> None:
    names = "# 이름\n김철수\nK-POP\n서울 역\t5\n㈜한빛\t한빛\n"
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "names.txt").write_text("\ufeff" + names, encoding="utf-8")
    path = tmp_path / "g.txt"
    path.write_bytes("<file more/names.txt>에게 전화\r\n".encode())
    grammar = load_grammar(path)
    for spoken, written in (("서울역", "서울 역"), ("케이팝", "K-POP"), ("한빛", "㈜한빛")):
        match = grammar.parse(spoken + "에게 전화")
        assert match is not None and match.slots == {"file": written}


MALFORMED = {
    "$city 날씨": (1, r"\$city is not defined"),
    "\n\n안녕\n$없는도시 날씨": (4, "not defined"),
    "$a = 가 $b\n$b = 나 $c\n$c = 다 $a\n$a": (3, "must not hold itself"),
    "$a = 가\n$a = 나": (2, "defined in line 1"),
    "가 | | 나": (1, "empty"),
    "가 |": (1, "empty"),
    "$a =\n가": (1, "empty"),
    "()": (1, "empty"),
    "| 가": (1, "no line before"),
    "안녕\n(가 | 나": (2, "not closed"),
    "[가": (1, "not closed"),
    "(가]": (1, "not closed"),
    "가)": (1, "without its opening bracket"),
    "가 } 나": (1, "without its opening bracket"),
    "사과{을 줘": (1, "not closed"),
    "<number 1-3": (1, "not closed"),
    '"가': (1, "not closed"),
    "사과{짱} 줘": (1, "no particle"),
    "hmmxq 줘": (1, "no rule reads"),
    "안녕\n!!!": (2, "cannot be spoken"),
    "ㅋㅋ": (1, "cannot be spoken|no rule reads"),
    "<number 9-1>": (1, "smaller number first"),
    "<number 1-999999>": (1, "at most"),
    "<number 1-9 french>": (1, "none of"),
    "<digits 0-4>": (1, "how many digits"),
    "<digits 4-99>": (1, "how many digits"),
    "<nonsense>": (1, "not understood"),
    "<file x.txt>": (1, "load the grammar from a file"),
    "<ABC = abc xyzq>": (1, "no reading"),
    "가 @ 0": (1, "weight"),
    "가 @ 3 나": (1, "weight"),
    "$ = 가": (1, r"\$ without a name"),
    "(" * 60 + "가" + ")" * 60: (1, "brackets hold brackets"),
}  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_text_is_refused_with_its_line(text: str) -> None:
    line, message = MALFORMED[text]
    with pytest.raises(DataError, match=rf"line {line}: .*({message})"):
        parse_grammar(text)


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "\ufeff"])
def test_an_empty_grammar_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="no phrase"):
        parse_grammar(text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "g.txt"
    path.write_bytes("안녕\n".encode() + "날씨".encode("cp949"))
    with pytest.raises(DataError, match="line 2: not UTF-8"):
        load_grammar(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_grammar(tmp_path / "none.txt")
    with pytest.raises(DataError, match="cannot be read"):
        load_grammar(tmp_path)
    with path.open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(DataError, match="larger than"):
        load_grammar(path)


@pytest.mark.parametrize("name", ["../out.txt", "/etc/hostname", "link.txt", "none.txt", "a\0b"])
def test_lists_stay_below_the_grammar(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "out.txt").write_text("가\n", encoding="utf-8")
    (folder / "link.txt").symlink_to(tmp_path / "out.txt")
    path = folder / "g.txt"
    path.write_text(f"안녕\n<file {name}>", encoding="utf-8")
    with pytest.raises(DataError, match=r"line 2: .*(beside|no file name)"):
        load_grammar(path)


def test_damaged_lists_tell_their_line(tmp_path: Path) -> None:
    path = tmp_path / "g.txt"
    path.write_text("<file l.txt>", encoding="utf-8")
    for text, message in (("가\n나\t?", "line 2"), ("가\nhmmxq", "line 2"), ("# 없음", "nothing")):
        (tmp_path / "l.txt").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=rf"line 1: .*l\.txt.*{message}"):
            load_grammar(path)
