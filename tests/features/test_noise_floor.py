"""The noise floor and the level it is measured against: pauses do not count, however long."""

from __future__ import annotations

import numpy as np
import pytest

from asr.features.loudness import frame_powers, ratio, speech_power, widened
from asr.features.noise_floor import add_noise


def tone(seconds: float) -> np.ndarray:
    time = np.arange(int(16_000 * seconds)) / 16_000
    return (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def test_frame_powers_are_mean_squares_of_whole_frames() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 2000).astype(np.float32)
    powers = frame_powers(sound, 400, 160)
    direct = [np.mean(sound[at : at + 400].astype(np.float64) ** 2) for at in range(0, 1601, 160)]
    assert powers == pytest.approx(direct)
    assert len(frame_powers(sound[:399], 400, 160)) == 0


@pytest.mark.parametrize("silence", (0.0, 1.0, 28.0))
def test_the_level_is_that_of_the_speech(silence: float) -> None:
    sound = np.concatenate([np.zeros(int(16_000 * silence), np.float32), tone(1.0)])
    power = speech_power(frame_powers(sound, 400, 160))
    assert power == pytest.approx(0.045, rel=0.02)


def test_silence_has_no_level() -> None:
    assert speech_power(frame_powers(np.zeros(16_000, np.float32), 400, 160)) == 0.0
    assert speech_power(np.zeros(0)) == 0.0


def test_noise_has_the_power_asked_for_and_is_white() -> None:
    sound = tone(3.0)
    noise = (add_noise(sound, 0.045 * ratio(60.0)) - sound).astype(np.float64)
    assert 10 * np.log10(np.mean(noise**2) / 0.045) == pytest.approx(-60.0, abs=0.2)
    noise = add_noise(np.zeros(16_000, np.float32), 1.0)
    bands = (np.abs(np.fft.rfft(noise))[:8000] ** 2).reshape(8, 1000).mean(axis=1)
    assert bands.max() < 1.3 * bands.min()


def test_noise_is_always_the_same() -> None:
    sound = tone(0.8)
    assert np.array_equal(add_noise(sound, 1e-6), add_noise(sound.copy(), 1e-6))
    assert np.array_equal(add_noise(sound, 0.0), sound)
    assert add_noise(np.zeros(0, np.float32), 1.0).shape == (0,)


def test_widened_keeps_what_is_near() -> None:
    mask = np.zeros(10, bool)
    mask[4] = True
    assert np.flatnonzero(widened(mask, 2)).tolist() == [2, 3, 4, 5, 6]
    assert not widened(np.zeros(10, bool), 3).any()
    assert len(widened(np.zeros(0, bool), 3)) == 0
