"""`asr align`: when each eojeol, syllable and jamo of a known text was said."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from asr.alignment import LEVELS, Alignment
from asr.alignment_writers import ALIGNMENT_WRITERS, get_alignment_writer
from asr.cli.inputs import STDIN, Input, output_paths, prepare_folder
from asr.cli.messages import about, report
from asr.cli.models import model_path
from asr.errors import DataError, UsageError

if TYPE_CHECKING:
    from asr.aligning import TextAligner
    from asr.sound_file import RawFormat

logger = logging.getLogger("asr.align")

_FILE_NAME = re.compile(r"\S+\.(?:txt|text|lab|trn)", re.IGNORECASE)
"""What a mistyped name of a file looks like; nobody says such a text."""
_MOST_NAMED = 8


@dataclass(frozen=True)
class Pair:
    """A sound and its text."""

    sound: Input
    text: str


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "align",
        help="when each sound of a known text was said",
        description="Align a sound with its text: the times of eojeol, syllables and jamo. A text"
        " that cannot be what was said is warned of.",
        epilog="Times are multiples of the model's frame (30 ms).",
    )
    parser.add_argument("audio", nargs="?", metavar="AUDIO", help="a sound file, or - for standard"
                        " input")
    parser.add_argument("text", nargs="?", metavar="TEXT", help="what is said in it: the text"
                        " itself, or a file that holds it")
    parser.add_argument("--list", type=Path, metavar="FILE", help="instead of AUDIO and TEXT: a"
                        " file with a line 'AUDIO<tab>TEXT' for each sound")
    parser.add_argument("-f", "--format", action="append", choices=[*ALIGNMENT_WRITERS, "all"],
                        help="form of the output (default: textgrid); may be repeated")
    parser.add_argument("--level", choices=LEVELS, default="eojeol",
                        help="what a line of ctm is (default: eojeol)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR",
                        help="write DIR/NAME.TextGrid and so on instead of standard output")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw waveform, spectrogram and"
                        " the aligned jamo into a .png, .pdf or .svg")
    parser.add_argument("-m", "--model", default="ko-kaldi",
                        help="name or folder of a model (default: ko-kaldi, for which scores are"
                        " calibrated)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    parser.add_argument("--raw", metavar="RATE[:ENCODING[:CHANNELS]]",
                        help="the sound is headerless PCM, for instance 16000 or 8000:mulaw:2")


def run(args: argparse.Namespace) -> int:
    """Align every pair; one that fails is reported and does not stop the others."""
    pairs = _pairs(args)
    formats = _formats(args.format)
    _check_destination(args, formats, len(pairs))
    raw = _raw_format(args.raw)
    paths = []
    if args.output:
        extensions = [ALIGNMENT_WRITERS[name].extension for name in formats]
        paths = output_paths([pair.sound for pair in pairs], args.output, extensions)
        prepare_folder(args.output, f"--output {args.output}")
    if args.plot:
        _check_plot(args.plot)
    aligner = _load(args.model, args.device)
    failures = 0
    for number, pair in enumerate(pairs):
        try:
            alignment = _align(aligner, pair, raw, args.plot)
            _warn_if_implausible(alignment, pair)
            for name in formats:
                writer = get_alignment_writer(name, args.level)
                if args.output:
                    writer.save(alignment, paths[number][writer.extension])
                else:
                    writer.write(alignment, sys.stdout)
        except BrokenPipeError:
            raise
        except Exception as error:
            if len(pairs) == 1:
                raise
            failures += 1
            if args.debug:
                traceback.print_exception(error)
            report(about(pair.sound.name, error))
    return 1 if failures else 0


def _pairs(args: argparse.Namespace) -> list[Pair]:
    if args.list is not None:
        if args.audio is not None:
            raise UsageError("give either AUDIO and TEXT or --list FILE")
        if args.plot:
            raise UsageError("--plot draws one sound: give AUDIO and TEXT")
        return _listed(args.list)
    if args.audio is None or args.text is None:
        raise UsageError("give AUDIO and TEXT, or --list FILE")
    return [Pair(_input(args.audio), _text(args.text))]


def _listed(path: Path) -> list[Pair]:
    pairs = []
    for number, line in enumerate(_read(path).splitlines(), start=1):
        if not line.strip():
            continue
        audio, tab, text = line.partition("\t")
        if not (audio.strip() and tab and text.strip()):
            raise DataError(f"{path}, line {number}: write the sound's path, a tab, and its text")
        pairs.append(Pair(_input(audio.strip()), text.strip()))
    if not pairs:
        raise DataError(f"{path} lists no sounds")
    return pairs


def _input(audio: str) -> Input:
    return Input(audio, PurePath("stdin" if audio == STDIN else Path(audio).name))


def _text(text: str) -> str:
    """The text itself, or what the file of that name holds."""
    try:
        is_file = Path(text).is_file()
    except (OSError, ValueError):  # too long for a name, or with characters that no name has
        is_file = False
    if not is_file and _FILE_NAME.fullmatch(text):
        raise DataError(f"{text}: no such file; give the text itself, or a file that holds it")
    return _read(Path(text)) if is_file else text


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: convert it first (iconv -f cp949 -t utf-8)"
                        ) from error


def _formats(chosen: Sequence[str] | None) -> list[str]:
    if not chosen:
        return ["textgrid"]
    return list(ALIGNMENT_WRITERS) if "all" in chosen else list(dict.fromkeys(chosen))


def _check_destination(args: argparse.Namespace, formats: Sequence[str], count: int) -> None:
    if args.output is not None:
        if args.output.exists() and not args.output.is_dir():
            raise UsageError(f"--output {args.output} is a file: give a folder")
        return
    if len(formats) > 1:
        raise UsageError("several formats need --output DIR")
    if count > 1 and not ALIGNMENT_WRITERS[formats[0]].joinable:
        raise UsageError(f"{formats[0]} of several sounds needs --output DIR")


def _raw_format(text: str | None) -> RawFormat | None:
    from asr.sound_file import RawFormat

    return None if text is None else RawFormat.parse(text)


def _check_plot(path: Path) -> None:
    from asr.plot import check_plottable

    check_plottable(path)
    prepare_folder(path.parent, f"--plot {path}")


def _load(name: str, device: str) -> TextAligner:
    path = model_path(name)
    from asr.aligning import load_aligner

    return load_aligner(path, device)


def _align(
    aligner: TextAligner, pair: Pair, raw: RawFormat | None, plot: Path | None
) -> Alignment:
    from asr.align_text import written_words
    from asr.audio import load_audio

    words = written_words(pair.text)
    sound = load_audio(pair.sound.source, aligner.sample_rate, raw=raw)
    alignment = aligner.align_words(sound.samples, words)
    alignment = dataclasses.replace(alignment, source=pair.sound.name)
    if plot is not None:
        from asr.plot import plot_alignment

        plot_alignment(alignment, sound.samples, aligner.sample_rate, plot)
    return alignment


def _warn_if_implausible(alignment: Alignment, pair: Pair) -> None:
    if not alignment.plausible:
        logger.warning("%s: the text is probably not what is said there (score %.2f)",
                       pair.sound.name, alignment.score)
        return
    doubtful = [f"{word.text} ({word.start:.2f} s)" for word in alignment.words
                if not word.plausible]
    if doubtful:
        more = f" and {len(doubtful) - _MOST_NAMED} more" if len(doubtful) > _MOST_NAMED else ""
        logger.warning("%s: probably said otherwise than the text has it: %s%s", pair.sound.name,
                       ", ".join(doubtful[:_MOST_NAMED]), more)
