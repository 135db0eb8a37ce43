"""Rooms: speech as a microphone hears it from some way off, simulated by the image-source method.

Allen and Berkley 1979, "Image method for efficiently simulating small-room acoustics": in a box
each wall is a mirror, so the sound arrives from a lattice of mirror images of the speaker, each
weaker by its distance and by the walls that it was mirrored in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from asr.audio import SAMPLE_RATE
from asr.data.augment import Rng
from asr.errors import UsageError

SPEED_OF_SOUND = 343.0
"""Metres a second, in air of 20 degrees."""
SABINE = 24.0 * math.log(10.0) / SPEED_OF_SOUND
_TAPS = 81  # samples of the filter that places an echo between two of them
_FINE = 16
_HIGH_PASS = 50.0  # Hz, below every voice
_WALL_DISTANCE = 0.3
"""Metres that speaker and microphone keep from the walls, and from each other."""
MAX_IMAGES = 4_000_000


@dataclass(frozen=True, slots=True)
class Room:
    """A box of air: metres and seconds."""

    size: tuple[float, float, float]
    speaker: tuple[float, float, float]
    microphone: tuple[float, float, float]
    rt60: float
    """Seconds until the sound has died away by 60 dB."""

    def __post_init__(self) -> None:
        for name, point in (("speaker", self.speaker), ("microphone", self.microphone)):
            if not all(0 < x < side for x, side in zip(point, self.size, strict=True)):
                raise UsageError(f"the {name} at {point} is not in a room of {self.size} m")
        if not 0.0 <= self.rt60 <= 2.0:
            raise UsageError(f"an rt60 of {self.rt60} s is no room: use 0 to 2")
        if self.rt60 and self.absorption > 1.0:
            raise UsageError(
                f"a room of {self.size} m cannot die away within {self.rt60} s, even"
                " without walls: give a longer rt60 or a smaller room"
            )

    @property
    def absorption(self) -> float:
        """Share of the energy that a wall takes (Sabine's formula); all for an rt60 of 0."""
        if self.rt60 == 0.0:
            return 1.0
        x, y, z = self.size
        return SABINE * x * y * z / (2 * (x * y + y * z + z * x) * self.rt60)

    @property
    def distance(self) -> float:
        """Metres from speaker to microphone."""
        return math.dist(self.speaker, self.microphone)


def impulse_response(room: Room, sample_rate: int = SAMPLE_RATE) -> np.ndarray:
    """What the microphone hears of a click: float32 [N], over the room's rt60.

    The sound arrives after `distance / 343 m/s` with the strength 1 / (4 pi distance).

    Raises:
        UsageError: a room so small and lively that there are millions of echoes.
    """
    reach = max(room.rt60, room.distance / SPEED_OF_SOUND) * SPEED_OF_SOUND
    distances, walls = _images(room, reach)
    reflection = math.sqrt(max(0.0, 1.0 - room.absorption))
    strengths = reflection**walls / (4.0 * math.pi * np.maximum(distances, 1e-3))
    response = _placed(distances / SPEED_OF_SOUND * sample_rate, strengths)
    return _without_offset(response, sample_rate).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Reverberate:
    """Speech in a random room. It keeps its length, its power, and its place in time.

    Attributes:
        sample_rate: of the speech, in Hz.
        length, width, height: ranges of the room's sides in metres.
        rt60: range of seconds until the sound has died away by 60 dB.
        distance: range of metres from speaker to microphone, as far as the room allows.
    """

    sample_rate: int = SAMPLE_RATE
    length: tuple[float, float] = (3.0, 10.0)
    width: tuple[float, float] = (3.0, 8.0)
    height: tuple[float, float] = (2.4, 4.0)
    rt60: tuple[float, float] = (0.15, 0.6)
    distance: tuple[float, float] = (0.5, 4.0)

    def __post_init__(self) -> None:
        for name in ("length", "width", "height", "rt60", "distance"):
            low, high = getattr(self, name)
            if not 0.0 < low <= high:
                raise UsageError(f"{name} is a range above 0, not ({low}, {high})")
        if min(self.length[0], self.width[0], self.height[0]) < 4 * _WALL_DISTANCE:
            raise UsageError(f"a room's sides must measure {4 * _WALL_DISTANCE} m or more")

    def draw(self, rng: Rng) -> Room:
        """A room within the ranges."""
        size = np.array(
            [rng.uniform(*self.length), rng.uniform(*self.width), rng.uniform(*self.height)]
        )
        microphone = rng.uniform(_WALL_DISTANCE, size - _WALL_DISTANCE)
        speaker = _at_distance(microphone, size, rng.uniform(*self.distance), rng)
        x, y, z = size
        shortest = SABINE * x * y * z / (2 * (x * y + y * z + z * x))
        rt60 = max(float(rng.uniform(*self.rt60)), 1.01 * float(shortest))
        return Room(
            (x, y, z),
            (speaker[0], speaker[1], speaker[2]),
            (microphone[0], microphone[1], microphone[2]),
            rt60,
        )

    def __call__(self, samples: np.ndarray, rng: Rng) -> np.ndarray:
        """Float32 [N]."""
        return reverberated(samples, impulse_response(self.draw(rng), self.sample_rate))


def reverberated(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Samples as heard with an impulse response, its first arrival at time 0: float32 [N].

    Alignments of the dry speech stay true, and the mean power stays what it was.
    """
    if not len(samples) or not np.any(response):
        return samples
    size = 1 << (len(samples) + len(response) - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    delay = int(np.argmax(np.abs(response) > 0.5 * np.max(np.abs(response))))
    wet = wet[delay : delay + len(samples)]
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    heard = float(np.mean(np.square(wet)))
    return np.asarray(wet * math.sqrt(power / heard) if heard else wet, np.float32)


def _images(room: Room, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Distances of the speaker's images within `reach` metres, and how often each was mirrored."""
    axes = [
        _mirrored(*axis, reach)
        for axis in zip(room.size, room.speaker, room.microphone, strict=True)
    ]
    squares = [offsets**2 for offsets, _ in axes]
    count = math.prod(len(values) for values in squares)
    if count > MAX_IMAGES:
        raise UsageError(
            f"a room of {room.size} m with an rt60 of {room.rt60:g} s has too many"
            " echoes: give a shorter rt60 or a larger room"
        )
    total = squares[0][:, None, None] + squares[1][:, None] + squares[2]
    walls = axes[0][1][:, None, None] + axes[1][1][:, None] + axes[2][1]
    near = total <= reach**2 * (1 + 1e-9)
    return np.sqrt(total[near]), walls[near]


def _mirrored(
    side: float, speaker: float, microphone: float, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Along one axis: offsets of the images from the microphone, and mirrorings of each."""
    most = math.ceil(reach / (2 * side)) + 1
    n = np.arange(-most, most + 1)
    offsets = np.concatenate([2 * n * side + speaker, 2 * n * side - speaker]) - microphone
    walls = np.concatenate([np.abs(2 * n), np.abs(2 * n - 1)])
    near = np.abs(offsets) <= reach * (1 + 1e-9)
    return offsets[near], walls[near]


def _placed(times: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Impulses at times (in samples, between samples too) as a band-limited signal.

    They are put on a grid _FINE times as fine, each shared by its two neighbours, and low-passed:
    within 0.5% of a sinc for each, at a fraction of the time.
    """
    half = _TAPS // 2
    fine = times * _FINE
    below = np.floor(fine).astype(np.int64)
    count = (math.ceil(float(times.max())) + half + 1) * _FINE
    later = strengths * (fine - below)
    grid = np.bincount(below, strengths - later, count) + np.bincount(below + 1, later, count)
    taps = np.arange(-half * _FINE, half * _FINE + 1) / _FINE
    kernel = np.sinc(taps) * (0.5 + 0.5 * np.cos(np.pi * taps / (half + 1)))
    size = 1 << (count + len(kernel)).bit_length()
    spread = np.fft.irfft(np.fft.rfft(grid, size) * np.fft.rfft(kernel, size), size)
    return np.asarray(spread[half * _FINE :: _FINE][: count // _FINE])


def _without_offset(response: np.ndarray, sample_rate: int) -> np.ndarray:
    """Allen and Berkley's high-pass: mirror images all add up at 0 Hz, as no real walls do."""
    w = 2 * math.pi * _HIGH_PASS / sample_rate
    r = math.exp(-w)
    size = 1 << (2 * len(response)).bit_length()
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    transfer = (1 - (1 + r) * z + r * z**2) / (1 - 2 * r * math.cos(w) * z + r**2 * z**2)
    return np.asarray(np.fft.irfft(np.fft.rfft(response, size) * transfer, size)[: len(response)])


def _at_distance(origin: np.ndarray, size: np.ndarray, wanted: float, rng: Rng) -> np.ndarray:
    """A point inside at this distance, or as near to it as random tries come."""
    best, missed = None, math.inf
    for _ in range(50):
        direction = rng.standard_normal(3) * (1.0, 1.0, 0.3)  # people and microphones: same height
        point = origin + direction * wanted / max(1e-9, float(np.linalg.norm(direction)))
        point = np.clip(point, _WALL_DISTANCE, size - _WALL_DISTANCE)
        off = abs(float(np.linalg.norm(point - origin)) - wanted)
        if off < missed:
            best, missed = point, off
        if off < 1e-9:
            break
    assert best is not None
    return np.asarray(best)
