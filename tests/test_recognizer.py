"""The recogniser as its users call it: files, arrays, streams, threads; real speech if there."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asr import AsrError, Model, load, load_audio
from asr.bundle import Manifest, open_bundle, write_bundle
from asr.data.corpora import load_split
from asr.data_files import shipped
from asr.decoder.config import DecoderConfig
from asr.errors import ModelError, UsageError
from asr.score import score

SPEECH = Path(__file__).parents[2] / "shared" / "speech"
SAMPLE = "synthetic-espeak-1.flac"


@pytest.fixture(scope="module")
def sample() -> Path:
    return shipped("samples") / SAMPLE



def test_what_fails_at_the_end_fails_every_time(model: Model) -> None:
    stream = model.stream()
    stream.accept(np.zeros(16_000, np.float32))

    def finish():
        raise ValueError("the first error")
        yield

    stream._source.finish = finish
    for _ in range(2):
        with pytest.raises(ValueError, match="the first error"):
            stream.finish()
    with pytest.raises(UsageError, match="finished"):
        stream.accept(np.zeros(1, np.float32))


def test_words_are_timed_and_make_up_the_text(model: Model, sample: Path) -> None:
    result = model.transcribe(sample)
    assert result.text.startswith("안녕하세요")  # a formant synthesiser's voice: the rest is poor
    assert result.text.split() == [word.text for word in result.words]
    edges = [edge for word in result.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[0] >= 0.0 and edges[-1] <= result.duration
    assert all(word.end > word.start for word in result.words)


def test_files_arrays_and_bytes_give_the_same(model: Model, sample: Path) -> None:
    audio = load_audio(sample, model.sample_rate)
    expected = model.transcribe(sample).text
    assert model.transcribe(sample.read_bytes()).text == expected
    assert model.transcribe(audio.samples, sample_rate=audio.sample_rate).text == expected


def test_a_stream_gives_what_the_whole_gives(model: Model, sample: Path) -> None:
    samples = load_audio(sample, model.sample_rate).samples
    stream = model.stream()
    for begin in range(0, len(samples), 1700):
        stream.accept(samples[begin : begin + 1700])
    result = stream.finish()
    assert result.words == model.transcribe(sample).words
    assert stream.finish() == result
    with pytest.raises(UsageError, match="finished"):
        stream.accept(samples)


def test_threads_share_a_model(model: Model, sample: Path) -> None:
    expected = model.transcribe(sample)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(model.transcribe, [sample] * 8))
    assert all(result.words == expected.words for result in results)


def test_silence_and_too_little_sound_give_no_text(model: Model) -> None:
    for samples in (np.zeros(48_000), np.zeros(160), np.zeros(0)):
        result = model.transcribe(samples.astype(np.float32), sample_rate=16_000)
        assert result.text == "" and result.words == ()


def test_long_sound_is_cut_and_times_go_on(model: Model, sample: Path) -> None:
    one = load_audio(sample, model.sample_rate).samples
    pause = np.zeros(16_000, np.float32)
    repeats = 9
    result = model.transcribe(np.concatenate([one, pause] * repeats), sample_rate=16_000)
    assert result.duration > 30.0
    assert len(result.segments) >= 2
    period = (len(one) + len(pause)) / 16_000
    starts = np.array([word.start for word in result.words])
    expected = result.words[0].start + period * np.arange(repeats)
    assert np.abs(starts[:, None] - expected).min(axis=0).max() < 0.15


def test_decoder_options_are_taken(model: Model, sample: Path) -> None:
    usual = model.transcribe(sample)
    heard_only = model.transcribe(sample, decoder=DecoderConfig(lm_scale=0.1))
    assert heard_only.text and heard_only.text != usual.text


def test_pauses_around_speech_change_little(model: Model, sample: Path) -> None:
    one = load_audio(sample, model.sample_rate).samples
    pause = np.zeros(12 * 16_000, np.float32)
    padded = model.transcribe(np.concatenate([pause, one, pause]), sample_rate=16_000)
    plain = model.transcribe(sample)
    assert score([plain.text], [padded.text]).cer.rate < 0.4
    assert padded.words[0].start > 11.5


def test_it_says_what_it_is(model: Model) -> None:
    assert repr(model).startswith("<asr.Model ko-kaldi: ko, 16000 Hz, ")


def test_senseless_calls_are_refused(model: Model, sample: Path) -> None:
    samples = np.zeros(1600, np.float32)
    with pytest.raises(UsageError, match="sample_rate=16000"):
        model.transcribe(samples)
    with pytest.raises(UsageError, match="for arrays"):
        model.transcribe(sample, sample_rate=16_000)
    with pytest.raises(UsageError, match="sample rate"):
        model.transcribe(samples, sample_rate=0)
    for wrong in (samples * np.nan, samples + 1000):
        with pytest.raises(AsrError):
            model.stream().accept(wrong.astype(np.float32))
    with pytest.raises(UsageError, match="float32"):
        model.stream().accept(np.zeros(1600))
    with pytest.raises(UsageError, match="frombuffer"):  # as Vosk's recogniser takes it
        model.stream().accept(bytes(3200))  # type: ignore[arg-type]
    with pytest.raises(AsrError, match="no such model"):
        load("nothing-of-that-name")
    with pytest.raises(UsageError, match="device"):
        load("ko", device="abacus")


def changed(korean_model: Path, folder: Path, edit: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of the model whose manifest was edited, with right checksums."""
    bundle = open_bundle(korean_model)
    fields = copy.deepcopy(asdict(bundle.manifest))
    edit(fields)
    write_bundle(folder, Manifest(**fields), {name: bundle.tensors(name) for name in bundle.files})
    return folder


@pytest.mark.parametrize(
    "edit",
    [
        lambda fields: fields.update(sample_rate=8000),
        lambda fields: fields["sections"].pop("lm"),
        lambda fields: fields["sections"].pop("decoder"),
        lambda fields: fields["sections"].update(decoder=[1]),
        lambda fields: fields["sections"]["decoder"].update(beam=-1),
        lambda fields: fields["sections"]["decoder"].update(nonsense=1),
        lambda fields: fields["sections"]["lm"].update(units=[1, 2]),
        lambda fields: fields["sections"]["features"].update(type="odd"),
    ],
)
def test_manifests_that_make_no_sense_are_refused(
    korean_model: Path, tmp_path: Path, edit: Callable[[dict[str, Any]], None]
) -> None:
    with pytest.raises(ModelError):
        load(changed(korean_model, tmp_path / "model", edit))


@pytest.mark.skipif(not (SPEECH / "splits.json").exists(), reason="needs ../shared/speech")
@pytest.mark.parametrize(("corpus", "most"), [("emotiontts", 0.22), ("pansori", 0.40)])
def test_recognises_real_speech(model: Model, corpus: str, most: float) -> None:
    utterances = load_split(SPEECH, corpus, "dev")[::4]
    texts = [model.transcribe(utterance.audio).text for utterance in utterances]
    report = score([utterance.transcript for utterance in utterances], texts)
    assert report.cer.rate < most, report.as_table()
