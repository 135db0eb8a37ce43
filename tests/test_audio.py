"""Sound in: every format and shape is read at the right rate, and everything else is refused."""

import io
import logging
import os
import resource
import subprocess
import sys
import threading

import librosa
import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import RawFormat, audio_info, from_array, iter_blocks, load_audio
from asr.errors import AudioError, UsageError


def tone(seconds: float, rate: int, channels: int = 1, hertz: float = 440.0) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.5 * np.sin(2 * np.pi * hertz * time)
    return np.stack([wave] * channels, axis=1).astype(np.float32)


def encoded(samples: np.ndarray, rate: int, kind: str, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def main_frequency(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))


@pytest.mark.parametrize(
    ("kind", "subtype", "rate", "channels"),
    [
        ("WAV", "PCM_16", 16000, 1),
        ("WAV", "PCM_U8", 8000, 1),
        ("WAV", "PCM_24", 96000, 3),
        ("WAV", "PCM_32", 48000, 2),
        ("WAV", "FLOAT", 44100, 2),
        ("WAV", "DOUBLE", 22050, 1),
        ("WAV", "ULAW", 8000, 1),
        ("FLAC", "PCM_16", 44100, 2),
        ("FLAC", "PCM_24", 96000, 3),
        ("OGG", "VORBIS", 44100, 2),
        ("OGG", "OPUS", 48000, 1),
        ("MP3", "MPEG_LAYER_III", 44100, 2),
        ("AIFF", "PCM_16", 32000, 1),
    ],
)
def test_every_format_rate_and_channel_count(kind, subtype, rate, channels):
    audio = load_audio(encoded(tone(1.0, rate, channels), rate, kind, subtype))
    assert audio.sample_rate == 16000
    assert audio.samples.dtype == np.float32 and audio.samples.ndim == 1
    assert (audio.original_rate, audio.channels) == (rate, channels)
    assert audio.duration == pytest.approx(1.0, abs=0.06)  # lossy codecs pad
    assert main_frequency(audio.samples, 16000) == pytest.approx(440, abs=2)
    assert np.abs(audio.samples).max() == pytest.approx(0.5, abs=0.05)


def test_lossless_at_the_model_rate_is_bit_exact(tmp_path):
    path = tmp_path / "a.flac"
    integers = np.random.default_rng(0).integers(-32768, 32768, 50_000).astype(np.int16)
    soundfile.write(path, integers, 16000)
    np.testing.assert_array_equal(load_audio(path).samples, integers.astype(np.float32) / 32768)


def test_channels_are_averaged():
    stereo = np.stack([np.full(1600, 0.5), np.full(1600, -0.25)], axis=1)
    audio = load_audio(encoded(stereo, 16000, "WAV", "FLOAT"))
    np.testing.assert_allclose(audio.samples, 0.125)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_resampling_equals_soxr_and_librosa(rate):
    noise = np.random.default_rng(rate).normal(0, 0.1, 3 * rate).astype(np.float32)
    audio = load_audio(encoded(noise, rate, "WAV", "FLOAT"))
    whole = soxr.resample(noise, rate, 16000, quality="HQ")
    other = librosa.resample(noise, orig_sr=rate, target_sr=16000, res_type="soxr_hq")
    np.testing.assert_allclose(audio.samples, whole, atol=1e-5)
    np.testing.assert_allclose(audio.samples, other, atol=1e-5)


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    frames=st.integers(1, 40_000),
    rate=st.sampled_from([8000, 16000, 44100]),
    block_seconds=st.floats(0.001, 2.0),
)
def test_blocks_join_to_the_whole(frames, rate, block_seconds):
    data = encoded(np.random.default_rng(frames).normal(0, 0.1, frames), rate, "WAV", "FLOAT")
    blocks = list(iter_blocks(data, block_seconds=block_seconds))
    size = round(block_seconds * 16000)
    assert all(len(block) == size for block in blocks[:-1]) and len(blocks[-1]) <= size
    np.testing.assert_array_equal(np.concatenate(blocks), load_audio(data).samples)


def test_path_bytes_file_pipe_and_stdin_agree(tmp_path, monkeypatch):
    data = encoded(tone(0.3, 44100, 2), 44100, "WAV")
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    expected = load_audio(path).samples
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(data,))
    writer.start()
    from_pipe = load_audio(fifo)
    writer.join()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    for audio in [load_audio(str(path)), load_audio(data), load_audio(io.BytesIO(data)), from_pipe,
                  load_audio("-")]:
        np.testing.assert_array_equal(audio.samples, expected)
    with open(path, "rb") as file:
        assert load_audio(file).source == str(path)


@pytest.mark.parametrize("encoding", ["s16", "s24", "s32", "f32", "f64", "u8", "s8", "s16be",
                                      "f32be", "mulaw", "alaw"])
def test_raw_encodings(encoding):
    raw = RawFormat(8000, encoding, 2)
    file = io.BytesIO()
    samples = tone(0.5, 8000, 2)
    with soundfile.SoundFile(file, "w", 8000, 2, raw.subtype, raw.endian, "RAW") as sound:
        sound.write(samples)
    audio = load_audio(file.getvalue(), 8000, raw=raw)
    np.testing.assert_allclose(audio.samples, samples[:, 0], atol=0.02)


def test_raw_layout_is_never_guessed(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(tone(0.5, 8000).tobytes()[:-1])
    with pytest.raises(AudioError, match="raw format"):
        load_audio(path)
    path.with_suffix(".pcm").write_bytes(b"\xff\xff" * 8000)  # which begins as mp3 does
    with pytest.raises(AudioError, match="raw format"):
        load_audio(path.with_suffix(".pcm"))
    with pytest.raises(AudioError, match="whole number of 4-byte frames"):
        load_audio(path, raw=RawFormat(8000, "f32"))
    vox = tmp_path / "a.vox"  # an extension from which libsndfile would guess 8 kHz ADPCM
    vox.write_bytes(b"not sound at all " * 100)
    with pytest.raises(AudioError, match="not a sound file"):
        load_audio(vox)


def test_raw_format_text():
    assert RawFormat.parse("8000:mulaw") == RawFormat(8000, "mulaw", 1)
    assert RawFormat.parse("48000:s24:2").frame_bytes == 6
    for text in ["", "fast", "8000:mp3", "8000:s16:0", "1:s16", "8000:s16:1:1"]:
        with pytest.raises(UsageError):
            RawFormat.parse(text)


def bad_files() -> dict[str, tuple[bytes, str]]:
    """File name -> content and a word of the message."""
    wav = encoded(tone(1, 16000), 16000, "WAV")
    flac = encoded(np.random.default_rng(0).normal(0, 0.1, 160_000), 16000, "FLAC")
    flipped = bytearray(flac)
    flipped[len(flac) // 2] ^= 0xFF
    nan = tone(1, 16000)
    nan[8000] = np.nan
    infinite = tone(1, 44100, 2)
    infinite[441, 1] = -np.inf
    return {
        "empty.wav": (b"", "empty"),
        "header-only.wav": (wav[:44], "no samples"),
        "half-header.wav": (wav[:30], "header"),
        "truncated.flac": (flac[: len(flac) // 2], "cut short or damaged"),
        "stub.flac": (flac[:60], "header"),
        "flipped.flac": (bytes(flipped), "cut short or damaged"),
        "text.wav": ("이것은 소리가 아니다\n".encode() * 50, "not a sound file"),
        "one-byte.wav": (b"R", "not a sound file"),
        "nan.wav": (encoded(nan, 16000, "WAV", "FLOAT"), "0.500 s"),
        "infinite.wav": (encoded(infinite, 44100, "WAV", "FLOAT"), "0.010 s"),
        "unscaled.wav": (encoded(tone(1, 16000) * 32768, 16000, "WAV", "FLOAT"), "32768"),
        "slow.wav": (encoded(tone(10, 100), 100, "WAV"), "100 Hz"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_bad_files_are_refused_with_a_reason(name, tmp_path):
    content, word = bad_files()[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(AudioError, match=word) as caught:
        load_audio(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)
    if word in ("header", "cut short or damaged"):  # in our own words, not the library's
        assert str(caught.value).endswith("record or copy it again")
        assert "(" not in str(caught.value)
    with pytest.raises(AudioError):
        list(iter_blocks(path))


def test_sound_before_the_damage_is_given_in_blocks(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 100 * 16000).astype(np.float32)
    flac = encoded(noise, 16000, "FLAC")
    path = tmp_path / "cut.flac"
    path.write_bytes(flac[: len(flac) * 9 // 10])
    blocks = []
    with pytest.raises(AudioError, match=r"damaged after 8[89]\.\d s"):
        blocks.extend(iter_blocks(path, block_seconds=7.0))  # extend keeps what came before
    heard = np.concatenate(blocks)
    assert 88 * 16000 < len(heard) < 90.1 * 16000
    np.testing.assert_allclose(heard, noise[: len(heard)], atol=1e-4)


def test_missing_folder_and_text_mode(tmp_path):
    with pytest.raises(AudioError, match="no such file"):
        load_audio(tmp_path / "none.wav")
    with pytest.raises(AudioError, match="folder"):
        load_audio(tmp_path)
    with pytest.raises(UsageError, match="text mode"):
        load_audio(io.StringIO("sound"))
    with pytest.raises(UsageError, match="cannot read sound from a int"):
        load_audio(3)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.binary(max_size=300), st.sampled_from([b"", b"RIFF", b"fLaC", b"OggS", b"ID3\x03",
                                                 b"FORM", b"\xff\xfb\x90\x00"]))
def test_no_bytes_whatever_escape_as_another_error(tail, head):
    try:
        audio = load_audio(head + tail)
    except AudioError:
        return
    assert np.isfinite(audio.samples).all()


def test_very_short_sound_is_read():
    assert load_audio(encoded(tone(0.01, 16000), 16000, "WAV")).duration == pytest.approx(0.01)
    assert len(load_audio(encoded(np.zeros((1, 1)), 48000, "WAV")).samples) <= 1


def test_cut_wav_is_read_with_a_warning(tmp_path, caplog):
    path = tmp_path / "cut.wav"
    path.write_bytes(encoded(tone(1, 16000), 16000, "WAV")[:-16000])
    with caplog.at_level(logging.WARNING):
        assert load_audio(path).duration == pytest.approx(0.5)
    assert "cut short" in caplog.text


def test_duration_limit():
    data = encoded(tone(2, 8000), 8000, "WAV")
    with pytest.raises(AudioError, match="longer than"):
        load_audio(data, max_duration=1.0)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux's /proc")
def test_two_hours_of_silence_need_bounded_memory(tmp_path):
    path = tmp_path / "silence.flac"
    with soundfile.SoundFile(path, "w", 8000, 2) as file:
        minute = np.zeros((8000 * 60, 2), np.int16)
        for _ in range(120):
            file.write(minute)
    script = (  # VmHWM, not ru_maxrss: the latter starts from the parent's size
        "import re, sys; from asr.audio import iter_blocks, load_audio\n"
        "status = lambda: open('/proc/self/status').read()\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s*(\\d+)', status())[1]) // 1024\n"
        "assert sum(map(len, iter_blocks(sys.argv[1]))) == 7200 * 16000; print(peak())\n"
        "assert len(load_audio(sys.argv[1]).samples) == 7200 * 16000; print(peak())\n"
    )
    run = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    streamed, whole = map(int, run.stdout.split())
    assert streamed < 150  # MiB
    assert whole < 150 + 7200 * 16000 * 4 / 2**20


def test_reading_leaves_no_descriptor_open(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(encoded(tone(1, 8000), 8000, "WAV"))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for _ in range(20):
        load_audio(path)
        next(iter_blocks(path, block_seconds=0.1))
    after = len(os.listdir("/proc/self/fd")) if before else 0
    assert after <= before < limit


# --- ffmpeg -----------------------------------------------------------------------------------


@pytest.fixture
def with_ffmpeg(tmp_path, monkeypatch):
    """Put the real ffmpeg of the imageio-ffmpeg wheel on PATH under its own name."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ffmpeg").symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", str(folder))
    return folder / "ffmpeg"


def made_by_ffmpeg(ffmpeg, tmp_path, name: str, *options: str):
    wav = tmp_path / "tone.wav"
    soundfile.write(wav, tone(2, 44100, 2), 44100)
    subprocess.run([ffmpeg, "-v", "error", "-i", wav, *options, tmp_path / name], check=True)
    return tmp_path / name


@pytest.mark.parametrize(("name", "rate"), [("a.m4a", 44100), ("a.webm", 48000), ("a.aac", 44100),
                                            ("a.wma", 44100)])
def test_other_containers_by_ffmpeg(with_ffmpeg, tmp_path, name, rate):
    path = made_by_ffmpeg(with_ffmpeg, tmp_path, name)
    for audio in [load_audio(path), load_audio(path.read_bytes())]:
        assert audio.duration == pytest.approx(2.0, abs=0.1)
        assert (audio.original_rate, audio.channels) == (rate, 2)
        assert main_frequency(audio.samples, 16000) == pytest.approx(440, abs=2)
    assert audio_info(path).format.endswith("by ffmpeg")


def test_missing_ffmpeg_is_named(with_ffmpeg, tmp_path, monkeypatch):
    path = made_by_ffmpeg(with_ffmpeg, tmp_path, "a.m4a")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AudioError, match="needs ffmpeg: install ffmpeg"):
        load_audio(path)


def test_damaged_container(with_ffmpeg, tmp_path):
    path = made_by_ffmpeg(with_ffmpeg, tmp_path, "a.m4a")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(AudioError, match=r"a\.m4a cannot be decoded by ffmpeg"):
        load_audio(path)


def test_text_never_reaches_ffmpeg(with_ffmpeg, tmp_path):
    playlist = tmp_path / "list.m3u8"
    playlist.write_text(f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/secret.wav\n")
    with pytest.raises(AudioError, match="not a sound file"):
        load_audio(playlist)


# --- arrays -----------------------------------------------------------------------------------


def test_from_array():
    integers = np.array([[16384, -32768], [0, 0]], np.int16)
    np.testing.assert_array_equal(from_array(integers, 16000).samples, [-0.25, 0.0])
    assert from_array(tone(1.0, 44100), 44100).duration == pytest.approx(1.0, abs=1e-3)
    assert len(from_array(np.zeros(0, np.float32), 16000).samples) == 0
    for bad in [np.zeros((1, 2, 3)), np.array(["a"]), np.float32(0.0)]:
        with pytest.raises(UsageError):
            from_array(bad, 16000)
    with pytest.raises(UsageError, match="transpose"):  # channels first, as torchaudio has them
        from_array(np.zeros((2, 16000), np.float32), 16000)
    with pytest.raises(AudioError, match="NaN"):
        from_array(np.array([0.0, np.nan]), 16000)


def test_audio_info(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(1.5, 96000, 3), 96000, subtype="PCM_24")
    info = audio_info(path)
    assert (info.format, info.sample_rate, info.channels) == ("wav/pcm_24", 96000, 3)
    assert info.duration == pytest.approx(1.5)
