"""Entry point of the `asr` command: picks the subcommand, and turns errors into one line.

Only the chosen subcommand's module is imported, and those import torch late, so that `asr --help`
answers at once. Exit codes: 0 done, 1 something failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import FrameType, ModuleType

from asr import __version__
from asr.cli.messages import describe, report
from asr.errors import UsageError

GROUPS = {
    "recognise speech": {
        "transcribe": ("asr.cli.transcribe", "recognise speech in sound files"),
        "live": ("asr.cli.live", "captions of speech while it is spoken"),
        "align": ("asr.cli.align", "when each sound of a known text was said"),
        "search": ("asr.cli.search", "find entries of a catalogue by voice"),
        "serve": ("asr.cli.serve", "serve recognition over HTTP and WebSocket, with a web page"),
    },
    "models, words, texts": {
        "info": ("asr.cli.info", "what a model or a sound file holds"),
        "words": ("asr.cli.words", "how words are said, and whether the model knows them"),
        "write": ("asr.cli.write", "spoken Korean as it is written: numbers in digits"),
        "pronounce": ("asr.cli.pronounce", "how Korean text is pronounced"),
        "score": ("asr.cli.score", "error rates of a transcript against a reference"),
    },
    "data and features": {
        "data": ("asr.cli.data", "Kaldi data directories: make, check, mend, split, features"),
        "features": ("asr.cli.features", "acoustic features of a sound file"),
        "stage": ("asr.cli.stage", "run a stage of a recipe unless it is done"),
    },
    "train": {
        "train": ("asr.cli.train", "train a model by LF-MMI: on, or anew"),
        "gmm": ("asr.cli.gmm", "Gaussian mixture systems: train, align, recognise"),
        "train-dnn": ("asr.cli.train_dnn", "train a network on the alignments of a GMM system"),
        "pretrain": ("asr.cli.pretrain", "pre-train a network on untranscribed speech"),
        "train-ivector": ("asr.cli.train_ivector", "train an i-vector extractor from speech"),
        "train-lm": ("asr.cli.train_lm", "train an n-gram language model from text"),
        "lm-ppl": ("asr.cli.lm_ppl", "perplexity of texts by a language model"),
        "graph": ("asr.cli.graph", "build a model's graph anew: other language model, static HCLG"),
    },
    "import": {
        "import-kaldi": ("asr.cli.import_kaldi", "turn a Kaldi chain model into a bundle"),
        "import-encoder": ("asr.cli.import_encoder", "turn a Whisper encoder into a bundle"),
    },
}
"""Subcommands by what they are for: module, and what it does."""
COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process's arguments) and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in arguments if not word.startswith("-")), None)
    module = importlib.import_module(COMMANDS[name][0]) if name in COMMANDS else None
    parser, subparsers = _build_parser(name, module)
    _check_beginning(parser, arguments, name)
    args, unknown = parser.parse_known_args(arguments)
    if unknown:  # told with the usage of the subcommand, which argparse itself does not know of
        chosen = subparsers.get(name or "", parser)
        meant = _meant(unknown[0], _options(chosen))
        chosen.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
    if module is None:
        parser.print_help(sys.stderr)
        return 2
    _set_up_output(args.debug)
    return _guarded(module, args)


def _check_beginning(
    parser: argparse.ArgumentParser, arguments: Sequence[str], name: str | None
) -> None:
    """Refuse options of a command that stand before it, and a command that does not exist.

    What follows such an option may be its value, and would be taken for the command.
    """
    known = _options(parser)
    for word in arguments if name is None else arguments[: arguments.index(name)]:
        if not any(option.startswith(word.split("=")[0]) for option in known):
            meant = _meant(word, known) or ": options of a command come after its name"
            parser.error(f"unrecognized arguments: {word}{meant}")
    if name is not None and name not in COMMANDS:
        meant = _meant(name, COMMANDS)
        if not meant and os.path.exists(name):  # as other recognisers take their sound
            meant = f": did you mean asr transcribe {name}?"
        parser.error(f"there is no command {name}{meant} (asr --help lists them)")


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [word for action in parser._actions for word in action.option_strings]


def _meant(word: str, known: Iterable[str]) -> str:
    """What was probably meant by a word that is not known, as a question."""
    # without dashes, which all options share; and a letter is like any short option
    names = {one.lstrip("-"): one for one in known if len(one) > 2}
    close = difflib.get_close_matches(word.split("=")[0].lstrip("-"), names, 1)
    return f": did you mean {names[close[0]]}?" if close else ""


def _build_parser(
    name: str | None, module: ModuleType | None
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """A parser that knows the chosen subcommand in full and the others by name; and theirs."""
    parser = argparse.ArgumentParser(
        prog="asr",
        usage="asr [--version] [--debug] COMMAND ...",
        description="Malsori: Korean speech recognition.",
        epilog=_listed(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"malsori {__version__}")
    debug_help = "show tracebacks and details on standard error"
    parser.add_argument("--debug", action="store_true", help=debug_help)
    subparsers = parser.add_subparsers(metavar="COMMAND", help="one of those below", prog="asr")
    for command in COMMANDS:
        if command == name and module is not None:
            module.add_parser(subparsers)
            subparsers.choices[command].add_argument(
                "--debug", action="store_true", default=argparse.SUPPRESS, help=debug_help
            )
        else:
            subparsers.add_parser(command)
    return parser, subparsers.choices


def _listed() -> str:
    """The subcommands, by what they are for."""
    width = max(map(len, COMMANDS))
    lines = []
    for title, group in GROUPS.items():
        lines += [f"{title}:", *(f"  {name:{width}}  {told}" for name, (_, told) in group.items())]
        lines.append("")
    return "\n".join([*lines, "`asr COMMAND --help` tells more of a command."])


def _set_up_output(debug: bool) -> None:
    """Warnings of the library go to standard error; odd file names never break printing."""
    logging.basicConfig(format="asr: %(levelname)s: %(message)s", level=logging.WARNING)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.addLevelName(level, logging.getLevelName(level).lower())
    if debug:
        logging.getLogger("asr").setLevel(logging.DEBUG)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _guarded(module: ModuleType, args: argparse.Namespace) -> int:
    """Run a subcommand; whatever it raises becomes one line and an exit code."""
    swallowed: list[BaseException | None] = []
    try:
        with (
            _interrupts_again() as again,
            _swallowed_interrupts(swallowed, again),
            _imports_uninterrupted(again),
        ):
            code: int = module.run(args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        report("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader left, as `head` does. Point stdout elsewhere so that closing it cannot fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if args.debug:
            raise
        if swallowed:
            report("interrupted")
            return INTERRUPTED
        report(describe(error))
        return 2 if isinstance(error, UsageError) else 1


MOMENT = 0.05
"""Seconds after which what was interrupted in vain is interrupted again."""


@contextlib.contextmanager
def _interrupts_again() -> Iterator[Callable[[], None]]:
    """What interrupts the main thread again a moment later, but not behind the end of this."""
    timers: list[threading.Timer] = []

    def again() -> None:
        # a true signal: unlike `interrupt_main` it ends a read that waits
        whom = (threading.main_thread().ident, signal.SIGINT)
        timers.append(threading.Timer(MOMENT, signal.pthread_kill, whom))
        timers[-1].start()

    try:
        yield again
    finally:
        for timer in timers:
            timer.cancel()


@contextlib.contextmanager
def _swallowed_interrupts(
    found: list[BaseException | None], again: Callable[[], None]
) -> Iterator[None]:
    """Gather interrupts that Python can only print: Ctrl-C in a callback of C, or in a destructor.

    What a compiler was at is then missing, and using it fails; anything else would go on as if
    nobody had interrupted it, so it is interrupted again a moment later.
    """
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            before(unraisable)
            return
        found.append(unraisable.exc_value)
        again()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextlib.contextmanager
def _imports_uninterrupted(again: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C wait until what is being imported is: torch's C++ aborts the process on it."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # ignored, as in the background of a script, or somebody else's
        return

    def handle(number: int, frame: FrameType | None) -> None:
        while frame is not None and frame.f_code is not _guarded.__code__:
            if frame.f_code.co_filename.startswith("<frozen importlib."):
                again()
                return
            frame = frame.f_back
        raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGINT, handle)
    except ValueError:  # not in the main thread, where alone signals are handled
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
