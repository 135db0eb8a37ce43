"""Writers: each format, its corner cases, and what other programs read back from it."""

import io
import itertools
import json
import os

import pytest
import srt
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import UsageError
from asr.result import Result, Segment, Word
from asr.subtitles import CueOptions
from asr.writers import WRITERS, SrtWriter, get_writer


def spoken(*words: tuple[str, float, float]) -> Segment:
    return Segment.from_words([Word(*word) for word in words])


@pytest.fixture
def result() -> Result:
    return Result(
        (
            Segment.from_words([Word("값이", 0.123, 0.4, 0.9), Word("<싸다>", 0.5, 0.9004, 0.25)]),
            spoken(("네", 3661.5, 3661.75)),
        ),
        duration=3700.0,
        model="ko-kaldi",
        source="some dir/my talk.flac",
    )


def test_txt(result):
    assert get_writer("txt").dumps(result) == "값이 <싸다>\n네\n"


def test_json_is_one_line(result):
    text = get_writer("json").dumps(result)
    assert text.count("\n") == 1 and "값이" in text
    assert Result.from_dict(json.loads(text)).text == result.text


def test_srt(result):
    assert get_writer("srt").dumps(result) == (
        "1\n00:00:00,123 --> 00:00:01,123\n값이 <싸다>\n\n"
        "2\n01:01:01,500 --> 01:01:02,500\n네\n\n"
    )


def test_vtt(result):
    assert get_writer("vtt").dumps(result) == (
        "WEBVTT\n\n00:00:00.123 --> 00:00:01.123\n값이 &lt;싸다&gt;\n\n"
        "01:01:01.500 --> 01:01:02.500\n네\n\n"
    )


def test_ctm(result):
    assert get_writer("ctm").dumps(result) == (
        "my_talk 1 0.12 0.28 값이 0.90\n"
        "my_talk 1 0.50 0.40 <싸다> 0.25\n"
        "my_talk 1 3661.50 0.25 네\n"
    )


def test_tsv(result):
    assert get_writer("tsv").dumps(result) == (
        "start\tend\ttext\n123\t900\t값이 <싸다>\n3661500\t3661750\t네\n"
    )


@pytest.mark.parametrize("name", WRITERS)
def test_empty_result(name):
    text = get_writer(name).dumps(Result((), 1.0))
    expected = {"txt": "", "srt": "", "vtt": "WEBVTT\n\n", "ctm": "", "tsv": "start\tend\ttext\n"}
    assert text == expected.get(name, text) and (name != "json" or json.loads(text)["text"] == "")


def test_unknown_format():
    with pytest.raises(UsageError, match="unknown format 'doc'"):
        get_writer("doc")


eojeol = st.text(alphabet="가나다라마", min_size=1, max_size=12)
steps = st.tuples(eojeol, st.integers(0, 3000), st.integers(0, 4000))


@given(st.lists(st.lists(steps, min_size=1, max_size=15), max_size=4))
def test_subtitles_keep_every_eojeol_whole_and_in_time(timeline):
    """Read back by the `srt` package: nothing lost, split, overlapping or overlong."""
    clock, segments = 0, []
    for steps in timeline:
        words = []
        for text, pause, length in steps:
            clock += pause
            words.append(Word(text, clock / 1000, (clock + length) / 1000))
            clock += length
        segments.append(Segment.from_words(words))
    result = Result(tuple(segments), clock / 1000)
    options = CueOptions()
    cues = list(srt.parse(SrtWriter(options).dumps(result)))
    assert " ".join(" ".join(cue.content.split("\n")) for cue in cues) == result.text
    assert [cue.index for cue in cues] == list(range(1, len(cues) + 1))
    for cue in cues:
        lines = cue.content.split("\n")
        assert len(lines) <= options.lines and cue.start < cue.end
        assert all(len(line) <= options.line_length or " " not in line for line in lines)
    for cue, following in itertools.pairwise(cues):
        assert cue.end <= following.start


def test_cues_break_at_silence_and_length():
    segment = spoken(("하나", 0.0, 1.0), ("둘", 1.2, 2.0), ("셋", 4.0, 4.5), ("넷", 12.0, 12.5))
    cues = SrtWriter().cues(Result((segment,), 13.0))
    assert [cue.lines for cue in cues] == [("하나 둘",), ("셋",), ("넷",)]
    narrow = SrtWriter(CueOptions(line_length=3, lines=1, seconds=60, gap=60))
    assert [cue.lines for cue in narrow.cues(Result((segment,), 13.0))] == [
        ("하나",), ("둘 셋",), ("넷",),
    ]


def test_short_cues_last_into_the_silence_but_not_into_the_next():
    segments = (spoken(("네", 1.0, 1.2)), spoken(("예", 1.7, 1.9)), spoken(("응", 5.0, 5.1)))
    cues = SrtWriter().cues(Result(segments, 5.5))
    assert [(cue.start, cue.end) for cue in cues] == [(1000, 1700), (1700, 2700), (5000, 5500)]


def test_no_word_is_left_alone_that_the_cue_before_can_join():
    words = [(text, n * 0.5, n * 0.5 + 0.4) for n, text in enumerate("가나다라마")]
    writer = SrtWriter(CueOptions(line_length=3, lines=2))
    lines = [cue.lines for cue in writer.cues(Result((spoken(*words),), 3.0))]
    assert lines == [("가", "나 다"), ("라 마",)]
    late = [*words[:4], ("마", 6.0, 6.4)]  # after a silence it stays alone
    lines = [cue.lines for cue in writer.cues(Result((spoken(*late),), 7.0))]
    assert lines == [("가 나", "다 라"), ("마",)]


def test_segment_without_words_still_becomes_subtitles_and_ctm():
    result = Result((Segment("하나 둘", 0.0, 3.0),), 3.0, source="a.wav")
    assert "하나 둘" in get_writer("srt").dumps(result)
    assert get_writer("ctm").dumps(result) == "a 1 0.00 2.00 하나\na 1 2.00 1.00 둘\n"


def test_save_replaces_whole_files_only(tmp_path, result, monkeypatch):
    path = tmp_path / "new" / "a.txt"
    writer = get_writer("txt")
    writer.save(result, path)
    assert path.read_text(encoding="utf-8") == writer.dumps(result)

    def failing_write(result: Result, file: io.TextIOBase) -> None:
        file.write("half")
        raise OSError("disk full")

    monkeypatch.setattr(writer, "write", failing_write)
    with pytest.raises(OSError, match="disk full"):
        writer.save(result, path)
    assert path.read_text(encoding="utf-8") == "값이 <싸다>\n네\n"
    assert os.listdir(path.parent) == ["a.txt"]
