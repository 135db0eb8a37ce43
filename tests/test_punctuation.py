"""Marks behind eojeol: where they go, what pauses say, and that no word is changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data_files import shipped
from asr.errors import ModelError
from asr.punctuation import (
    BUCKETS,
    MARKS,
    MODEL,
    STOPS,
    PunctuationConfig,
    Punctuator,
    features,
    punctuate_segment,
    punctuated,
    punctuator,
)
from asr.result import Result, Segment, Word
from asr.written_results import write_segment


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("오늘은 날씨가 아주 맑습니다", "오늘은 날씨가 아주 맑습니다."),
        ("지금 몇 시입니까", "지금 몇 시입니까?"),
        ("내일 비가 올까", "내일 비가 올까?"),
        ("비가 옵니다 우산을 가져가세요", "비가 옵니다. 우산을 가져가세요."),
        ("어디로 갈까요 저는 산이 좋습니다", "어디로 갈까요? 저는 산이 좋습니다."),
        ("그 사람은 정말 좋은 사람이야", "그 사람은 정말 좋은 사람이야."),
        ("나도 어제 그 영화를 봤어", "나도 어제 그 영화를 봤어."),
        ("이건 내 거야", "이건 내 거야."),
        ("이게 뭐야", "이게 뭐야?"),
        ("너 어디야", "너 어디야?"),
        ("", ""),
    ],
)
def test_plain_sentences(text: str, wanted: str) -> None:
    assert punctuator().text(text) == wanted


def test_an_ending_that_says_nothing_needs_more_for_a_question() -> None:
    """Nothing but the word 먹었어 speaks for "?": who is there decides."""
    weights = np.zeros((BUCKETS, len(MARKS)))
    word = features(["먹었어"], 0, 0)[5]
    weights[word, 3] = 2.5
    marks = Punctuator(weights, PunctuationConfig(asked=2.0, speaker=1.0))
    assert marks.marks(["밥", "먹었어"]) == ["", "?"]
    assert marks.marks(["내가", "먹었어"])[-1] == "."
    assert marks.marks(["내가", "뭘", "먹었어"])[-1] == "?"


words = st.lists(st.text("가나다라마요까니", min_size=1, max_size=4), max_size=12)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(words)
def test_words_stay_and_the_end_is_a_stop(words: list[str]) -> None:
    marks = punctuator().marks(words)
    assert len(marks) == len(words) and set(marks) <= set(MARKS)
    assert not words or marks[-1] in STOPS
    text = punctuator().text(" ".join(words))
    assert "".join(c for c in text if c not in ",.?") == " ".join(words)


def said(*steps: tuple[str, float]) -> Segment:
    found, clock = [], 0.0
    for text, pause in steps:
        found.append(Word(text, clock, clock + 0.4, 0.9))
        clock += 0.4 + pause
    return Segment.from_words(found, 0.9)


def test_a_pause_makes_a_stop_likelier() -> None:
    rng = np.random.Generator(np.random.PCG64(1))
    model = Punctuator(rng.normal(0, 0.1, (BUCKETS, 4)).astype(np.float32), PunctuationConfig())
    texts = [[f"{a}{b}" for a in "가나다라" for b in "마바사"]]
    counts = [
        sum(bool(mark) for text in texts for mark in model.marks(text, [pause] * len(text)))
        for pause in (0.0, 0.25, 2.0)
    ]
    assert counts[0] < counts[1] < counts[2]
    assert model.marks(texts[0], [None] * 12) == model.marks(texts[0])


def test_results_keep_times_and_confidences() -> None:
    segment = said(("비가", 0.1), ("옵니다", 0.9), ("우산을", 0.05), ("가져가세요", 0.0))
    refused = Segment("", 5.0, 6.0, rejected=True)
    spoken = (Word("불", 7.0, 7.5), Word("켜", 7.5, 8.0))
    phrase = Segment("불 켜", 7.0, 8.0, spoken, slots={"a": "b"})
    result = punctuated(Result((segment, refused, phrase), 9.0))
    first, *others = result.segments
    assert first.text == "비가 옵니다. 우산을 가져가세요."
    assert [w.text for w in first.words] == first.text.split()
    assert [(w.start, w.confidence) for w in first.words] == [
        (w.start, w.confidence) for w in segment.words
    ]
    assert others == [refused, phrase]


def test_what_is_written_in_digits_has_marks_too() -> None:
    segment = write_segment(said(("삼십", 0.0), ("퍼센트입니다", 0.5), ("좋아요", 0.0)))
    done = punctuate_segment(segment, punctuator())
    assert done.written_text == "30%입니다. 좋아요." and done.text == "삼십 퍼센트입니다. 좋아요."


def test_a_question_is_seen_from_its_beginning_on() -> None:
    words = ["누가", "그런", "말을", "했어"]
    assert features(words, 3, 0) != features(words, 3, 1)


def test_damaged_weights(tmp_path) -> None:
    assert shipped(MODEL).stat().st_size < 300_000
    (tmp_path / "a.safetensors").write_bytes(b"x")
    with pytest.raises(ModelError, match="install malsori again"):
        Punctuator.load(tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="install malsori again"):
        Punctuator(np.zeros((3, 4), np.float32))
