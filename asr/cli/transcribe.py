"""`asr transcribe`: recognise files, folders or standard input."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from asr import __version__
from asr.cli.adaptation import HOTWORD_BOOST, Adaptation
from asr.cli.inputs import STDIN, Input, expand, output_paths, prepare_folder, utterance_ids
from asr.cli.messages import about, describe, report
from asr.cli.models import load_model, model_path
from asr.cli.options import add_precision, positive
from asr.cli.progress import SoundBar
from asr.cli.resuming import Marks, content_identity, identity, model_identity
from asr.errors import AsrError, AudioError, UsageError
from asr.result import MOST_ALTERNATIVES, Detail
from asr.subtitles import CueOptions
from asr.writers import WRITERS, TextWriter, Writer, get_writer

if TYPE_CHECKING:
    from asr.graph.grammar import Grammar
    from asr.recognizer import Model
    from asr.result import Result
    from asr.segmenting import SegmentingConfig
    from asr.sound_file import RawFormat
    from asr.stream import Stream

logger = logging.getLogger("asr.transcribe")

Heard = tuple["Result", AudioError | None]
"""The transcript, and what kept the rest of the sound from being read."""
SHORTEST_SECONDS = 0.1
"""Nothing is said in less; such sound is recognised as silence, with a warning."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "transcribe",
        help="recognise speech in sound files",
        description="Recognise Korean speech. The transcript goes to standard output, or with"
        " --output to files. With several inputs a line is 'ID TEXT', ready for `asr score`.",
        epilog="Reads wav, flac, ogg, mp3, aiff, au and caf, and with ffmpeg m4a, webm and others.",
    )
    parser.add_argument("inputs", nargs="+", metavar="FILE",
                        help="a sound file, a folder of them, or - for standard input")
    parser.add_argument("-f", "--format", action="append", choices=[*WRITERS, "all"],
                        help="form of the transcript (default: txt); may be repeated")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR",
                        help="write DIR/NAME.FORMAT instead of standard output")
    parser.add_argument("-m", "--model", default="ko",
                        help="name or folder of a model (default: ko, made on first use)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    add_precision(parser)
    parser.add_argument("-j", "--jobs", type=positive, default=1, metavar="N",
                        help="sounds, and segments of long ones, recognised at once (default: 1)")
    parser.add_argument("--resume", action="store_true",
                        help="with --output, leave out sounds that were recognised in full, as they"
                        " are now, by the same model and options")
    parser.add_argument("--no-vad", action="store_true",
                        help="recognise, too, where the voice-activity detector hears nobody speak")
    what = parser.add_argument_group("what is recognised")
    what.add_argument("--words", type=Path, action="append", default=[], metavar="FILE",
                      help="make these words recognisable: one a line, with readings and boost"
                      " after TABs where wanted (see `asr words`); may be repeated")
    what.add_argument("--hotwords", type=Path, action="append", default=[], metavar="FILE",
                      help=f"as --words, and prefer them by {HOTWORD_BOOST:g} nats where the file"
                      " gives no boost")
    what.add_argument("--grammar", type=Path, metavar="FILE",
                      help="recognise the phrases of this grammar only, and reject all else"
                      " (docs/grammar.md)")
    what.add_argument("--no-rescoring", action="store_true",
                      help="take the search's best text without asking the morpheme model: faster,"
                      " less accurate")
    more = parser.add_argument_group("what is told")
    more.add_argument("--nbest", type=positive, default=0, metavar="N",
                      help="alternatives of each segment, in json")
    more.add_argument("--jamo", action="store_true",
                      help="times of syllables and jamo, in json")
    more.add_argument("--written", action="store_true",
                      help="numbers in digits: 2026년 6월, 30%%, 010-1234-5678 (ctm stays as it was"
                      " said, json has both)")
    more.add_argument("--punctuation", action="store_true",
                      help="full stops, question marks and commas, as a small model guesses them")
    cues = parser.add_argument_group("subtitles (srt, vtt)")
    cues.add_argument("--line-length", type=positive, default=CueOptions.line_length, metavar="N",
                      help="characters on a line (default: %(default)s)")
    cues.add_argument("--lines", type=positive, default=CueOptions.lines, metavar="N",
                      help="lines at once (default: %(default)s)")
    cues.add_argument("--reading-speed", type=float, default=CueOptions.reading_speed, metavar="X",
                      help="characters a second, for which they stay where there is time"
                      " (default: %(default)g)")
    cues.add_argument("--word-times", action="store_true",
                      help="a timestamp before each word, in vtt")
    parser.add_argument("--raw", metavar="RATE[:ENCODING[:CHANNELS]]",
                        help="inputs are headerless PCM, for instance 16000 or 8000:mulaw:2")


def run(args: argparse.Namespace) -> int:
    """Recognise every input; one that fails is reported and does not stop the others."""
    from asr.segmenting import SegmentingConfig
    from asr.voice import VoiceConfig

    formats = _formats(args.format)
    _check_options(args, formats)
    raw = _raw_format(args.raw)
    inputs, errors = expand(args.inputs, raw=raw is not None)
    _check_destination(formats, args.output, len(inputs))
    paths = _paths(inputs, args.output, formats) if args.output else []
    writers = _writers(args, formats)
    for error in errors:
        report(describe(error))
    if not inputs:
        return 1
    if args.output:
        prepare_folder(args.output, f"--output {args.output}")
    adaptation = Adaptation.read(args.words, args.hotwords, args.grammar)
    folder = model_path(args.model)
    marks = Marks(args.output, _how(args, adaptation.grammar, folder)) if args.output else None
    if args.resume and marks is not None:
        inputs, paths = marks.undone(inputs, paths)
        if not inputs:
            return 1 if errors else 0
    model = adaptation.of(load_model(folder, args.device, args.jobs, args.precision))
    if args.no_rescoring:
        model = model.with_options(rescoring=None)
    detail = Detail(args.nbest, args.jamo, args.written, args.punctuation)
    voices = VoiceConfig(threshold=0.0) if args.no_vad else VoiceConfig()
    segmenting = SegmentingConfig(voices=voices)
    bar = SoundBar(_total_seconds(inputs, raw))
    failures = len(errors)
    before = [marks.mark_of(item) for item in inputs] if marks else []
    try:
        ids = utterance_ids(inputs)
        for number, outcome in enumerate(
            _recognise_all(model, inputs, raw, detail, args.jobs, bar, segmenting)
        ):
            try:
                result, damage = outcome.result()
                with bar.aside():
                    if damage is None:
                        _warn_if_short(result)
                    if marks is not None:
                        marks.forget(paths[number])
                        for name, path in paths[number].items():
                            writers[name].save(result, path)
                        if damage is None:  # else it is to be recognised again once it is mended
                            marks.note(paths[number], before[number])
                    elif len(inputs) == 1:
                        _print(result, writers[formats[0]], None)
                    elif damage is None:  # a line of a list stands for a whole sound
                        _print(result, writers[formats[0]], ids[number])
                if damage is not None:
                    raise damage
            except BrokenPipeError:
                raise
            except Exception as error:
                failures += 1
                with bar.aside():
                    if args.debug:
                        traceback.print_exception(error)
                    report(about(inputs[number].name, error))
    finally:
        bar.close()
    return 1 if failures else 0


def _paths(
    inputs: Sequence[Input], output: Path, formats: Sequence[str]
) -> list[dict[str, Path]]:
    """Where the transcripts of each input go, by format."""
    extensions = [WRITERS[name].extension for name in formats]
    return [
        dict(zip(formats, paths.values(), strict=True))
        for paths in output_paths(inputs, output, extensions)
    ]


def _writers(args: argparse.Namespace, formats: Sequence[str]) -> dict[str, Writer]:
    options = CueOptions(args.line_length, args.lines, reading_speed=args.reading_speed)
    return {name: get_writer(name, options, word_times=args.word_times) for name in formats}


_NOT_TOLD = ("inputs", "output", "format", "device", "jobs", "resume", "debug")
"""Options that change no transcript."""


def _how(args: argparse.Namespace, grammar: Grammar | None, model: Path) -> dict[str, object]:
    """All that transcripts depend on beside their sounds."""
    options = {name: value for name, value in vars(args).items() if name not in _NOT_TOLD}
    for name in ("words", "hotwords"):
        options[name] = [content_identity(path) for path in options[name]]
    if grammar is not None:
        options["grammar"] = identity(repr(grammar.root).encode())  # with the lists that it names
    return {**options, "model": model_identity(model), "malsori": __version__}


def _check_options(args: argparse.Namespace, formats: Sequence[str]) -> None:
    """Refuse options that would have no effect."""
    if args.resume and not args.output:
        raise UsageError("--resume looks at the transcripts of --output DIR: give both")
    if args.grammar and (args.words or args.hotwords):
        raise UsageError("--grammar recognises its own phrases only: put the words into it")
    if args.grammar and (args.nbest or args.no_rescoring):
        raise UsageError("--grammar gives its one phrase, and is not rescored: leave out --nbest"
                         " and --no-rescoring")
    if args.grammar and (args.written or args.punctuation):
        raise UsageError("--grammar gives its phrases as they are written in it: leave out"
                         " --written and --punctuation")
    if args.nbest > MOST_ALTERNATIVES:
        raise UsageError(f"--nbest gives {MOST_ALTERNATIVES} alternatives at most")
    chosen = (args.line_length, args.lines, args.reading_speed)
    usual = (CueOptions.line_length, CueOptions.lines, CueOptions.reading_speed)
    if chosen != usual and not {"srt", "vtt"} & set(formats):
        raise UsageError("--line-length, --lines and --reading-speed are of subtitles: add --format"
                         " srt or vtt")
    if args.word_times and "vtt" not in formats:
        raise UsageError("--word-times are written in vtt only: add --format vtt")
    if "json" not in formats:
        for option in ("nbest", "jamo"):
            if getattr(args, option):
                raise UsageError(f"--{option} is told in json only: add --format json")


def _formats(chosen: Sequence[str] | None) -> list[str]:
    if not chosen:
        return ["txt"]
    return list(WRITERS) if "all" in chosen else list(dict.fromkeys(chosen))


def _raw_format(text: str | None) -> RawFormat | None:
    from asr.sound_file import RawFormat

    return None if text is None else RawFormat.parse(text)


def _check_destination(formats: Sequence[str], output: Path | None, count: int) -> None:
    if output is not None:
        if output.exists() and not output.is_dir():
            raise UsageError(f"--output {output} is a file: give a folder")
        return
    if len(formats) > 1:
        raise UsageError("several formats need --output DIR")
    if count > 1 and formats[0] != "txt" and not WRITERS[formats[0]].joinable:
        raise UsageError(f"{formats[0]} of several sounds needs --output DIR")


def _recognise_all(
    model: Model,
    inputs: Sequence[Input],
    raw: RawFormat | None,
    detail: Detail,
    jobs: int,
    bar: SoundBar,
    segmenting: SegmentingConfig,
) -> Iterator[Future[Heard]]:
    """The outcome of each input, in order, as soon as it and all before it are done."""
    pool = ThreadPoolExecutor(max_workers=jobs)
    # each sound's thread reads and cuts; where there are several jobs, others recognise
    segments = ThreadPoolExecutor(max_workers=jobs) if jobs > 1 else None
    stop = threading.Event()

    def work(item: Input) -> Heard:
        stream = model.stream(
            **dataclasses.asdict(detail), segmenting=segmenting, executor=segments
        )
        return _recognise(stream, model.sample_rate, item, raw, bar, stop)

    try:
        yield from [pool.submit(work, item) for item in inputs]
    finally:
        stop.set()
        pool.shutdown(wait=False, cancel_futures=True)
        if segments is not None:
            segments.shutdown(wait=False, cancel_futures=True)


def _recognise(
    stream: Stream,
    sample_rate: int,
    item: Input,
    raw: RawFormat | None,
    bar: SoundBar,
    stop: threading.Event,
) -> Heard:
    """What `model.transcribe` does, with progress, and stopping early when `stop` is set.

    Sound that is damaged at some place is recognised as far as that, and the damage is returned.
    """
    from asr.audio import iter_blocks

    heard, damage = 0, None
    try:
        for block in iter_blocks(item.source, sample_rate, block_seconds=5.0, raw=raw):
            if stop.is_set():
                raise CancelledError
            stream.accept(block)
            heard += len(block)
            bar.advance(len(block) / sample_rate)
    except AudioError as error:
        if heard == 0:
            raise
        damage = error
    return dataclasses.replace(stream.finish(), source=item.name), damage


def _total_seconds(inputs: Sequence[Input], raw: RawFormat | None) -> float | None:
    """Seconds of all inputs by their headers; None where no bar is shown or one does not say."""
    if not sys.stderr.isatty():
        return None
    from asr.audio import audio_info

    total = 0.0
    for item in inputs:
        if item.source == STDIN or not Path(item.source).is_file():
            return None
        try:
            duration = audio_info(item.source, raw=raw).duration
        except AsrError:  # reported when its turn comes
            continue
        if duration is None:
            return None
        total += duration
    return total


def _warn_if_short(result: Result) -> None:
    if result.rejected:
        logger.warning("%s: nothing that the grammar holds was said", result.source)
    if result.duration < SHORTEST_SECONDS:
        logger.warning("%s holds %.3f s of sound, too little to recognise anything",
                       result.source, result.duration)


def _print(result: Result, writer: Writer, utterance: str | None) -> None:
    if utterance is not None and isinstance(writer, TextWriter):
        sys.stdout.write(f"{utterance} {result.written_text}".rstrip() + "\n")
    else:
        writer.write(result, sys.stdout)
    sys.stdout.flush()
