"""`asr live`: captions of speech while it is spoken."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from asr.cli.adaptation import Adaptation
from asr.cli.inputs import STDIN
from asr.cli.models import load_followed
from asr.cli.options import add_precision
from asr.errors import AudioError, UnknownFormatError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from asr.result import Segment
    from asr.stream import Stream

COMPRESSED = (b"fLaC", b"OggS", b"RF64", b"\x1aE\xdf\xa3", b"ID3")
"""First bytes of flac, ogg, large wav, webm and mp3, which would be noise as raw PCM."""
BLOCK = 0.1
"""Seconds of sound taken at once."""

DESCRIPTION = """\
Recognise speech while it is spoken: what is being said is shown on a terminal and may still
change; a line is printed when the speaker pauses. A microphone's sound comes by standard input as
16-bit PCM of one channel, raw or wav, for instance: arecord -q -f S16_LE -r 16000 | asr live -
Ctrl-C ends it and prints what was not finished.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser("live", help="captions of speech while it is spoken",
                                   description=DESCRIPTION)  # fmt: skip
    parser.add_argument("input", metavar="FILE", nargs="?", default=STDIN,
                        help="a sound file, or - for PCM on standard input (default)")
    parser.add_argument("--rate", type=int, default=16000, metavar="HZ",
                        help="sample rate of raw standard input; a wav says its own (default:"
                        " %(default)s)")
    parser.add_argument("-m", "--model", default="ko",
                        help="name or folder of a model (default: ko)")
    add_precision(parser)
    parser.add_argument("--words", type=Path, action="append", default=[], metavar="FILE",
                        help="make these words recognisable (see `asr words`); may be repeated")
    parser.add_argument("--grammar", type=Path, metavar="FILE",
                        help="follow the phrases of this grammar only (docs/grammar.md)")
    parser.add_argument("-f", "--format", choices=["txt", "json"], default="txt",
                        help="txt: a line a segment; json: an object a line (default: txt)")
    parser.add_argument("--partials", action="store_true",
                        help="in json, also what may still change, as it comes")
    follow = parser.add_argument_group("how the sound is followed")
    follow.add_argument("--live-model", metavar="MODEL",
                        help="a lighter model that follows the sound; what has ended is still"
                        " recognised by --model")
    follow.add_argument("--step", type=float, metavar="SECONDS",
                        help="sound searched at once: more costs less and comes later (0.48)")
    follow.add_argument("--agreement", type=int, metavar="N",
                        help="steps that must agree on what is shown; more: less flicker (2)")
    follow.add_argument("--once", action="store_true",
                        help="take the first search's text, do not recognise segments again:"
                        " cheaper, less accurate")


def run(args: argparse.Namespace) -> int:
    """Follow the sound to its end."""
    if args.partials and args.format != "json":
        raise UsageError("--partials are told in json: add --format json")
    if args.input != STDIN and args.rate != 16000:
        raise UsageError("--rate is of standard input; a file says its own")
    if args.grammar and args.words:
        raise UsageError("--grammar recognises its own phrases only: put the words into it")
    if args.once and args.live_model:
        raise UsageError("--once takes the first search's text: give that model as --model")
    config = _config(args)
    adaptation = Adaptation.read(args.words, grammar=args.grammar)
    model = adaptation.of(load_followed(args.model, args.live_model, precision=args.precision))
    stream = model.stream(live=config)
    screen = _Screen(sys.stderr)
    told, damage = 0, None
    try:
        for block in _blocks(args.input, args.rate, model.sample_rate):
            stream.accept(block)
            told = _tell(stream, told, args, screen)
    except KeyboardInterrupt:
        pass  # how live captions end
    except AudioError as error:  # what was said before is told all the same
        damage = error
    stream.finish()
    screen.clear()
    _tell(stream, told, args, screen)
    if damage is not None:
        raise damage
    return 0


def _config(args: argparse.Namespace) -> Any:
    from asr.live import LiveConfig

    given = {name: getattr(args, name) for name in ("step", "agreement")}
    chosen = {name: value for name, value in given.items() if value is not None}
    return LiveConfig(again=not args.once, **chosen)


def _blocks(source: str, rate: int, wanted: int) -> Iterator[NDArray[np.float32]]:
    """Float32 blocks at the model's rate, as soon as they are there."""
    if source != STDIN:
        from asr.audio import iter_blocks

        try:
            yield from iter_blocks(source, wanted, block_seconds=BLOCK)
        except UnknownFormatError as error:  # files are given their raw format elsewhere
            raise AudioError(
                f"{source} is not a sound file that can be read; headerless 16-bit PCM comes by"
                f" standard input: asr live - --rate HZ < {source}"
            ) from error
        return
    yield from _piped(rate, wanted)


def _piped(rate: int, wanted: int) -> Iterator[NDArray[np.float32]]:
    """Samples from standard input, at ``wanted`` Hz; a wav says its rate."""
    from asr.pcm import PcmDecoder, read_wav_header

    decoder = PcmDecoder(rate, wanted)  # refuses a wrong rate before any sound is there
    if sys.stdin is None:  # `asr live <&-`
        raise AudioError("standard input is closed: pipe sound in, or name a file")
    pipe: Any = sys.stdin.buffer
    begun = pipe.read(4)
    if not begun:
        raise AudioError("standard input is empty: no sound came from the command before")
    if begun.startswith(COMPRESSED):
        raise AudioError("standard input is a compressed sound file: name the file, or turn it into"
                         " PCM on the way (ffmpeg … -f wav -ac 1 -)")
    left = sys.maxsize
    if begun == b"RIFF":  # what arecord writes without -t raw
        begun, (rate, left) = b"", read_wav_header(pipe)
        decoder = PcmDecoder(rate, wanted)
    size = round(BLOCK * rate) * 2
    yield decoder.accept(begun)
    while data := pipe.read1(min(size, left)):  # what is there, without waiting for more
        left -= len(data)
        yield decoder.accept(data)
    yield decoder.finish()
    if decoder.broken_off:
        raise AudioError("standard input ended within a sample: it must be 16-bit PCM")


def _tell(stream: Stream, told: int, args: argparse.Namespace, screen: _Screen) -> int:
    """Print segments that have ended since, and show the one in progress; how many are printed."""
    for segment in stream.segments[told:]:
        screen.clear()
        if args.format == "json":
            print(_line(segment, "final"), flush=True)
        elif not segment.rejected:
            print(segment.text, flush=True)
    partial = stream.partial()
    if args.partials:
        if screen.changed(partial.text):
            print(_line(partial, "partial"), flush=True)
    else:
        screen.show(partial.text)
    return len(stream.segments)


def _line(segment: Segment, kind: str) -> str:
    words = [asdict(word) for word in segment.words]
    content = {"type": kind, "start": round(segment.start, 3), "end": round(segment.end, 3),
               "text": segment.text, "words": words}  # fmt: skip
    if segment.rejected:  # none of the grammar's phrases
        content["rejected"] = True
    if segment.slots:
        content["slots"] = segment.slots
    return json.dumps(content, ensure_ascii=False)


class _Screen:
    """The text in progress, on one line of a terminal; nothing elsewhere."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._last = file, ""
        self._terminal = file.isatty()

    def changed(self, text: str) -> bool:
        """Whether this is another text than the last one."""
        before, self._last = self._last, text
        return text != before

    def show(self, text: str) -> None:
        """Put the end of a text where the last one stood."""
        if self._terminal and self.changed(text):
            # a Hangul syllable is two columns wide
            room = max(1, shutil.get_terminal_size().columns // 2 - 1)
            with contextlib.suppress(OSError):
                self._file.write(f"\r\x1b[K{text[-room:]}")
                self._file.flush()

    def clear(self) -> None:
        """Leave the line empty."""
        self.show("")
