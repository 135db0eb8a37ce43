"""Read any sound as mono float32 at the rate a model wants, whole or in blocks, or refuse it.

    >>> from asr.audio import from_array, load_audio
    >>> import io, numpy, soundfile
    >>> file = io.BytesIO()
    >>> soundfile.write(file, numpy.zeros((4410, 2)), 44100, format="WAV")
    >>> audio = load_audio(file.getvalue())
    >>> audio.samples.shape, audio.sample_rate, audio.channels
    ((1600,), 16000, 2)

The sound is decoded, averaged over its channels and resampled block by block (soxr, "HQ"), so a
file of hours costs the memory of its result, and `iter_blocks` not even that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from asr.errors import AudioError, UsageError
from asr.sound_file import MAX_CHANNELS, RawFormat, Sound, Source, open_sound

__all__ = ["Audio", "AudioInfo", "RawFormat", "Source", "audio_info", "from_array", "iter_blocks",
           "load_audio"]

SAMPLE_RATE = 16_000
"""Default rate in Hz: what speech models are trained on."""
MAX_DURATION = 24 * 3600.0
"""Seconds; longer sound is refused by `load_audio` (a day at 16 kHz takes 5.5 GB)."""
MAX_PEAK = 16.0
"""Float samples beyond this are not sound in [-1, 1] but, for instance, int16 values as floats."""


@dataclass(frozen=True)
class Audio:
    """Mono sound in memory."""

    samples: np.ndarray = field(repr=False)
    """Float32 [N], nominally within [-1, 1]."""
    sample_rate: int
    source: str = "<array>"
    """What it was read from, for messages."""
    original_rate: int = 0
    """Rate in Hz before resampling."""
    channels: int = 1
    """Channels before averaging."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.samples) / self.sample_rate


@dataclass(frozen=True)
class AudioInfo:
    """What a sound file says of itself."""

    source: str
    format: str
    sample_rate: int
    channels: int
    duration: float | None
    """Seconds; None where the container does not say."""


def load_audio(
    source: Source,
    sample_rate: int = SAMPLE_RATE,
    *,
    raw: RawFormat | None = None,
    max_duration: float = MAX_DURATION,
) -> Audio:
    """Read a path, bytes, binary file object or `-` (standard input) whole.

    `raw` is for headerless PCM, whose layout nothing in the data tells. Raises AudioError for
    sound that is missing, empty, damaged, not finite or longer than `max_duration` seconds.
    """
    with open_sound(source, raw) as sound:
        if sound.frames is not None:
            _check_duration(sound, sound.frames, max_duration)
        expected = int((sound.frames or 0) * sample_rate / sound.sample_rate) + 1
        samples = _collect(_mono_blocks(sound, sample_rate, max_duration), expected)
        return Audio(samples, sample_rate, sound.name, sound.sample_rate, sound.channels)


def iter_blocks(
    source: Source,
    sample_rate: int = SAMPLE_RATE,
    *,
    block_seconds: float = 30.0,
    raw: RawFormat | None = None,
) -> Iterator[np.ndarray]:
    """Yield the samples of `load_audio` in float32 blocks of `block_seconds`, the last shorter.

    Memory does not grow with the sound's length. An error is raised when its place is reached:
    the sound before a damage is yielded first.
    """
    size = round(block_seconds * sample_rate)
    if size < 1:
        raise UsageError(f"block_seconds must be at least one sample, not {block_seconds}")
    with open_sound(source, raw) as sound:
        waiting: list[np.ndarray] = []
        held = 0
        failure: AudioError | None = None
        blocks = _mono_blocks(sound, sample_rate, float("inf"))
        while True:
            try:
                block = next(blocks, None)
            except AudioError as error:
                failure = error
                break
            if block is None:
                break
            waiting.append(block)
            held += len(block)
            if held >= size:
                joined = np.concatenate(waiting)
                whole = held - held % size
                yield from joined[:whole].reshape(-1, size)
                waiting, held = [joined[whole:]], held - whole
        if held:
            yield np.concatenate(waiting)
        if failure is not None:
            raise failure


def audio_info(source: Source, *, raw: RawFormat | None = None) -> AudioInfo:
    """Read only the header. Raises AudioError as `load_audio` does."""
    with open_sound(source, raw) as sound:
        duration = None if sound.frames is None else sound.frames / sound.sample_rate
        return AudioInfo(sound.name, sound.format, sound.sample_rate, sound.channels, duration)


def from_array(samples: np.ndarray, rate: int, sample_rate: int = SAMPLE_RATE) -> Audio:
    """Take samples at `rate` Hz, [N] or [N, channels], float in [-1, 1] or signed integer.

    Raises AudioError for values that are not finite or far outside [-1, 1], UsageError for a shape
    or type that is not sound.
    """
    array = np.asarray(samples)
    if array.ndim not in (1, 2) or 0 in array.shape[1:]:
        raise UsageError(f"samples must be [N] or [N, channels], not of shape {array.shape}")
    if array.ndim == 2 and array.shape[1] > MAX_CHANNELS:
        raise UsageError(f"samples must be [N, channels], and {array.shape} would be"
                         f" {array.shape[1]} channels: transpose them")
    if array.dtype.kind == "i":
        array = array.astype(np.float32) / np.float32(-float(np.iinfo(array.dtype).min))
    elif array.dtype.kind == "f":
        array = array.astype(np.float32)
    else:
        raise UsageError(f"samples must be float or signed integer, not {array.dtype}")
    frames = array[:, None] if array.ndim == 1 else array
    sound = Sound("<array>", "array", rate, frames.shape[1], len(frames), iter([frames]))
    mono = _collect(_mono_blocks(sound, sample_rate, float("inf")), len(frames))
    return Audio(mono, sample_rate, sound.name, rate, sound.channels)


def check_samples(samples: np.ndarray) -> None:
    """Raise AudioError for float32 [N] samples that are not finite or far outside [-1, 1]."""
    sound = Sound("<stream>", "array", SAMPLE_RATE, 1, None, iter(()))
    _check_values(sound, samples[:, None], 0)


def _mono_blocks(sound: Sound, sample_rate: int, max_duration: float) -> Iterator[np.ndarray]:
    """Check, average and resample a sound's blocks: float32 [n] at `sample_rate`."""
    if sound.sample_rate == sample_rate:
        yield from _checked_mono(sound, max_duration)
        return
    import soxr

    stream = soxr.ResampleStream(sound.sample_rate, sample_rate, 1, dtype="float32", quality="HQ")
    for block in _checked_mono(sound, max_duration):
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


def _checked_mono(sound: Sound, max_duration: float) -> Iterator[np.ndarray]:
    done = 0
    for block in sound.blocks:
        _check_values(sound, block, done)
        done += len(block)
        _check_duration(sound, done, max_duration)
        yield block[:, 0] if sound.channels == 1 else block.mean(axis=1, dtype=np.float32)


def _check_values(sound: Sound, block: np.ndarray, start: int) -> None:
    peak = float(np.max(np.abs(block), initial=0.0))
    if peak <= MAX_PEAK:  # false for NaN too
        return
    bad = ~np.isfinite(block).all(axis=1)
    if bad.any():
        time = (start + int(bad.argmax())) / sound.sample_rate
        raise AudioError(f"{sound.name} holds a sample that is not a number (NaN or infinite) at"
                         f" {time:.3f} s: write it again from the source")
    raise AudioError(f"{sound.name} holds float samples of up to {peak:.0f} where sound lies within"
                     " [-1, 1]: divide them by their full scale (32768 for 16-bit values)")


def _check_duration(sound: Sound, frames: int, max_duration: float) -> None:
    seconds = frames / sound.sample_rate
    if seconds > max_duration:
        raise AudioError(f"{sound.name} is longer than {max_duration / 3600:g} h"
                         f" (at least {seconds / 3600:.1f} h): cut it into parts")


def _collect(blocks: Iterator[np.ndarray], expected: int) -> np.ndarray:
    """Join blocks without holding them twice; room for `expected` samples is allotted at first."""
    samples = np.empty(expected, np.float32)
    used = 0
    for block in blocks:
        if used + len(block) > len(samples):
            samples.resize(max(used + len(block), 2 * len(samples)), refcheck=False)
        samples[used : used + len(block)] = block
        used += len(block)
    samples.resize(used, refcheck=False)  # in place: no second copy of hours of sound
    return samples
