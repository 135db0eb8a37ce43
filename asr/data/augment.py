"""Speech as it is not in the corpus: faster, slower, louder, over a telephone, in noise.

Each kind is a frozen config that is called with samples and a generator, and returns new samples;
the same generator state gives the same result. Samples are float32 [N], nominally in [-1, 1];
results may exceed it a little, as float samples may.

    rng = np.random.default_rng(1)
    samples = SpeedPerturb()(samples, rng)
    samples = AddNoise(snr=(5, 15))(samples, rng)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.errors import UsageError

Rng = np.random.Generator


class Augmentation(Protocol):
    """What all kinds are: from samples float32 [N] to samples float32 [M]."""

    def __call__(self, samples: np.ndarray, rng: Rng) -> np.ndarray: ...


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play samples `factor` times as fast, pitch included (sox's `speed`): float32 [round(N / f)].

    Raises:
        UsageError: a factor that is not within 0.1 to 10.
    """
    import soxr

    if not 0.1 <= factor <= 10.0:
        raise UsageError(f"a speed of {factor} is not within 0.1 to 10: use 0.9 to 1.1")
    if factor == 1.0 or len(samples) == 0:
        return samples
    wanted = round(len(samples) / factor)
    # read as if recorded at factor x rate; the "HQ" filter is that of asr.audio
    out = soxr.resample(samples, factor * 10_000.0, 10_000.0, quality="HQ")
    out = np.asarray(out, np.float32)[:wanted]
    return np.pad(out, (0, wanted - len(out)))


@dataclass(frozen=True, slots=True)
class SpeedPerturb:
    """One of the speeds at random (Ko et al. 2015, "Audio augmentation for speech recognition")."""

    factors: tuple[float, ...] = (0.9, 1.0, 1.1)

    def __post_init__(self) -> None:
        if not self.factors or not all(0.5 <= factor <= 2.0 for factor in self.factors):
            raise UsageError(f"speeds must lie within 0.5 to 2, not {self.factors}")

    def __call__(self, samples: np.ndarray, rng: Rng) -> np.ndarray:
        """Float32 [round(N / factor)]."""
        return change_speed(samples, self.factors[int(rng.integers(len(self.factors)))])


@dataclass(frozen=True, slots=True)
class Gain:
    """Louder or softer by so many decibels (Kaldi's perturb_data_dir_volume.sh)."""

    decibels: tuple[float, float] = (-12.0, 6.0)

    def __post_init__(self) -> None:
        _check_range("decibels", self.decibels)

    def __call__(self, samples: np.ndarray, rng: Rng) -> np.ndarray:
        """Float32 [N]."""
        return np.asarray(samples * 10 ** (rng.uniform(*self.decibels) / 20), np.float32)


def add_at_snr(samples: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """Samples and noise, scaled so that their mean powers differ by `snr` dB: float32 [N].

    Args:
        samples: float32 [N].
        noise: float32 [N], not silent.
        snr: decibels.

    Raises:
        UsageError: lengths differ.
    """
    if samples.shape != noise.shape:
        raise UsageError(f"noise of {len(noise)} samples does not fit {len(samples)} of speech")
    if len(samples) == 0:
        return samples
    speech_power = float(np.mean(np.square(samples, dtype=np.float64)))
    noise_power = float(np.mean(np.square(noise, dtype=np.float64)))
    if speech_power == 0.0 or noise_power == 0.0:
        return samples
    scale = math.sqrt(speech_power / noise_power) * 10 ** (-snr / 20)
    return np.asarray(samples + scale * noise, np.float32)


@dataclass(frozen=True, slots=True)
class AddNoise:
    """Noise of a random colour at a random level.

    Attributes:
        snr: range of the ratio of speech to noise in decibels, drawn uniformly.
        colour: range of the exponent c of a spectrum 1 / f^c: 0 is white, 1 pink, 2 brown.
    """

    snr: tuple[float, float] = (5.0, 20.0)
    colour: tuple[float, float] = (0.0, 2.0)

    def __post_init__(self) -> None:
        _check_range("snr", self.snr)
        _check_range("colour", self.colour)

    def __call__(self, samples: np.ndarray, rng: Rng) -> np.ndarray:
        """Float32 [N]."""
        noise = coloured_noise(len(samples), float(rng.uniform(*self.colour)), rng)
        return add_at_snr(samples, noise, float(rng.uniform(*self.snr)))


@dataclass(frozen=True, slots=True)
class AddRecordedNoise:
    """A stretch of one of several recordings at a random level.

    Attributes:
        noises: recordings, float32 [M] each, at the rate of the speech (`asr.audio.load_audio`).
        snr: range of the ratio of speech to noise in decibels.
    """

    noises: Sequence[np.ndarray]
    snr: tuple[float, float] = (5.0, 20.0)

    def __post_init__(self) -> None:
        _check_range("snr", self.snr)
        if not self.noises or any(not np.any(noise) for noise in self.noises):
            raise UsageError("give recordings of noise, none empty or silent")

    def __call__(self, samples: np.ndarray, rng: Rng) -> np.ndarray:
        """Float32 [N]."""
        noise = stretch(self.noises[int(rng.integers(len(self.noises)))], len(samples), rng)
        return add_at_snr(samples, noise, float(rng.uniform(*self.snr)))


@dataclass(frozen=True, slots=True)
class Babble:
    """Several other people talking at once (as in Kaldi's MUSAN recipes).

    Attributes:
        voices: utterances of other speakers, float32 [M] each, at the rate of the speech.
        talkers: how many talk, from and to.
        snr: range of the ratio of speech to babble in decibels.
    """

    voices: Sequence[np.ndarray]
    talkers: tuple[int, int] = (3, 7)
    snr: tuple[float, float] = (13.0, 20.0)

    def __post_init__(self) -> None:
        _check_range("snr", self.snr)
        _check_range("talkers", self.talkers)
        if self.talkers[0] < 1 or not self.voices or any(not np.any(v) for v in self.voices):
            raise UsageError("babble needs voices that are not silent, and one talker or more")

    def __call__(self, samples: np.ndarray, rng: Rng) -> np.ndarray:
        """Float32 [N]."""
        if len(samples) == 0:
            return samples
        count = int(rng.integers(self.talkers[0], self.talkers[1] + 1))
        chosen = rng.choice(len(self.voices), count, replace=count > len(self.voices))
        noise = np.zeros(len(samples))
        for index in chosen:
            voice = stretch(self.voices[int(index)], len(samples), rng).astype(np.float64)
            power = float(np.mean(np.square(voice)))
            noise += voice / math.sqrt(power) if power else 0.0
        return add_at_snr(samples, noise.astype(np.float32), float(rng.uniform(*self.snr)))


@dataclass(frozen=True, slots=True)
class Telephone:
    """Speech as it comes from a telephone: 8 kHz, 300 to 3400 Hz, mu-law (ITU-T G.711, G.712).

    Attributes:
        sample_rate: of the speech, in Hz; kept.
        band: what passes, in Hz.
        companded: quantise to mu-law's 8 bits.
    """

    sample_rate: int = SAMPLE_RATE
    band: tuple[float, float] = (300.0, 3400.0)
    companded: bool = True

    def __post_init__(self) -> None:
        _check_range("band", self.band)
        if not (0 < self.band[0] < self.band[1] < _TELEPHONE_RATE / 2 <= self.sample_rate / 2):
            raise UsageError(f"a band of {self.band} Hz does not fit a telephone's 4 kHz")

    def __call__(self, samples: np.ndarray, rng: Rng) -> np.ndarray:
        """Float32 [N]."""
        import soxr

        if len(samples) == 0:
            return samples
        narrow = soxr.resample(samples, self.sample_rate, _TELEPHONE_RATE, quality="HQ")
        narrow = np.convolve(narrow, _band_pass(*self.band), mode="same")[: len(narrow)]
        if self.companded:
            narrow = _mu_law(narrow)
        wide = soxr.resample(
            narrow.astype(np.float32), _TELEPHONE_RATE, self.sample_rate, quality="HQ"
        )[: len(samples)]
        return np.pad(np.asarray(wide, np.float32), (0, len(samples) - len(wide)))


@dataclass(frozen=True, slots=True)
class Sometimes:
    """Another augmentation with some probability, else the samples as they are."""

    augmentation: Augmentation
    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise UsageError(f"a probability lies within 0 to 1, not at {self.probability}")

    def __call__(self, samples: np.ndarray, rng: Rng) -> np.ndarray:
        """As the augmentation."""
        return self.augmentation(samples, rng) if rng.random() < self.probability else samples


@dataclass(frozen=True, slots=True)
class Chain:
    """Augmentations one after the other."""

    augmentations: tuple[Augmentation, ...]

    def __call__(self, samples: np.ndarray, rng: Rng) -> np.ndarray:
        """As the last."""
        for augmentation in self.augmentations:
            samples = augmentation(samples, rng)
        return samples


def coloured_noise(count: int, exponent: float, rng: Rng) -> np.ndarray:
    """Gaussian noise with a power spectrum 1 / f^exponent and unit power: float32 [count]."""
    if count == 0:
        return np.zeros(0, np.float32)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    frequencies = np.arange(len(spectrum), dtype=np.float64)
    frequencies[0] = 1.0  # the offset, which 1 / f would make infinite
    noise = np.fft.irfft(spectrum * frequencies ** (-exponent / 2), count)
    power = float(np.mean(np.square(noise)))
    return np.asarray(noise / math.sqrt(power) if power else noise, np.float32)


def stretch(sound: np.ndarray, count: int, rng: Rng) -> np.ndarray:
    """`count` samples of a sound from a random place, from its start again where it ends."""
    start = int(rng.integers(len(sound)))
    return np.resize(np.roll(sound, -start) if count > len(sound) - start else sound[start:], count)


_TELEPHONE_RATE = 8000
_TAPS = 201  # a transition of 100 Hz at 8 kHz
_MU = 255.0


def _band_pass(low: float, high: float) -> np.ndarray:
    """Windowed-sinc filter, linear phase: [_TAPS]."""
    times = np.arange(_TAPS) - _TAPS // 2
    ideal = sum(
        sign * 2 * f / _TELEPHONE_RATE * np.sinc(2 * f / _TELEPHONE_RATE * times)
        for f, sign in ((high, 1.0), (low, -1.0))
    )
    return np.asarray(ideal * np.hamming(_TAPS))


def _mu_law(samples: np.ndarray) -> np.ndarray:
    """To 8 bits of mu-law and back."""
    clipped = np.clip(samples, -1.0, 1.0)
    code = np.sign(clipped) * np.log1p(_MU * np.abs(clipped)) / np.log1p(_MU)
    code = np.rint(code * 127.0) / 127.0
    return np.asarray(np.sign(code) * np.expm1(np.abs(code) * np.log1p(_MU)) / _MU)


def _check_range(name: str, limits: tuple[float, float]) -> None:
    if len(limits) != 2 or not limits[0] <= limits[1] or not all(map(math.isfinite, limits)):
        raise UsageError(f"{name} is a range, the lower number first, not {limits}")
