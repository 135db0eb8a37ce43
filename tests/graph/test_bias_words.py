"""Lists of user words: their files, readings, and how recognised words come out."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from asr.errors import DataError, UsageError
from asr.graph.bias_words import BiasWord, make_words, read_words_file, readings_of
from asr.graph.bias_written import WrittenForms, written_forms


@pytest.mark.parametrize(
    ("written", "readings"),
    [
        ("가산디지털단지역", ("가산디지털단지역",)),
        ("강남 역", ("강남 역",)),
        ("KBS", ("케이비에스",)),
        ("AI", ("에이아이",)),
        ("5G", ("파이브지", "오지")),
        ("CCTV", ("씨씨티브이", "씨씨티비", "시시티브이", "시시티비")),
        ("NATO", ("나토", "엔에이티오")),
        ("AT&T", ("에이티앤티",)),
        ("L.A.", ("엘에이",)),
        ("T맵", ("티맵",)),
        ("C++", ("씨플플",)),
        ("KBS 뉴스", ("케이비에스 뉴스",)),
        ("007", ("공공칠",)),
    ],
)
def test_readings(written: str, readings: tuple[str, ...]) -> None:
    assert readings_of(written) == readings


@pytest.mark.parametrize("written", ["Malsori", "日本", "ㅋㅋ", "+", "привет"])
def test_what_no_rule_reads_has_no_reading(written: str) -> None:
    assert readings_of(written) == ()
    with pytest.raises(UsageError, match=r"no reading; give one"):
        make_words([written])


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    lines = [
        "\ufeff# stations",
        "",
        unicodedata.normalize("NFD", "가산역"),
        "강남  역 ",
        "Malsori\t말소리/말 소리",
        "5G\t\t2.5",
        "서울숲\t-1\r",
    ]
    path.write_text("\n".join(lines), encoding="utf-8", newline="")
    assert read_words_file(path, boost=1.5) == (
        BiasWord("가산역", ("가산역",), 1.5),
        BiasWord("강남 역", ("강남 역",), 1.5),
        BiasWord("Malsori", ("말소리", "말 소리"), 1.5),
        BiasWord("5G", ("파이브지", "오지"), 2.5),
        BiasWord("서울숲", ("서울숲",), -1.0),
    )
    assert read_words_file(path)[0].boost is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"Malsori", "no reading"),
        (b"\tabc", "no reading"),
        ("가\tA".encode(), "'A', a reading of '가', is not Hangul"),
        ("가\t나\tx".encode(), "boost must be a number, not 'x'"),
        ("가\t나\t1\t2".encode(), "at most its readings and its boost"),
        ("가\t1e9".encode(), "not Hangul"),
        ("가\t100000".encode(), "from -100 to 100"),
        ("가".encode() * 65, "longer than 64 syllables"),
        ("가나".encode("cp949"), "not UTF-8"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes("하나\n둘\n".encode() + line + b"\n")
    with pytest.raises(DataError, match=message) as caught:
        read_words_file(path)
    assert "line 3" in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_words_file(tmp_path / "none.txt")


def test_make_words() -> None:
    own = BiasWord("말소리", ("말쏘리",), 3.0)
    assert make_words(["가나", own], boost=1.0) == (BiasWord("가나", ("가나",), 1.0), own)
    assert make_words([BiasWord("가나", ("가나",))], boost=1.0)[0].boost == 1.0
    with pytest.raises(UsageError, match="put it in a list"):
        make_words("가나")
    with pytest.raises(UsageError, match="from -100 to 100"):
        make_words(["가나"], boost=float("nan"))


def texts(words: list[BiasWord], recognised: str, **options: bool) -> list[tuple[str, int, int]]:
    spans = WrittenForms(words, **options).spans(recognised.split())
    return [(span.text, span.first, span.end) for span in spans]


KBS = BiasWord("KBS", ("케이비에스",))
NEWS = BiasWord("KBS 뉴스", ("케이비에스 뉴스",))
HALL = BiasWord("케이비에스홀", ("케이비에스홀",))
FIVE = BiasWord("5G", ("파이브지", "오지"))


@pytest.mark.parametrize(
    ("recognised", "expected"),
    [
        ("어제 케이비에스는 쉬었다", "어제 KBS는 쉬었다"),
        ("케이비에스", "KBS"),
        ("케이비에스홀에서", "케이비에스홀에서"),
        ("케이비에스 뉴스를 봤다", "KBS 뉴스를 봤다"),
        ("케이비에스 뉴", "KBS 뉴"),
        ("새케이비에스", "새케이비에스"),
        ("파이브지와 오지의 오지랖", "5G와 5G의 오지랖"),
        ("", ""),
    ],
)
def test_words_come_out_as_written(recognised: str, expected: str) -> None:
    spans = texts([KBS, NEWS, HALL, FIVE], recognised)
    assert [text for text, _, _ in spans] == expected.split()
    assert [span[1:] for span in spans] == [(i, i + 1) for i in range(len(spans))]


def test_other_spaces_merge_and_split() -> None:
    words = [BiasWord("강남역", ("강남 역",)), NEWS]
    assert texts(words, "저 강남 역에서 본다") == [
        ("저", 0, 1),
        ("강남역에서", 1, 3),
        ("본다", 3, 4),
    ]
    assert texts(words, "케이비에스뉴스는 본다") == [("KBS 뉴스는", 0, 1), ("본다", 1, 2)]
    assert texts(words, "케이비에스뉴스는", joined=False) == [("케이비에스뉴스는", 0, 1)]
    assert texts([BiasWord("강남 역", ("강남 역",))], "강남역은") == [("강남 역은", 0, 1)]


def test_anywhere() -> None:
    assert texts([KBS], "새케이비에스는 케이비에스", anywhere=True) == [
        ("새KBS는", 0, 1),
        ("KBS", 1, 2),
    ]


def test_nothing_changes_without_such_words() -> None:
    spans = written_forms(make_words(["서울역"]), ["서울역에", "간다"])
    assert [span.text for span in spans] == ["서울역에", "간다"]
