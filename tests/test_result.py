"""Results: text, words and the versioned JSON form."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import DataError
from asr.result import Result, Segment, Word

times = st.integers(0, 10_000_000).map(lambda ms: ms / 1000)
probabilities = st.none() | st.integers(0, 10_000).map(lambda n: n / 10_000)
texts = st.text(min_size=1, max_size=8)
words = st.builds(Word, texts, times, times, probabilities)
segments = st.builds(
    Segment, texts, times, times, st.lists(words, max_size=4).map(tuple), probabilities
)
results = st.builds(
    Result, st.lists(segments, max_size=3).map(tuple), times, texts, texts, texts
)


@given(results)
def test_json_round_trip(result):
    assert Result.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_text_and_words():
    first = Segment.from_words([Word("값이", 0.1, 0.4), Word("싸다", 0.5, 0.9)], 0.5)
    second = Segment.from_words([Word("네", 2.0, 2.2)])
    result = Result((first, second), 3.0)
    assert result.text == "값이 싸다 네"
    assert [word.text for word in result.words] == ["값이", "싸다", "네"]
    assert (first.start, first.end) == (0.1, 0.9)
    assert Result((), 1.0).text == "" and Result((), 1.0).words == ()


def test_numpy_numbers_become_json():
    word = Word("네", np.float32(0.1), np.float64(0.2), np.float32(0.5))  # type: ignore[arg-type]
    data = Result((Segment.from_words([word]),), np.float32(1.0)).to_dict()  # type: ignore[arg-type]
    assert json.loads(json.dumps(data))["segments"][0]["words"][0]["start"] == 0.1


def test_words_of_a_segment_without_words_share_its_time():
    segment = Segment("하나 둘셋", 1.0, 2.5)
    assert segment.timed_words() == (Word("하나", 1.0, 1.75), Word("둘셋", 1.75, 2.5))
    assert Segment("", 0.0, 1.0).timed_words() == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "not a malsori-result"),
        ({"version": 2}, "upgrade"),
        ({"version": None}, "upgrade"),
        ({"segments": [{}]}, "damaged"),
        ({"segments": None}, "damaged"),
    ],
)
def test_other_documents_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        Result.from_dict(Result((), 1.0).to_dict() | change)
