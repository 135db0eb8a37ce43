"""Scoring a batch of sounds gives what scoring each of them gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asr import Model
from asr.acoustic.batch_scorer import BatchScorer, _speech_powers
from asr.acoustic.scorer import AcousticScorer
from asr.audio import iter_blocks
from asr.data_files import shipped
from asr.features.loudness import speech_power

#: The one-by-one scorer rounds the i-vector's long sums to float32; this is how far that reaches.
ROUNDING = 1e-3


@pytest.fixture(scope="module")
def scorer(model: Model) -> AcousticScorer:
    return model.scorer


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    """Speech of several lengths, silence, clean speech with a long pause, and next to nothing."""
    paths = sorted(shipped("samples").glob("*.flac"))[:3]
    speech = [np.concatenate(list(iter_blocks(path, 16_000))) for path in paths]
    pause = np.concatenate([speech[0], np.zeros(60_000, np.float32), speech[1] * 0.1])
    empty = [np.zeros(size, np.float32) for size in (0, 399, 400, 20_000)]
    return [*speech, pause.astype(np.float32), *empty]


def test_equals_scoring_one_by_one(scorer: AcousticScorer, sounds: list[np.ndarray]) -> None:
    scores, lengths = BatchScorer(scorer).scores(sounds)
    for sound, found, length in zip(sounds, scores.numpy(), lengths.tolist(), strict=True):
        expected = scorer.scores(sound)
        assert length == len(expected)
        np.testing.assert_allclose(found[:length], expected, atol=ROUNDING, rtol=0)
        assert not found[length:].any()


def test_the_batch_changes_no_score(scorer: AcousticScorer, sounds: list[np.ndarray]) -> None:
    batched = BatchScorer(scorer)
    together, lengths = batched.scores(sounds)
    for number in (0, 3, 7):
        alone, _ = batched.scores([sounds[number]])
        found = together[number, : lengths[number]]
        torch.testing.assert_close(found, alone[0], atol=1e-4, rtol=0)


def test_speech_powers_are_those_of_each_sound() -> None:
    rng = np.random.default_rng(3)
    lengths = [400, 1, 37, 0, 250]
    powers = np.full((5, 400), -1.0)
    for row, length in zip(powers, lengths, strict=True):
        row[:length] = rng.lognormal(-8, 4, length)
    powers[4, :250] = 0.0  # silence
    found = _speech_powers(torch.from_numpy(powers), torch.tensor(lengths))
    expected = [speech_power(row[:length]) for row, length in zip(powers, lengths, strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_no_sounds(scorer: AcousticScorer) -> None:
    batched = BatchScorer(scorer)
    assert batched.scores([])[0].shape == (0, 0, scorer.num_pdfs)
    scores, lengths = batched.scores([np.zeros(10, np.float32)])
    assert scores.shape == (1, 0, scorer.num_pdfs)
    assert lengths.tolist() == [0]
