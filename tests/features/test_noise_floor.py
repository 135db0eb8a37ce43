"""The noise floor: as faint as asked for, always the same, and nothing under nothing."""

from __future__ import annotations

import numpy as np
import pytest

from asr.features.noise_floor import add_noise_floor, speech_level


def test_noise_lies_as_far_below_the_speech_as_asked() -> None:
    time = np.arange(48_000) / 16_000
    sound = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    noise = add_noise_floor(sound, 60.0) - sound
    assert speech_level(sound) == pytest.approx(0.3 / np.sqrt(2), rel=0.01)
    below = 20 * np.log10(np.sqrt(np.mean(noise.astype(np.float64) ** 2)) / speech_level(sound))
    assert below == pytest.approx(-60.0, abs=0.2)


def test_noise_is_white() -> None:
    sound = np.zeros(160_000, np.float32)
    sound[::400] = 1.0
    noise = add_noise_floor(sound, 40.0) - sound
    power = np.abs(np.fft.rfft(noise[:16_000])) ** 2
    bands = power[:8000].reshape(8, 1000).mean(axis=1)
    assert bands.max() < 1.3 * bands.min()


def test_speech_counts_not_the_pauses_around_it() -> None:
    burst = np.full(16_000, 0.1, np.float32)
    padded = np.concatenate([np.zeros(64_000, np.float32), burst])
    assert speech_level(padded) == pytest.approx(speech_level(burst), rel=1e-3)


def test_it_is_always_the_same_and_needs_something_to_lie_under() -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, 12_345).astype(np.float32)
    assert np.array_equal(add_noise_floor(sound, 50.0), add_noise_floor(sound.copy(), 50.0))
    assert not add_noise_floor(np.zeros(16_000, np.float32), 50.0).any()
    assert add_noise_floor(np.zeros(0, np.float32), 50.0).shape == (0,)
    assert add_noise_floor(np.ones(7, np.float32), 50.0).shape == (7,)
