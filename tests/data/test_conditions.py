"""Copies of speech in rooms, noise and babble: what is drawn, and that it is drawn again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from asr.data.conditions import Conditions, ConditionsConfig
from asr.errors import AudioError, UsageError
from asr.sound_variants import AS_RECORDED, SoundVariants

NOTHING = ConditionsConfig(copies=1, rooms=0, noise=0, babble=0, telephone=0)


@dataclass(frozen=True)
class Tone:
    id: str
    speaker: str
    hertz: float

    def samples(self, sample_rate: int) -> np.ndarray:
        if not self.hertz:
            raise AudioError("it is damaged")
        times = np.arange(2 * sample_rate) / sample_rate
        return np.sin(2 * np.pi * self.hertz * times).astype(np.float32)


SPEECH = [Tone("a", "one", 500.0), Tone("b", "one", 700.0), Tone("c", "two", 1500.0),
          Tone("d", "three", 0.0)]  # fmt: skip


def power_at(samples: np.ndarray, hertz: float) -> float:
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    place = round(hertz * len(samples) / 16_000)
    return float(spectrum[place - 2 : place + 3].sum() / spectrum.sum())


def test_a_copy_depends_on_its_name_and_number_alone() -> None:
    config = ConditionsConfig(copies=2)
    sound = SPEECH[0].samples(16_000) * 0.5
    whole = list(SoundVariants((1.0, 0.9), Conditions(config, SPEECH))("x", "", sound, 16_000))
    again = Conditions(config, SPEECH)
    for _ in range(2):  # whatever was drawn before
        found = list(SoundVariants((1.0, 0.9), again)("x", "", sound, 16_000))
        assert [v.name for v in found] == ["1", "0.9", "noisy1", "noisy2"]
        for one, other in zip(found, whole, strict=True):
            np.testing.assert_array_equal(one.heard, other.heard)
            np.testing.assert_array_equal(one.played, other.played)
    heard = [variant.heard for variant in whole]
    assert np.array_equal(heard[0], sound)
    assert not np.array_equal(heard[2][:1000], heard[3][:1000])
    other = next(iter(SoundVariants((1.0,), again, plain=False)("y", "", sound, 16_000)))
    assert not np.array_equal(other.heard[:1000], heard[2][:1000])
    changed = Conditions(replace(config, seed=1), SPEECH)
    with_seed = list(SoundVariants((1.0, 0.9), changed)("x", "", sound, 16_000))
    assert not np.array_equal(with_seed[2].heard[:1000], heard[2][:1000])


def test_every_sound_keeps_its_length_and_range() -> None:
    conditions = Conditions(ConditionsConfig(copies=8), SPEECH)
    sound = SPEECH[2].samples(16_000) * 0.95
    for variant in SoundVariants((1.0, 1.1), conditions)("x", "", sound, 16_000):
        assert variant.heard.dtype == np.float32
        assert len(variant.heard) == len(variant.played)
        assert 0.1 < np.abs(variant.heard).max() <= 1.0


def test_each_condition_does_what_it_says() -> None:
    sound = SPEECH[0].samples(16_000) * 0.5
    rng = np.random.Generator(np.random.PCG64(1))

    def heard(**changes: float) -> np.ndarray:
        config = replace(NOTHING, **changes, snr=(10.0, 10.0))  # type: ignore[arg-type]
        return Conditions(config, SPEECH)(sound, rng, "one")

    np.testing.assert_array_equal(heard(), sound)
    noisy = heard(noise=1.0)
    assert power_at(noisy, 500.0) == pytest.approx(1 / 1.1, abs=0.03)
    babble = heard(babble=1.0)  # of others than the speaker
    assert power_at(babble, 1500.0) == pytest.approx(0.1 / 1.1, abs=0.01)
    assert power_at(babble, 700.0) < 1e-4
    high = Conditions(replace(NOTHING, telephone=1.0), SPEECH)(SPEECH[2].samples(16_000), rng)
    assert power_at(high, 1500.0) > 0.9  # within the band; 8 bits make some noise
    tone = Tone("e", "", 5000.0).samples(16_000)
    assert np.mean(Conditions(replace(NOTHING, telephone=1.0), SPEECH)(tone, rng) ** 2) < 0.005
    room = heard(rooms=1.0)
    assert not np.allclose(room, sound, atol=0.05)
    assert np.mean(room**2) == pytest.approx(np.mean(sound**2), rel=0.05)


def test_babble_of_nobody_else_is_noise() -> None:
    conditions = Conditions(replace(NOTHING, babble=1.0), SPEECH[:2])
    sound = SPEECH[0].samples(16_000) * 0.5
    heard = conditions(sound, np.random.Generator(np.random.PCG64(1)), "one")
    assert not np.array_equal(heard, sound)
    assert power_at(heard, 700.0) < 0.01


def test_what_makes_no_sense_is_refused() -> None:
    for options in ({"rooms": 1.5}, {"noise": 0.6, "babble": 0.6}, {"copies": -1}, {"voices": 0},
                    {"talkers": (0, 3)}, {"snr": (9.0, 3.0)}, {"seed": -1}):  # fmt: skip
        with pytest.raises(UsageError):
            ConditionsConfig(**options)  # type: ignore[arg-type]
    conditions = Conditions(ConditionsConfig(copies=1), SPEECH)
    with pytest.raises(UsageError, match="8000 Hz"):
        list(SoundVariants((1.0,), conditions)("x", "", np.zeros(8000, np.float32), 8000))
    none = SoundVariants((1.0,), Conditions(ConditionsConfig(), SPEECH))
    for variants in (AS_RECORDED, none):  # nothing is made at another rate
        assert [v.name for v in variants("x", "", np.ones(9, np.float32), 8000)] == ["1"]
