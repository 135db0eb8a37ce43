"""Error rates against jiwer used directly and kaldialign; spacing counts by hand."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import jiwer
import kaldialign
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import DataError
from asr.score import read_pairs, read_text_table, score, score_files

REFS = ["오늘 날씨가 정말 좋네요", "삼십 분 뒤에 만나요", "케이비에스 뉴스입니다"]
HYPS = ["오늘날씨가 정말 좋내요", "", "케이 비에스 누스 입니다 네"]


def _bare(texts: list[str]) -> list[str]:
    return [text.replace(" ", "") for text in texts]


def test_rates_equal_jiwers() -> None:
    report = score(REFS, HYPS)
    assert report.cer.rate == pytest.approx(jiwer.cer(_bare(REFS), _bare(HYPS)))
    assert report.cer_with_spaces.rate == pytest.approx(jiwer.cer(REFS, HYPS))
    assert report.wer.rate == pytest.approx(jiwer.wer(REFS, HYPS))
    refs, hyps = ([unicodedata.normalize("NFD", t) for t in _bare(s)] for s in (REFS, HYPS))
    assert report.jamo.rate == pytest.approx(jiwer.cer(refs, hyps))
    assert report.cer.tokens == sum(map(len, _bare(REFS)))
    assert report.utterances == 3


texts = st.lists(st.text("가나다각 ", max_size=12), min_size=1, max_size=5)


@settings(derandomize=True, deadline=None)
@given(texts, st.integers(0, 99))
def test_edits_equal_kaldialigns(references: list[str], seed: int) -> None:
    shuffle = random.Random(seed)
    references = ["가", *references]
    hypotheses = ["".join(shuffle.sample(text, len(text))) for text in references]
    report = score(references, hypotheses)
    sides = [[" ".join(text.split()) for text in side] for side in (references, hypotheses)]
    for counts, tokenize in (
        (report.cer, lambda text: list(text.replace(" ", ""))),
        (report.cer_with_spaces, list),
        (report.wer, str.split),
    ):
        edits = sum(
            kaldialign.edit_distance(tokenize(ref), tokenize(hyp))["total"]
            for ref, hyp in zip(*sides, strict=True)
        )
        assert counts.edits == edits


@pytest.mark.parametrize(
    ("ref", "hyp", "agreed", "missing", "extra", "places"),
    [
        ("가 나다 라", "가 나다 라", 2, 0, 0, 3),
        ("가 나다 라", "가나 다 라", 1, 1, 1, 3),
        ("가 나다 라", "가 너다라", 0, 1, 0, 1),  # beside the wrong 너 nothing is judged
        ("가 나다", "가 마 나다", 0, 0, 0, 1),  # nor beside the added 마
        ("가나", "", 0, 0, 0, 0),
    ],
)
def test_spacing(ref: str, hyp: str, agreed: int, missing: int, extra: int, places: int) -> None:
    spacing = score([ref], [hyp]).spacing
    assert (spacing.agreed, spacing.missing, spacing.extra) == (agreed, missing, extra)
    assert spacing.places == places


def test_spacing_f1() -> None:
    spacing = score(["가 나 다라마"], ["가 나다 라마"]).spacing
    assert spacing.precision == spacing.recall == spacing.f1 == 0.5


def test_both_sides_are_normalised() -> None:
    report = score(["칠년, 동안!"], [unicodedata.normalize("NFD", "[칠]년  동안")])
    assert report.cer.edits == report.wer.edits == 0
    assert report.spacing.f1 == 1.0


def test_report_forms() -> None:
    report = score(["가나 다"], ["가나 라"])
    as_dict = report.as_dict()
    assert as_dict["cer"]["rate"] == pytest.approx(1 / 3)
    assert as_dict["cer"]["unit"] == "characters without spaces"
    assert "NFC" in as_dict["normalisation"]
    lines = report.as_table().splitlines()
    assert lines[0].split()[:3] == ["CER", "33.33%", "1/3"]
    assert [line.split("  ")[0].strip() for line in lines[:5]] == [
        "CER", "CER with spaces", "eojeol WER", "jamo error rate", "spacing F1",
    ]  # fmt: skip


def test_lengths_must_agree_and_references_must_hold_text() -> None:
    with pytest.raises(DataError, match="2 references but 1 hypotheses"):
        score(["가", "나"], ["가"])
    with pytest.raises(DataError, match="no Hangul"):
        score(["...", ""], ["가", "나"])


def _write(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def test_tables_are_matched_by_id(tmp_path: Path) -> None:
    ref = _write(tmp_path, "ref", "\ufeffu1 가 나\nu2 다\r\n\nu3\n")
    hyp = _write(tmp_path, "hyp", "u3\nu2 다\nu1 가 라\n")
    table = read_text_table(ref)
    assert table.has_ids
    assert table.texts == {"u1": "가 나", "u2": "다", "u3": ""}
    assert score_files(ref, hyp).cer.edits == 1


def test_names_of_sounds_match_those_without_their_suffix(tmp_path: Path) -> None:
    """As in the table of the shipped samples, and what `asr transcribe` prints of them."""
    ref = _write(tmp_path, "ref", "a.flac 가\nb.1 나\n")
    hyp = _write(tmp_path, "hyp", "a 가\nb.1 나\n")
    assert score_files(ref, hyp).cer.edits == 0
    same = _write(tmp_path, "same", "a.flac 가\nb.1 다\n")
    pairs, others = read_pairs(ref, hyp), read_pairs(ref, same)  # which can be compared
    assert pairs.names == others.names == ["a.flac", "b.1"] and others.hypotheses == ["가", "다"]
    two = _write(tmp_path, "two", "a.flac 가\na.wav 나\n")  # which would be one
    with pytest.raises(DataError, match="differ in 4 ids"):
        score_files(two, hyp)


def test_plain_lines_are_matched_by_number(tmp_path: Path) -> None:
    ref = _write(tmp_path, "ref", "가 나\nTV 보자\n다\n")
    hyp = _write(tmp_path, "hyp", "가 나\n\n다 라")
    table = read_text_table(hyp)
    assert not table.has_ids
    assert table.texts == {"1": "가 나", "2": "", "3": "다 라"}
    assert score_files(ref, hyp).wer.edits == 3


@pytest.mark.parametrize(
    ("ref", "hyp", "message"),
    [
        ("u1 가\nu2 나\n", "u1 가\nu3 나\n", "differ in 2 ids .first: u2, which only .*ref"),
        ("가\n나\n", "가\n", r"differ in 1 line number \(first"),
        ("u1 가\n", "가\n", "hyp has no utterance ids"),
        ("가\n", "u1 가\n", "ref has no utterance ids"),
        ("u1 가\nu1 나\n", "u1 가\n", "id 'u1' twice"),
        ("u1 가\n", b"u1 \xea\xb0\x80\nu2 \xff\n", "hyp line 2 is not UTF-8"),
        ("\n", "u1 가\n", "ref has no text"),
    ],
)
def test_bad_files(tmp_path: Path, ref: str, hyp: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        score_files(_write(tmp_path, "ref", ref), _write(tmp_path, "hyp", hyp))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_text_table(tmp_path / "nowhere")
