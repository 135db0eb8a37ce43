"""The written form in results: JSON, subtitles, the user's own words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.result import Result, Segment, Word
from asr.writers import WRITERS, get_writer
from asr.written_results import write_result

SAID = "내일 오후 세 시 반에 삼십 퍼센트가 온다"
WRITTEN = "내일 오후 3시 30분에 30%가 온다"


def result_of(text: str) -> Result:
    words = [Word(one, float(n), n + 0.5, 1 - n / 20) for n, one in enumerate(text.split())]
    return Result((Segment.from_words(words),), 20.0, source="talk.wav")


def test_both_forms_are_in_json_and_come_back() -> None:
    result = write_result(result_of(SAID))
    assert (result.text, result.written_text) == (SAID, WRITTEN)
    data = json.loads(get_writer("json").dumps(result))
    assert data["segments"][0]["text"] == SAID
    written = data["segments"][0]["written"]
    assert written["text"] == WRITTEN
    assert {"spoken": "세 시", "written": "3시", "first": 2, "end": 4} in written["tokens"]
    assert Result.from_dict(data) == result
    assert data["version"] == 1


def test_results_without_it_are_as_they_were() -> None:
    result = result_of(SAID)
    assert "written" not in result.to_dict()["segments"][0]
    assert result.written_text == SAID
    assert result.segments[0].written_words() == result.words


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("json", "ctm")])
def test_texts_and_subtitles_show_the_written_form(name: str) -> None:
    shown = get_writer(name).dumps(write_result(result_of(SAID)))
    assert "30분에" in shown and "30%가" in shown and "퍼센트" not in shown


def test_ctm_has_the_words_that_were_said() -> None:
    result = result_of(SAID)
    ctm = get_writer("ctm")
    assert ctm.dumps(write_result(result)) == ctm.dumps(result)


def test_words_written_together_have_their_times() -> None:
    words = write_result(result_of(SAID)).segments[0].written_words()
    hour = next(word for word in words if word.text == "3시")
    assert (hour.start, hour.end) == (2.0, 3.5)
    assert hour.confidence == pytest.approx(1 - 3 / 20)


def test_segments_without_words() -> None:
    segment = Segment("이천이십육년 유월", 0.0, 2.0)
    written = write_result(Result((segment, Segment("", 2.0, 3.0)), 3.0))
    assert written.written_text == "2026년 6월"
    assert [word.text for word in written.segments[0].written_words()] == ["2026년", "6월"]
    assert written.segments[1].written == ()


def test_words_of_the_user_stay() -> None:
    said = result_of("팔월 삼일 육이오에서 육이오까지")
    assert write_result(said).written_text == "8월 3일 6.25에서 6.25까지"
    assert write_result(said, keep=["육이오", "팔"]).written_text == "8월 3일 육이오에서 육이오까지"
    spaced = Result((Segment.from_words([Word("삼십 퍼센트", 0, 1), Word("이십명", 1, 2)]),), 2.0)
    assert write_result(spaced).written_text == "삼십 퍼센트 20명"


@given(st.lists(st.text(max_size=6), max_size=6))
def test_any_words_are_covered_once_and_in_order(texts: list[str]) -> None:
    words = tuple(Word(text, 0.0, 1.0) for text in texts)
    segment = write_result(Result((Segment(" ".join(texts), 0.0, 1.0, words),), 1.0)).segments[0]
    covered = [number for token in segment.written for number in range(token.first, token.end)]
    assert covered == list(range(len(segment.timed_words())))
    said = " ".join(word.text for word in segment.timed_words())
    assert " ".join(token.spoken for token in segment.written) == said
