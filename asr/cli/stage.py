"""`asr stage`: one stage of a recipe, which runs once for the same command and inputs."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import Any

DESCRIPTION = """\
Run COMMAND unless it was done already with the same arguments and inputs. MARKS/NAME.done says what
was done; MARKS/NAME.log begins with the command. A command that fails leaves no mark.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "stage", help="run a stage of a recipe unless it is done", description=DESCRIPTION,
        usage="asr stage --name NAME --marks DIR [options] -- COMMAND ...",
    )  # fmt: skip
    parser.add_argument("--name", required=True, help="of the stage")
    parser.add_argument("--marks", required=True, type=Path, metavar="DIR",
                        help="folder of marks and logs")
    _add_paths(parser, "--input", "PATH", "a file or folder whose contents decide the result")
    _add_paths(parser, "--listed", "PATH", "a large one: only names and sizes of its files count")
    _add_paths(parser, "--output", "PATH", "what the command makes")
    _add_paths(parser, "--scratch", "PATH", "what it keeps while it works; removed when the inputs"
                                            " or the command have changed")
    parser.add_argument("--stdout", type=Path, metavar="FILE",
                        help="takes what the command prints, if it succeeds")
    parser.add_argument("--force", action="store_true", help="run although it was done")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help="after --, with arguments")


def _add_paths(parser: argparse.ArgumentParser, option: str, name: str, summary: str) -> None:
    parser.add_argument(option, action="append", default=[], type=Path, metavar=name,
                        help=summary + "; may be repeated")


def run(args: argparse.Namespace) -> int:
    """Run the stage, or say that it is done."""
    from asr.stages import Stage, run_stage

    stage = Stage(
        args.name, tuple(args.command), tuple(args.input), tuple(args.listed), tuple(args.output),
        tuple(args.scratch), args.stdout,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    if sys.stderr.isatty():
        print(f"{args.name} ...", end="\r", file=sys.stderr, flush=True)
    if run_stage(stage, args.marks, force=args.force):
        print(f"{args.name}: done in {time.monotonic() - started:.1f} s")
    else:
        print(f"{args.name}: skipped, done already ({args.marks / args.name}.done)")
    return 0


def _interrupt(number: int, frame: Any) -> None:
    """A terminated stage ends its command, as an interrupted one does."""
    raise KeyboardInterrupt
