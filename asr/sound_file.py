"""Open a sound file, stream or raw PCM as blocks of float32 at its own rate.

libsndfile (through `soundfile`) decodes wav, flac, ogg, mp3, aiff, au and caf; the containers it
does not know (m4a, webm, amr, ...) go to `ffmpeg` when that is on PATH. Formats are recognised by
content and never by file name, so a wrong extension cannot select a wrong rate or encoding.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np

from asr.errors import AudioError, UnknownFormatError, UsageError
from asr.sound_names import RAW_SUFFIXES

logger = logging.getLogger(__name__)

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO

BLOCK_SAMPLES = 1 << 20
"""Samples (frames x channels) decoded at a time: 4 MiB of float32."""
STEP_FRAMES = 2048
"""Frames decoded by one call of libsndfile: how exactly the place of a damage is known."""
MAX_SPOOL_BYTES = 16 << 30
"""A stream that cannot be rewound is copied to a temporary file of at most this size."""
SAMPLE_RATES = (1_000, 768_000)
"""Rates outside this range are taken for a damaged header."""
MAX_CHANNELS = 1024

_UNKNOWN_FRAMES = 1 << 62
_RAW_ENCODINGS = {
    "s8": ("PCM_S8", 1),
    "u8": ("PCM_U8", 1),
    "s16": ("PCM_16", 2),
    "s24": ("PCM_24", 3),
    "s32": ("PCM_32", 4),
    "f32": ("FLOAT", 4),
    "f64": ("DOUBLE", 8),
    "mulaw": ("ULAW", 1),
    "alaw": ("ALAW", 1),
}
_FFMPEG_CONTAINERS = (
    (re.compile(rb"....ftyp", re.DOTALL), "mp4/m4a"),
    (re.compile(rb"\x1aE\xdf\xa3"), "webm/mkv"),
    (re.compile(rb"\xff[\xf0-\xf1\xf8-\xf9]"), "aac"),
    (re.compile(rb"#!AMR"), "amr"),
    (re.compile(rb"0&\xb2u\x8ef\xcf\x11"), "wma/asf"),
    (re.compile(rb"FLV\x01"), "flv"),
    (re.compile(rb"RIFF....AVI ", re.DOTALL), "avi"),
    (re.compile(rb"wvpk"), "wavpack"),
    (re.compile(rb"MAC "), "ape"),
    (re.compile(rb"OggS"), "ogg with a codec libsndfile lacks"),
)


@dataclass(frozen=True)
class RawFormat:
    """How headerless PCM is laid out: `encoding` is s8 u8 s16 s24 s32 f32 f64 mulaw or alaw.

    Multi-byte encodings are little-endian unless `be` is appended (s16be).
    """

    sample_rate: int
    encoding: str = "s16"
    channels: int = 1

    def __post_init__(self) -> None:
        if self._base not in _RAW_ENCODINGS:
            raise UsageError(
                f"unknown raw encoding {self.encoding!r}: use one of {', '.join(_RAW_ENCODINGS)}"
                " (with 'be' appended for big-endian)"
            )
        if not SAMPLE_RATES[0] <= self.sample_rate <= SAMPLE_RATES[1]:
            low, high = SAMPLE_RATES
            raise UsageError(f"raw sample rate {self.sample_rate} Hz is not within {low}-{high}")
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise UsageError(f"raw channel count {self.channels} is out of range 1-{MAX_CHANNELS}")

    @classmethod
    def parse(cls, text: str) -> RawFormat:
        """Read RATE[:ENCODING[:CHANNELS]], for instance `16000`, `8000:mulaw`, `48000:s24:2`."""
        match = re.fullmatch(r"(\d+)(?::(\w+)(?::(\d+))?)?", text)
        if match is None:
            raise UsageError(f"raw format {text!r} is not RATE[:ENCODING[:CHANNELS]]"
                             " (for instance 8000:s16:1)")
        rate, encoding, channels = match.groups()
        return cls(int(rate), encoding or cls.encoding, int(channels or cls.channels))

    @property
    def _base(self) -> str:
        return self.encoding.removesuffix("be").removesuffix("le")

    @property
    def subtype(self) -> str:
        """libsndfile's name of the encoding."""
        return _RAW_ENCODINGS[self._base][0]

    @property
    def endian(self) -> str:
        """libsndfile's name of the byte order."""
        return "BIG" if self.encoding.endswith("be") else "LITTLE"

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return _RAW_ENCODINGS[self._base][1] * self.channels


@dataclass(frozen=True)
class Sound:
    """An open sound: what its header says, and its samples block by block."""

    name: str
    format: str
    sample_rate: int
    channels: int
    frames: int | None
    """Frames that the header promises; None where it does not say."""
    blocks: Iterator[np.ndarray]
    """Float32 arrays [frames, channels] at `sample_rate`, each of at most BLOCK_SAMPLES values."""


@contextlib.contextmanager
def open_sound(source: Source, raw: RawFormat | None = None) -> Iterator[Sound]:
    """Open a path, bytes, binary file object or `-` (standard input).

    Raises AudioError when the source is missing, empty, not sound, or of an unusable shape.
    """
    with contextlib.ExitStack() as stack:
        name, path = _as_regular_file(source, stack)
        file = stack.enter_context(_opened(name, path))
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise AudioError(f"{name} is empty (0 bytes): record or copy it again")
        if raw is not None and size % raw.frame_bytes:
            raise AudioError(
                f"{name} holds {size} bytes, not a whole number of {raw.frame_bytes}-byte frames:"
                " check the raw encoding and channel count"
            )
        sound = _open_sndfile(name, file, raw, stack) or _open_ffmpeg(name, path, file, stack)
        _check_header(sound)
        yield sound


def source_name(source: Source) -> str:
    """How messages name a source."""
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        return "<stdin>" if text == "-" else text
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else "<stream>"


def _as_regular_file(source: Source, stack: contextlib.ExitStack) -> tuple[str, Path]:
    """The name for messages, and a path that can be opened and rewound: spooled where needed."""
    name = source_name(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return name, _spool(name, iter([bytes(source)]), stack)
    if isinstance(source, str | os.PathLike):
        if os.fspath(source) == "-":
            if sys.stdin is None:
                raise AudioError(f"{name} is closed: pipe sound in, or name a file")
            return name, _spool(name, _chunks(name, sys.stdin.buffer), stack)
        path = Path(source)
        if path.is_dir():
            raise AudioError(f"{name} is a folder, not a sound file")
        if not path.exists():
            raise AudioError(f"{name}: no such file")
        if path.is_file():
            return name, path
        stream = stack.enter_context(_opened(name, path))
        return name, _spool(name, _chunks(name, stream), stack)
    if not hasattr(source, "read"):
        raise UsageError(f"cannot read sound from a {type(source).__name__}: give a path, bytes,"
                         " a binary file object or '-'")
    return name, _spool(name, _chunks(name, source), stack)


def _opened(name: str, path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise AudioError(f"{name} cannot be opened: {error.strerror}") from error


def _chunks(name: str, stream: IO[Any]) -> Iterator[bytes]:
    while chunk := stream.read(1 << 20):
        if not isinstance(chunk, bytes):
            raise UsageError(f"{name} is open in text mode: open it with mode 'rb'")
        yield chunk


def _spool(name: str, chunks: Iterator[bytes], stack: contextlib.ExitStack) -> Path:
    """Copy a stream to a temporary file that lives as long as `stack`."""
    temporary = tempfile.NamedTemporaryFile(prefix="asr-", suffix=".audio")  # noqa: SIM115
    file = stack.enter_context(temporary)
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > MAX_SPOOL_BYTES:
            raise AudioError(f"{name} runs past {MAX_SPOOL_BYTES >> 30} GiB: cut it into parts")
        file.write(chunk)
    file.flush()
    return Path(file.name)


def _check_header(sound: Sound) -> None:
    low, high = SAMPLE_RATES
    if not low <= sound.sample_rate <= high:
        raise AudioError(f"{sound.name} claims a sample rate of {sound.sample_rate} Hz: its header"
                         " is damaged")
    if not 1 <= sound.channels <= MAX_CHANNELS:
        raise AudioError(f"{sound.name} claims {sound.channels} channels: its header is damaged")


# --- libsndfile -------------------------------------------------------------------------------


def _open_sndfile(
    name: str, file: BinaryIO, raw: RawFormat | None, stack: contextlib.ExitStack
) -> Sound | None:
    """The sound as libsndfile sees it, or None where it does not know the format."""
    import soundfile

    options: dict[str, Any] = {}
    if raw is not None:
        options = {"format": "RAW", "subtype": raw.subtype, "endian": raw.endian,
                   "samplerate": raw.sample_rate, "channels": raw.channels}
    elif Path(name).suffix.lower() in RAW_SUFFIXES and os.pread(file.fileno(), 1, 0) == b"\xff":
        return None  # a sample of -1, which libsndfile takes for a frame of mp3
    try:
        # By descriptor, not by path: libsndfile would guess headerless formats from the extension.
        handle = stack.enter_context(soundfile.SoundFile(file.fileno(), closefd=False, **options))
    except (soundfile.LibsndfileError, TypeError) as error:
        file.seek(0)
        magic = file.read(16)
        if magic[:4] in (b"RIFF", b"fLaC", b"FORM", b"ID3\x03", b"ID3\x04"):
            raise AudioError(f"{name} is damaged or cut off in its header: record or copy it"
                             " again") from error
        return None
    frames = handle.frames if 0 <= handle.frames < _UNKNOWN_FRAMES else None
    if frames == 0:
        raise AudioError(f"{name} has a header but holds no samples: record it again")
    _warn_if_cut(name, handle.extra_info)
    kind = f"{handle.format}/{handle.subtype}".lower()
    blocks = _sndfile_blocks(name, handle, frames)
    return Sound(name, kind, handle.samplerate, handle.channels, frames, blocks)


def _sndfile_blocks(name: str, handle: Any, frames: int | None) -> Iterator[np.ndarray]:
    """The samples of a handle; what precedes a damage is given before the error is raised."""
    size = max(1, BLOCK_SAMPLES // handle.channels)
    done = 0
    error: Exception | None = None
    while error is None:
        block, error = _filled_block(handle, size)
        if len(block) == 0:
            break
        done += len(block)
        yield block
    if error is not None:
        raise AudioError(
            f"{name} is cut short or damaged after {done / handle.samplerate:.1f} s: record or copy"
            " it again"
        ) from error
    if frames is not None and done < frames:
        logger.warning("%s ends after %.1f s though its header promises %.1f s", name,
                       done / handle.samplerate, frames / handle.samplerate)


def _filled_block(handle: Any, size: int) -> tuple[np.ndarray, Exception | None]:
    """Up to `size` frames in small steps (a step that fails gives nothing), and the error met."""
    import soundfile

    block = np.empty((size, handle.channels), np.float32)
    used = 0
    while used < size:
        try:
            step = len(handle.read(out=block[used : used + STEP_FRAMES]))
        except soundfile.LibsndfileError as error:
            return block[:used], error
        if step == 0:
            break
        used += step
    return block[:used], None


def _warn_if_cut(name: str, log: str) -> None:
    """libsndfile reads a truncated wav as far as it goes, and says so only in its log."""
    match = re.search(r"data\s*:\s*(\d+) \(should be (\d+)\)", log)
    # Sizes near 2^31 and 2^32 are what a recorder writes when it streams and cannot know the end.
    if match and int(match[2]) < int(match[1]) < 0x7FFF0000:
        logger.warning("%s is cut short: its header promises %s bytes of sound and it holds %s",
                       name, match[1], match[2])


# --- ffmpeg -----------------------------------------------------------------------------------


def _open_ffmpeg(name: str, path: Path, file: BinaryIO, stack: contextlib.ExitStack) -> Sound:
    """Decode a container that only ffmpeg knows; anything else is refused here.

    Only files whose first bytes are a known container's are handed over: ffmpeg would also open
    play lists and text, which may name other files.
    """
    file.seek(0)
    magic = file.read(16)
    kind = next((kind for pattern, kind in _FFMPEG_CONTAINERS if pattern.match(magic)), None)
    if kind is None:
        raise UnknownFormatError(
            f"{name} is not a sound file that can be read (wav, flac, ogg, mp3, aiff, au, caf;"
            " m4a and webm with ffmpeg); for headerless PCM give its raw format"
        )
    executable = shutil.which("ffmpeg")
    if executable is None:
        raise AudioError(f"{name} is {kind}, which needs ffmpeg: install ffmpeg so that it is on"
                         " PATH, or convert the file to wav or flac")
    command = [executable, "-nostdin", "-v", "error", "-protocol_whitelist", "file,pipe",
               "-i", f"file:{path}", "-map", "0:a:0", "-vn", "-c:a", "pcm_f32be", "-f", "au", "-"]
    log = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
    )
    stack.callback(_end, process)
    assert process.stdout is not None
    header = process.stdout.read(24)
    if len(header) < 24:
        process.wait()
        raise AudioError(f"{name} cannot be decoded by ffmpeg ({_last_line(log)}): record or copy"
                         " it again")
    # Sun/NeXT .au: magic, data offset, data size, encoding, rate, channels, each a big-endian word.
    _, offset, _, _, rate, channels = struct.unpack(">6I", header)
    process.stdout.read(offset - len(header))
    blocks = _ffmpeg_blocks(name, process, log, rate, channels)
    return Sound(name, f"{kind} by ffmpeg", rate, channels, None, blocks)


def _ffmpeg_blocks(
    name: str, process: subprocess.Popen[bytes], log: IO[bytes], rate: int, channels: int
) -> Iterator[np.ndarray]:
    assert process.stdout is not None
    step = max(1, BLOCK_SAMPLES // channels) * channels * 4
    done = 0
    while data := process.stdout.read(step):
        whole = len(data) - len(data) % (4 * channels)
        block = np.frombuffer(data[:whole], ">f4").astype(np.float32).reshape(-1, channels)
        done += len(block)
        yield block
    status = process.wait()
    complaint = _last_line(log)
    if status != 0 or done == 0:
        raise AudioError(f"{name} is cut short or damaged after {done / rate:.1f} s"
                         f" ({complaint or 'no sound in it'}): record or copy it again")
    if complaint:
        logger.warning("%s: ffmpeg says: %s", name, complaint)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a decoder that is not wanted to its end."""
    if process.stdout is not None:
        process.stdout.close()
    if process.poll() is None:
        process.kill()
    process.wait()


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
