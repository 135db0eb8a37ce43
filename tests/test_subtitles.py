"""Where Korean subtitles are cut, how long they stay, and the formats that tell word times."""

from __future__ import annotations

import re

import pytest

from asr.errors import UsageError
from asr.result import Result, Segment, Word
from asr.subtitles import CueOptions, cues, tie
from asr.writers import get_writer


def said(text: str, begin: float = 0.0, pace: float = 0.16, **pauses: float) -> Segment:
    """A segment at ``pace`` seconds a syllable; ``pauses`` follow words of that name."""
    words, clock = [], begin
    for word in text.split():
        end = clock + pace * len(word)
        words.append(Word(word, clock, end))
        clock = end + pauses.get(word, 0.0)
    return Segment.from_words(words)


def lines_of(text: str, options: CueOptions | None = None, **pauses: float) -> list[list[str]]:
    segment = said(text, **pauses)
    return [list(c.lines) for c in cues(Result((segment,), segment.end), options or CueOptions())]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        # an adverb of negation stays with its verb, a number with its noun
        ("나는 그를 절대로 못 믿겠다고 말했다", ["나는 그를 절대로", "못 믿겠다고 말했다"]),
        ("어제 시장에서 사과를 모두 열 개를 샀다", ["어제 시장에서 사과를", "모두 열 개를 샀다"]),
        # a clause ends the line, not the word that happens to be in the middle
        ("비가 많이 오고 바람이 세게 불었습니다", ["비가 많이 오고", "바람이 세게 불었습니다"]),
        ("그렇게 하면 할 수 있을 것 같습니다", ["그렇게 하면", "할 수 있을 것 같습니다"]),
    ],
)
def test_lines_break_where_korean_may_be_broken(text, lines) -> None:
    assert lines_of(text, CueOptions(line_length=14)) == [lines]


def test_cues_end_with_sentences_and_pauses() -> None:
    text = "오늘은 여기까지 하겠습니다 다음 시간에는 문법을 조금 더 자세히 공부해 봅시다"
    first, second = lines_of(text, CueOptions(line_length=16), 하겠습니다=0.6)
    assert " ".join(first) == "오늘은 여기까지 하겠습니다" and " ".join(second).startswith("다음")


def test_ties() -> None:
    assert tie("안", "갔어요") == tie("우리의", "소원은") == tie("열 2", "개") == 1.5
    assert tie("할", "수") > tie("밥을", "먹었다") > tie("먹고", "갔다") > tie("갔다.", "나는")


def test_a_cue_stays_as_long_as_it_takes_to_read() -> None:
    fast = said("정말로 아주 빠르게 말해 버린 문장입니다", pace=0.05)
    late = said("네", begin=20.0)
    first, _ = cues(Result((fast, late), 25.0), CueOptions(reading_speed=8.0))
    characters = len("정말로아주빠르게말해버린문장입니다")
    assert first.end - first.start == round(1000 * characters / 8.0)
    soon = said("네", begin=fast.end + 0.2)
    first, second = cues(Result((fast, soon), 25.0), CueOptions(reading_speed=8.0))
    assert first.end == second.start


def test_word_times_rise_within_their_cue() -> None:
    result = Result((said("하나 둘 셋 넷 다섯 여섯 일곱 여덟 아홉 열 열하나 열둘"),), 9.0)
    text = get_writer("vtt", word_times=True).dumps(result)
    plain = get_writer("vtt").dumps(result)
    stamp = r"(\d\d):(\d\d):(\d\d)\.(\d{3})"
    assert re.sub(f"<{stamp}>", "", text) == plain
    for cue in text.split("\n\n")[1:]:
        times = [int(h) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000
                 for h, m, s, ms in re.findall(stamp, cue)]
        if not times:
            continue
        begin, end, *words = times
        assert words == sorted(set(words)) and all(begin < at < end for at in words)
    assert len(re.findall(f"<{stamp}>", text)) >= 9


def test_praat_reads_the_text_grid(tmp_path) -> None:
    parselmouth = pytest.importorskip("parselmouth", reason="the oracle: praat-parselmouth")
    result = Result((said("값이 \"싸다\""), said("네", begin=3.0)), 4.0)
    path = tmp_path / "a.TextGrid"
    get_writer("textgrid").save(result, path)
    grid = parselmouth.read(str(path))
    call = parselmouth.praat.call
    assert call(grid, "Get number of tiers") == 2
    names = [call(grid, "Get tier name...", number) for number in (1, 2)]
    assert names == ["segment", "eojeol"]
    count = call(grid, "Get number of intervals...", 2)
    texts = [call(grid, "Get label of interval...", 2, n + 1) for n in range(count)]
    assert [text for text in texts if text] == ["값이", '"싸다"', "네"]
    assert call(grid, "Get end time") == 4.0


def test_misuse() -> None:
    for wrong in ({"line_length": 0}, {"lines": 0}, {"seconds": 0}, {"gap": -1.0},
                  {"reading_speed": float("nan")}):  # fmt: skip
        with pytest.raises(UsageError, match="a subtitle"):
            CueOptions(**wrong)
