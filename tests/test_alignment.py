"""Alignments: written jamo on spoken sounds, eojeol on readings, and the files that are written."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.align_text import SpacingConfig, text_steps, written_words
from asr.alignment import AlignedWord, Alignment, Jamo, Syllable
from asr.alignment_writers import ALIGNMENT_WRITERS, get_alignment_writer
from asr.data_files import shipped
from asr.decoder.align import PhoneSpan, Role
from asr.errors import DataError, UsageError
from asr.hangul.jamo import CODAS, NUCLEI, ONSETS, SILENT_ONSET, decompose
from asr.hangul.junction import SURFACE_CODAS
from asr.hangul.phones import CODA_PHONES, NUCLEUS_PHONES, ONSET_PHONES
from asr.hangul.pronunciation import pronounce
from asr.hangul.realisation import coda_letters
from asr.jamo_times import Clock, jamo_times, syllable_times

SPEECH = Path(__file__).parents[2] / "shared" / "speech"


def spans_of(text: str) -> Iterator[PhoneSpan]:
    """The text as the pronunciation rules say it, two frames a phone."""
    begin = 0
    said = pronounce(text)[0].hangul.replace(" ", "")
    for syllable, (onset, nucleus, coda) in enumerate(map(decompose, said)):
        surface = SURFACE_CODAS.index(CODAS[coda])
        for phone, role in (
            (ONSET_PHONES[onset], Role.ONSET),
            (NUCLEUS_PHONES[nucleus], Role.NUCLEUS),
            (CODA_PHONES[surface], Role.CODA),
        ):
            if phone:
                yield PhoneSpan(phone, role, syllable, syllable, begin, begin + 2, 0.0)
                begin += 2


def jamo_of(text: str) -> tuple[Jamo, ...]:
    return jamo_times(text.split(), list(spans_of(text)), Clock(0.03))


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("값이", "ㄱ ㅏ ㅂ ㅅ ㅣ"),
        ("국물", "ㄱ ㅜ ㄱ ㅁ ㅜ ㄹ"),
        ("좋다", "ㅈ ㅗ ㅎㄷ ㅏ"),
        ("않은", "ㅏ ㄴ ㅡ ㄴ"),
        ("옷이", "ㅗ ㅅ ㅣ"),
        ("같이", "ㄱ ㅏ ㅌ ㅣ"),
        ("많다", "ㅁ ㅏ ㄴ ㅎㄷ ㅏ"),
        ("입학", "ㅣ ㅂㅎ ㅏ ㄱ"),
        ("닭과", "ㄷ ㅏ ㄱ ㄱ ㅘ"),
        ("값", "ㄱ ㅏ ㅂ"),
        ("의사", "ㅢ ㅅ ㅏ"),
        ("옷 안", "ㅗ ㅅ ㅏ ㄴ"),
        ("강아지", "ㄱ ㅏ ㅇ ㅏ ㅈ ㅣ"),
    ],
)
def test_letters_have_the_times_of_their_sounds(text: str, letters: str) -> None:
    jamo = jamo_of(text)
    assert [part.text for part in jamo] == letters.split()
    assert [(part.start, part.end) for part in jamo] == [
        (pytest.approx(0.06 * k), pytest.approx(0.06 * (k + 1))) for k in range(len(jamo))
    ]


def test_a_moved_coda_is_timed_in_the_next_syllable() -> None:
    spans = list(spans_of("옷이"))
    jamo = jamo_times(["옷이"], spans, Clock(0.03, begin=1.0))
    assert [(part.text, part.phone, part.role, part.syllable) for part in jamo] == [
        ("ㅗ", "o", "nucleus", 0), ("ㅅ", "s", "onset", 1), ("ㅣ", "i", "nucleus", 1)]  # fmt: skip
    syllables = syllable_times(["옷이"], spans, Clock(0.03, begin=1.0))
    assert [(part.text, part.start, part.end) for part in syllables] == [
        ("옷", 1.0, 1.06), ("이", 1.06, 1.18)]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=6))
def test_jamo_are_the_written_letters_in_order(text: str) -> None:
    jamo = jamo_of(text)
    written: list[str] = []
    silent = 0
    for syllable in text:
        onset, nucleus, coda = decompose(syllable)
        written += [ONSETS[onset], NUCLEI[nucleus], *coda_letters(coda)]
        silent += onset == SILENT_ONSET
    left = iter(written)
    assert all(part.text and letter in left for part in jamo for letter in part.text)
    said = sum(len(part.text) for part in jamo)
    assert len(text) <= said <= len(written)
    assert [part.text for part in jamo if part.role == "nucleus"] == [
        NUCLEI[decompose(syllable)[1]] for syllable in text]  # fmt: skip


def test_a_clock_stops_at_the_end_of_the_sound() -> None:
    assert Clock(0.03, end=0.1).seconds(3) == 0.09
    assert Clock(0.03, end=0.1).seconds(4) == 0.1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("나는 간다.", [("나는", "나는"), ("간다", "간다")]),
        ("7년 전", [("7년", "칠년"), ("전", "전")]),
        ("'KBS는' 봤어?", [("KBS는", "케이비에스는"), ("봤어", "봤어")]),
        ("음 ㅋㅋ 그래", [("음", "음"), ("그래", "그래")]),
        ("3시 30분", [("3시", "세시"), ("30분", "삼십분")]),
        ("- 네 -", [("네", "네")]),
    ],
)
def test_written_words_and_their_readings(text: str, words: list[tuple[str, str]]) -> None:
    assert [(word.text, " ".join(word.spoken)) for word in written_words(text)] == words


def test_readings_across_spaces_keep_all_words() -> None:
    """Where a reading depends on the next eojeol, those eojeol are one."""
    text = "오후 3 시 에 010-1234-5678 로 2 , 3 명이 (A4 용지) 전화했다"
    words = written_words(text)
    spoken = [eojeol for word in words for eojeol in word.spoken]
    assert spoken[0] == "오후" and spoken[-1] == "전화했다"
    assert words[0].text == "오후" and words[-1].text == "전화했다"
    joined = "".join(spoken)
    assert "공일공" in joined and "에이포" in joined


def test_tells_of_what_is_not_read(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        words = written_words("그는 ㅂㅈㄷ 갔다 😀")
    assert [word.text for word in words] == ["그는", "갔다"]
    assert "ㅂㅈㄷ" in caplog.text


@pytest.mark.parametrize("text", ["", " \n", ":) ...", "😀"])
def test_a_text_without_words_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="nothing that can be read"):
        written_words(text)


UNITS = {unit: number for number, unit in enumerate(
    ["<unk>", "<s>", "</s>", "▁나", "나", "는", "▁는", "▁간", "간다", "다"])}  # fmt: skip


def test_steps_are_all_spellings() -> None:
    steps = text_steps(["나는", "간다"], UNITS, SpacingConfig(joined_cost=2.0, split_cost=3.0))
    assert {(step.source, step.target, step.unit, step.cost) for step in steps} == {
        (0, 1, UNITS["▁나"], 0.0),
        (1, 2, UNITS["는"], 0.0),
        (1, 2, UNITS["▁는"], 3.0),
        (2, 3, UNITS["▁간"], 0.0),
        (2, 4, UNITS["간다"], 2.0),
        (3, 4, UNITS["다"], 0.0),
    }


def test_unknown_syllables_are_named() -> None:
    with pytest.raises(DataError, match="no unit for 쀍, 뷁:"):
        text_steps(["나쀍는뷁쀍"], UNITS)
    with pytest.raises(DataError, match="no unit for 는:"):
        text_steps(["는다"], {unit: number for unit, number in UNITS.items() if unit != "▁는"})
    with pytest.raises(UsageError):
        SpacingConfig(joined_cost=float("nan"))


@pytest.fixture
def alignment() -> Alignment:
    return Alignment(
        words=(AlignedWord('"7"년', "칠년", 0.12, 0.6, -0.25, True),
               AlignedWord("3 시", "세시", 0.72, 1.02, -2.5, False)),
        syllables=(Syllable("칠", 0, 0.12, 0.33), Syllable("년", 0, 0.33, 0.6),
                   Syllable("세", 1, 0.72, 0.84), Syllable("시", 1, 0.84, 1.02)),
        jamo=(Jamo("ㅊ", "ch", "onset", 0, 0.12, 0.18), Jamo("ㅣ", "i", "nucleus", 0, 0.18, 0.27),
              Jamo("ㄹ", "l2", "coda", 0, 0.27, 0.33), Jamo("ㄴ", "l", "onset", 1, 0.33, 0.39),
              Jamo("ㅕ", "yeo", "nucleus", 1, 0.39, 0.51), Jamo("ㄴ", "n2", "coda", 1, 0.51, 0.6),
              Jamo("ㅅ", "s", "onset", 2, 0.72, 0.78), Jamo("ㅔ", "e", "nucleus", 2, 0.78, 0.84),
              Jamo("ㅅ", "s", "onset", 3, 0.84, 0.9), Jamo("ㅣ", "i", "nucleus", 3, 0.9, 1.02)),
        duration=1.023456, score=-0.7, source="a b/c d.wav", model="ko",
    )  # fmt: skip


def test_praat_reads_the_textgrid(alignment: Alignment, tmp_path: Path) -> None:
    """The oracle is Praat itself."""
    parselmouth = pytest.importorskip("parselmouth")
    get_alignment_writer("textgrid").save(alignment, tmp_path / "a.TextGrid")
    grid = parselmouth.read(str(tmp_path / "a.TextGrid"))
    call = parselmouth.praat.call
    assert call(grid, "Get end time") == pytest.approx(1.023456, abs=1e-5)
    assert [call(grid, "Get tier name", tier) for tier in (1, 2, 3)] == [
        "eojeol", "syllable", "jamo"]  # fmt: skip
    for tier, level in enumerate(("eojeol", "syllable", "jamo"), start=1):
        count = call(grid, "Get number of intervals", tier)
        rows = [
            (call(grid, "Get label of interval", tier, k),
             call(grid, "Get start time of interval", tier, k),
             call(grid, "Get end time of interval", tier, k))
            for k in range(1, count + 1)
        ]  # fmt: skip
        assert rows[0][1] == 0.0
        assert all(a[2] == b[1] for a, b in pairwise(rows))
        assert [row for row in rows if row[0]] == [
            (part.text, pytest.approx(part.start), pytest.approx(part.end))
            for part in alignment.intervals(level)
        ]


def test_ctm_of_each_level(alignment: Alignment) -> None:
    lines = get_alignment_writer("ctm").dumps(alignment).splitlines()
    assert lines == ['c_d 1 0.120 0.480 "7"년 0.78', "c_d 1 0.720 0.300 3_시 0.08"]
    jamo = get_alignment_writer("ctm", "jamo").dumps(alignment).splitlines()
    assert jamo[2] == "c_d 1 0.270 0.060 ㄹ" and len(jamo) == 10
    assert len(get_alignment_writer("ctm", "syllable").dumps(alignment).splitlines()) == 4


def test_json_holds_everything(alignment: Alignment) -> None:
    text = get_alignment_writer("json").dumps(alignment)
    assert text.count("\n") == 1 and "칠년" in text
    data = json.loads(text)
    assert data == alignment.to_dict()
    assert (data["format"], data["version"]) == ("malsori-alignment", 1)
    assert data["spoken"] == "칠년 세시"
    assert data["words"][1]["plausible"] is False
    assert data["jamo"][3] == {
        "text": "ㄴ", "phone": "l", "role": "onset", "syllable": 1, "start": 0.33, "end": 0.39
    }  # fmt: skip


def test_files_appear_whole_or_not_at_all(
    alignment: Alignment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ALIGNMENT_WRITERS:
        writer = get_alignment_writer(name)
        target = tmp_path / f"a.{writer.extension}"
        target.write_text("old")
        monkeypatch.setattr(Alignment, "intervals", lambda *_: 1 / 0)
        monkeypatch.setattr(Alignment, "to_dict", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            writer.save(alignment, target)
        monkeypatch.undo()
        assert target.read_text() == "old"
        writer.save(alignment, target)
        assert target.read_text(encoding="utf-8") == writer.dumps(alignment)
    assert len(list(tmp_path.iterdir())) == 3


def test_unknown_formats_and_levels_are_refused(alignment: Alignment) -> None:
    with pytest.raises(UsageError, match="textgrid"):
        get_alignment_writer("doc")
    with pytest.raises(UsageError, match="eojeol"):
        get_alignment_writer("ctm", "phoneme")
    with pytest.raises(UsageError, match="eojeol"):
        alignment.intervals("phoneme")


def test_draws_with_hangul_and_without(alignment: Alignment, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from asr import plot

    samples = np.random.default_rng(0).normal(0, 0.1, 16375).astype(np.float32)
    font = plot.hangul_font()
    figure = plot.draw_alignment(alignment, samples, 16_000, None)
    texts = [text.get_text() for text in figure.axes[2].texts]
    assert texts[:3] == ["ch", "i", "l2"] and texts[-2:] == ["chillyeon", "sesi"]
    if font is not None:
        figure = plot.draw_alignment(alignment, samples, 16_000, font)
        texts = [text.get_text() for text in figure.axes[2].texts]
        assert texts[:3] == ["ㅊ", "ㅣ", "ㄹ"] and texts[-1] == "3 시"
    for name, magic in (("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")):
        plot.plot_alignment(alignment, samples, 16_000, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(magic)
    with pytest.raises(UsageError, match="png"):
        plot.plot_alignment(alignment, samples, 16_000, tmp_path / "a.bmp")


def test_the_spectrogram_shows_a_tone_where_it_is() -> None:
    pytest.importorskip("matplotlib")
    from asr.plot import spectrogram

    time = np.arange(16_000) / 16_000
    tone = np.where(time < 0.5, 0.0, np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    levels, hop = spectrogram(tone, 16_000)
    frame = round(0.75 / hop)
    assert levels[:, frame].argmax() * 8000 / (len(levels) - 1) == pytest.approx(1000, abs=20)
    assert levels[:, round(0.25 / hop)].max() == -70.0


@pytest.fixture(scope="module")
def aligner(korean_model: Path):
    from asr.aligning import load_aligner

    return load_aligner(korean_model)


def test_aligns_a_shipped_sample(aligner) -> None:
    sample = shipped("samples") / "human-digits-6789.flac"
    right = aligner.align(sample, "여섯 일곱 여덟, 아홉.")
    assert right.plausible
    assert [word.text for word in right.words] == ["여섯", "일곱", "여덟", "아홉"]
    assert all(word.plausible for word in right.words)
    times = [time for word in right.words for time in (word.start, word.end)]
    assert times == sorted(times) and times[-1] <= right.duration
    assert all(time / 0.03 == pytest.approx(round(time / 0.03)) for time in times[:-1])
    assert right.jamo[0].start == right.syllables[0].start == right.words[0].start
    wrong = aligner.align(sample, "6 7 8 9")  # these are native numerals, so read 육 칠 팔 구
    assert wrong.spoken == "육 칠 팔 구"
    assert not wrong.plausible and wrong.score < right.score - 1.0
    with pytest.raises(DataError, match="longer than what was said"):
        aligner.align(sample, "안녕하세요 " * 100)


@pytest.mark.skipif(not (SPEECH / "splits.json").exists(), reason="needs ../shared/speech")
def test_joining_sounds_shifts_their_times(aligner) -> None:
    from asr.audio import load_audio
    from asr.data import load_split

    first, second = load_split(SPEECH, "emotiontts", "dev")[:2]
    words = [written_words(one.transcript) for one in (first, second)]
    sounds = [load_audio(one.audio).samples for one in (first, second)]
    alone = [aligner.align_words(*pair) for pair in zip(sounds, words, strict=True)]
    pause = np.zeros(8000, np.float32)
    joined = aligner.align_words(
        np.concatenate([sounds[0], pause, sounds[1]]), [*words[0], *words[1]]
    )
    offset = (len(sounds[0]) + len(pause)) / 16_000
    expected = [(w.start, w.end) for w in alone[0].words]
    expected += [(w.start + offset, w.end + offset) for w in alone[1].words]
    found = [(w.start, w.end) for w in joined.words]
    assert np.abs(np.array(found) - np.array(expected)).max() <= 0.0601
