"""Live recognition: scores in pieces, partial texts, and segments that end where speakers pause."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from asr import UsageError, load_audio
from asr.acoustic.front_end import SpectralFrontEnd
from asr.acoustic.live_network import LiveNetwork
from asr.acoustic.live_scorer import (
    ChunkScorer,
    Speaker,
    WindowConfig,
    WindowScorer,
    live_scorer,
)
from asr.acoustic.scorer import AcousticScorer
from asr.acoustic.tdnnf import Tdnnf, TdnnfConfig
from asr.data_files import shipped
from asr.decoder.search import Standing
from asr.features import MfccConfig
from asr.live import KALDI_RULES, EndpointRule, LiveConfig, _cut
from asr.result import Word

RATE = 16000


def sample(name: str) -> np.ndarray:
    return load_audio(shipped("samples") / f"{name}.flac", RATE).samples


def in_pieces(scorer, samples, size):
    rows = [scorer.accept(samples[i : i + size]) for i in range(0, len(samples), size)]
    return np.concatenate([*rows, scorer.finish()])


@pytest.fixture(scope="module")
def tdnnf() -> AcousticScorer:
    """A network of random weights that is told no i-vector, over sound with next to no noise."""
    torch.manual_seed(1)
    config = TdnnfConfig(
        13, 17, dim=32, bottleneck=8, strides=(1, 0, 3), prefinal=8, xent=False
    )
    network = Tdnnf(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    front_end = SpectralFrontEnd(MfccConfig(), noise_floor=200.0)
    return AcousticScorer(front_end, network, scale=0.7)


@pytest.mark.parametrize("size", [160, 1111, 5000, 10**6])
def test_chunks_give_the_scores_of_the_whole(tdnnf, size) -> None:
    samples = sample("human-digits-12345")
    scorer = live_scorer(LiveNetwork(tdnnf), Speaker(tdnnf))
    assert isinstance(scorer, ChunkScorer)
    np.testing.assert_allclose(
        in_pieces(scorer, samples, size), tdnnf.scores(samples), atol=2e-3
    )


def test_chunks_come_with_no_more_delay_than_the_context(tdnnf) -> None:
    scorer = ChunkScorer(LiveNetwork(tdnnf), Speaker(tdnnf))
    given = len(scorer.accept(sample("human-digits-12345")[:RATE]))
    behind = tdnnf.network.right_context * 0.01 + 0.025 + tdnnf.frame_seconds
    assert 1.0 - given * tdnnf.frame_seconds <= behind


def test_too_little_sound_gives_nothing(tdnnf) -> None:
    network = LiveNetwork(tdnnf)
    for scorer in (ChunkScorer(network, Speaker(tdnnf)), WindowScorer(network, WindowConfig())):
        assert in_pieces(scorer, np.zeros(100, np.float32), 50).shape == (0, 17)


def test_windows_that_hold_all_give_the_scores_of_the_whole(tdnnf) -> None:
    samples = sample("human-digits-12345")
    wide = WindowScorer(LiveNetwork(tdnnf), WindowConfig(left=60.0, right=1.0))
    np.testing.assert_allclose(in_pieces(wide, samples, 4000), tdnnf.scores(samples), atol=2e-3)
    narrow = WindowScorer(LiveNetwork(tdnnf), WindowConfig(left=0.5, right=0.3))
    rows = in_pieces(narrow, samples, 4000)
    assert len(rows) == len(tdnnf.scores(samples))
    with pytest.raises(UsageError, match="0 seconds or more"):
        WindowConfig(left=-1)


def test_kaldis_rules() -> None:
    def ended(silence: float, length: float, said: bool, cost: float) -> list[int]:
        standing = Standing(0, said, cost)
        return [
            number for number, rule in enumerate(KALDI_RULES, 1)
            if rule.holds(silence, length, standing)
        ]  # fmt: skip

    assert ended(0.4, 3.0, True, 0.0) == []
    assert ended(0.6, 3.0, True, 1.0) == [2]
    assert ended(0.6, 3.0, True, 5.0) == []
    assert ended(1.2, 3.0, True, 5.0) == [3]
    assert ended(2.5, 3.0, True, math.inf) == [4]
    assert ended(4.0, 4.0, False, 0.0) == []
    assert ended(5.5, 5.5, False, math.inf) == [1]
    assert ended(0.0, 21.0, True, 9.0) == [5]


def test_words_are_cut_by_characters() -> None:
    words = [Word("가나", 0, 1), Word("다라", 1, 2)]
    for count, texts in [(0, []), (1, ["가"]), (2, ["가나"]), (3, ["가나"]), (4, ["가나", "다"]),
                         (9, ["가나", "다라"])]:  # fmt: skip
        assert [word.text for word in _cut(words, count)] == texts


@pytest.fixture(scope="module")
def two_utterances() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    one, other = sample("human-digits-6789"), sample("human-digits-12345")
    quiet = np.random.Generator(np.random.PCG64(1)).normal(0, 2e-4, 2 * RATE).astype(np.float32)
    return one, quiet, other


@pytest.mark.parametrize("again", [True, False])
def test_a_pause_ends_a_segment(model, two_utterances, again) -> None:
    one, quiet, other = two_utterances
    stream = model.stream(live=LiveConfig(again=again))
    whole = np.concatenate([one, quiet, other])
    partials, ended_at = [], []
    for begin in range(0, len(whole), 1600):
        before = len(stream.segments)
        stream.accept(whole[begin : begin + 1600])
        if len(stream.segments) > before:
            ended_at.append((begin + 1600) / RATE)
        partials.append(stream.partial())
    assert stream.result().segments == stream.segments
    result = stream.finish()
    border = (len(one) + len(quiet) / 2) / RATE
    first = [segment for segment in result.segments if segment.end < border]
    second = [segment for segment in result.segments if segment.start > border]
    assert first and second and len(first) + len(second) == len(result.segments)
    assert ended_at[0] < border + 1.0  # while the pause lasted
    texts = [partial.text for partial in partials]
    assert any(texts) and not texts[0]
    assert all(0 <= p.start <= p.end <= result.duration for p in partials)
    for before, after in pairwise(result.words):
        assert before.end <= after.start + 0.05


def test_a_segment_recognised_again_is_as_accurate_as_a_file(model) -> None:
    samples = sample("human-digits-6789")
    rules = (replace(KALDI_RULES[0], silence=60.0),)  # none that cuts
    stream = model.stream(live=LiveConfig(rules=rules))
    for begin in range(0, len(samples), 1000):
        stream.accept(samples[begin : begin + 1000])
    whole = model.transcribe(samples, sample_rate=RATE)
    assert stream.finish() == whole


def test_what_is_said_behind_a_cut_is_told_once(model) -> None:
    samples = sample("human-digits-6789")
    rules = (EndpointRule(False, 0.0, math.inf, 2.0),)  # cuts in the midst of speech
    stream = model.stream(live=LiveConfig(again=False, rules=rules))
    for begin in range(0, len(samples), 1600):
        stream.accept(samples[begin : begin + 1600])
    first, *later = stream.finish().segments
    whole = model.transcribe(samples, sample_rate=RATE)
    assert later
    said_before = [word for word in whole.words if word.end <= later[0].start]
    assert sum(len(word.text) for word in first.words) <= 1 + sum(
        len(word.text) for word in said_before
    )
    assert first.end <= later[0].start


def test_a_syllable_at_the_very_end_is_heard(model) -> None:
    samples = sample("human-digits-6789")[: int(0.52 * RATE)]
    assert model.transcribe(samples, sample_rate=RATE).text
    stream = model.stream(live=True)
    stream.accept(samples)
    assert stream.finish().text


def test_speech_later_in_a_block_is_none_of_a_segment_before_it(model) -> None:
    noise = np.random.Generator(np.random.PCG64(2)).normal(0, 1e-4, 8 * RATE).astype(np.float32)
    block = np.concatenate([noise, sample("human-digits-6789")])
    stream = model.stream(live=True)
    heard = []
    ended = stream._source._ended
    stream._source._ended = lambda: heard.append(len(stream._source._voices._spoken)) or ended()
    stream.accept(block)
    assert heard[0] == 0 and heard[-1] > 0


def test_silence_gives_no_text_and_takes_no_memory(model) -> None:
    stream = model.stream(live=True)
    noise = np.random.Generator(np.random.PCG64(2)).normal(0, 1e-4, RATE).astype(np.float32)
    for _ in range(15):
        stream.accept(noise)
        assert len(stream._source._held) <= 7 * RATE
    result = stream.finish()
    assert result.text == "" and result.duration == 15.0
    assert stream.partial().text == ""


def test_nothing_is_searched_until_somebody_speaks(model) -> None:
    noise = np.random.Generator(np.random.PCG64(3)).normal(0, 2e-4, 8 * RATE).astype(np.float32)
    said = sample("human-digits-6789")
    stream = model.stream(live=True)
    stream.accept(noise)
    assert stream._source._search.frames == 0
    stream.accept(said)
    result = stream.finish()
    whole = model.transcribe(np.concatenate([noise[-2 * RATE :], said]), sample_rate=RATE)
    assert result.words[-1].text == whole.words[-1].text
    assert 8.0 <= result.words[0].start < 8.6


def test_misuse() -> None:
    for wrong in (0.0, 11.0, math.nan):
        with pytest.raises(UsageError, match="a live step"):
            LiveConfig(step=wrong)
    with pytest.raises(UsageError, match="agree over 1 step"):
        LiveConfig(agreement=0)


def test_a_stream_that_is_not_live_has_no_partials(model) -> None:
    stream = model.stream()
    stream.accept(sample("human-digits-6789"))
    assert stream.partial().text == ""


@pytest.mark.parametrize("seconds", [0.2, 0.6])
def test_a_noise_between_utterances_is_no_word(model, two_utterances, seconds) -> None:
    one, quiet, other = two_utterances
    noisy = quiet.copy()
    size = round(seconds * RATE)
    chance = np.random.Generator(np.random.PCG64(4))
    noisy[RATE : RATE + size] += chance.normal(0, 0.1, size).astype(np.float32)
    found = []
    for pause in (quiet, noisy):
        stream = model.stream(live=True)
        stream.accept(np.concatenate([one, pause, other]))
        found.append(stream.finish())
    assert found[1].text == found[0].text
    begin, end = len(one) / RATE + 0.3, (len(one) + len(quiet)) / RATE - 0.3
    assert not [word for word in found[1].words if begin < (word.start + word.end) / 2 < end]
