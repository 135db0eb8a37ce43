"""The detector of voices, and what it leaves out of recordings."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr import Model, UsageError, load, load_audio
from asr.data_files import shipped
from asr.errors import ModelError
from asr.segmenting import SegmentCutter, SegmentingConfig, SoundSegment
from asr.voice import FRAME, MOST_FRAMES, SAMPLE_RATE, VoiceConfig, VoiceStream, _session

RATE = SAMPLE_RATE
SPEECH = load_audio(shipped("samples") / "human-digits-12345.flac", RATE).samples
RANDOM = np.random.Generator(np.random.PCG64(5))


def noise(seconds: float, level: float = 0.02) -> np.ndarray:
    return RANDOM.normal(0, level, round(seconds * RATE)).astype(np.float32)


def chords(seconds: float) -> np.ndarray:
    """Four chords, each plucked: no music, but no voice either."""
    times = np.arange(round(seconds * RATE)) / RATE
    beat = times % 0.5
    roots = np.array([220.0, 174.6, 261.6, 196.0])[(times // 0.5).astype(int) % 4]
    tones = sum(np.sin(2 * np.pi * roots * ratio * beat) for ratio in (1, 1.25, 1.5, 2))
    return (0.1 * tones * np.exp(-4 * beat)).astype(np.float32)


def segments(sound: np.ndarray, size: int = 5000, **options: VoiceConfig) -> list[SoundSegment]:
    cutter = SegmentCutter(RATE, SegmentingConfig(**options))
    pieces = [sound[i : i + size] for i in range(0, len(sound), size)]
    return [*(s for piece in pieces for s in cutter.accept(piece)), *cutter.finish()]


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=6))
def test_pieces_are_heard_as_the_whole(sizes: list[int]) -> None:
    whole = VoiceStream().accept(SPEECH)
    stream, begin, turn, found = VoiceStream(), 0, 0, []
    while begin < len(SPEECH):
        size = sizes[turn % len(sizes)]
        found.append(stream.accept(SPEECH[begin : begin + size]))
        begin, turn = begin + size, turn + 1
    joined = np.concatenate(found)
    assert len(joined) == len(whole) == len(SPEECH) // FRAME
    np.testing.assert_allclose(joined, whole, atol=1e-4)


def test_an_hour_at_once_is_heard_in_pieces() -> None:
    sound = np.tile(SPEECH, 2 + 2 * MOST_FRAMES * FRAME // len(SPEECH))
    whole = VoiceStream()
    sizes = []

    class Session:
        def run(self, names, inputs):
            sizes.append(len(inputs["input"]))
            return _session().run(names, inputs)

    whole._session = Session()
    found = whole.accept(sound)
    assert len(found) == len(sound) // FRAME == sum(sizes) and max(sizes) == MOST_FRAMES
    stream = VoiceStream()
    small = [stream.accept(sound[i : i + 100_000]) for i in range(0, len(sound), 100_000)]
    np.testing.assert_allclose(found, np.concatenate(small), atol=1e-3)


def test_equals_the_packages_own_streaming_network() -> None:
    """The oracle: the package's frame-by-frame network, in its own wrapper's arithmetic."""
    import onnxruntime

    from asr.data_files import package_folder

    folder = package_folder("silero_vad", "data")
    assert folder is not None
    session = onnxruntime.InferenceSession(str(folder / "silero_vad.onnx"))
    state, context, wanted = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32), []
    for begin in range(0, len(SPEECH) - FRAME + 1, FRAME):
        frame = np.concatenate([context, SPEECH[None, begin : begin + FRAME]], axis=1)
        inputs = {"input": frame, "state": state, "sr": np.array(RATE, np.int64)}
        probability, state = session.run(None, inputs)
        wanted.append(float(probability[0, 0]))
        context = frame[:, -64:]
    np.testing.assert_allclose(VoiceStream().accept(SPEECH), wanted, atol=1e-3)


def test_what_nobody_speaks_in_is_left_out() -> None:
    gap = 8.0
    sound = np.concatenate([noise(gap), SPEECH, noise(gap), SPEECH, chords(gap)])
    found = segments(sound)
    assert len(found) == 2
    for segment, begin in zip(found, (gap, 2 * gap + len(SPEECH) / RATE), strict=True):
        assert segment.start - 0.2 <= begin <= segment.start + 1.0
        end = segment.start + len(segment.samples) / RATE
        assert abs(end - begin - len(SPEECH) / RATE) < 1.2
        at = round(segment.start * RATE)
        np.testing.assert_array_equal(sound[at : at + len(segment.samples)], segment.samples)
    without = segments(sound, voices=VoiceConfig(threshold=0.0))
    assert sum(len(s.samples) for s in without) == len(sound)


def test_segments_do_not_depend_on_how_the_sound_comes() -> None:
    sound = np.concatenate([SPEECH, noise(5), SPEECH, SPEECH, noise(1), *[SPEECH] * 12])
    wanted = segments(sound, len(sound))
    assert len(wanted) > 2 and all(len(s.samples) <= 30 * RATE for s in wanted)
    for size in (700, 16_000):
        found = segments(sound, size)
        assert [s.start for s in found] == [s.start for s in wanted]
        assert all(map(np.array_equal, (s.samples for s in found), (s.samples for s in wanted)))


def test_speech_without_a_long_pause_is_one_segment_and_whole() -> None:
    sound = np.concatenate([noise(1.0, 1e-3), SPEECH, noise(1.0, 1e-3), SPEECH, noise(0.5, 1e-3)])
    (segment,) = segments(sound)
    np.testing.assert_array_equal(segment.samples, sound)


def test_other_rates_are_cut_without_it() -> None:
    cutter = SegmentCutter(8000)
    assert [s.start for s in (*cutter.accept(noise(3)), *cutter.finish())] == [0.0]


@pytest.fixture(scope="module")
def model(korean_model) -> Model:
    return load(korean_model)


@pytest.mark.parametrize("live", [False, True])
def test_silence_noise_and_chords_give_no_text(model, live) -> None:
    sound = np.concatenate([np.zeros(5 * RATE, np.float32), noise(10), chords(20)])
    stream = model.stream(live=live)
    for begin in range(0, len(sound), RATE):
        stream.accept(sound[begin : begin + RATE])
    result = stream.finish()
    assert result.text == "" and result.duration == 35.0


def test_threads_give_the_same_segments_in_order(model) -> None:
    sound = np.concatenate([np.concatenate([SPEECH, noise(3, 1e-3)]) for _ in range(5)])
    wanted = model.transcribe(sound, sample_rate=RATE)
    assert len(wanted.segments) == 5
    with ThreadPoolExecutor(2) as threads:
        assert model.transcribe(sound, sample_rate=RATE, executor=threads) == wanted


def test_misuse(model, monkeypatch) -> None:
    with pytest.raises(UsageError, match="holds two pads"):
        SegmentingConfig(gap=0.5, pad=0.5)
    with pytest.raises(UsageError, match="a threshold below 1"):
        VoiceConfig(threshold=1.0)
    with pytest.raises(UsageError, match="leave out segmenting"):
        model.stream(live=True, segmenting=SegmentingConfig())
    assert "silero_vad" not in sys.modules  # it would change torch's threads
    _session.cache_clear()
    monkeypatch.setattr("asr.voice.package_folder", lambda *_: None)
    with pytest.raises(ModelError, match="pip install"):
        VoiceStream()
    _session.cache_clear()
