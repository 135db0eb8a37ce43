"""`asr import-kaldi`: turn a Kaldi nnet3 chain model into a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from asr.cli.progress import shown_progress


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "import-kaldi",
        help="turn a Kaldi chain model into a bundle",
        description="Read a Kaldi chain model as Vosk lays it out (am/final.mdl, ivector/, conf/,"
        " graph/) and write a bundle that `asr transcribe --model OUT` takes.",
    )
    parser.add_argument("source", type=Path, metavar="DIR", help="the Kaldi model's folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--lm", type=Path, metavar="FILE",
                        help="language model from `asr train-lm` (default: the one shipped)")


def run(args: argparse.Namespace) -> int:
    """Import, and say where the result is."""
    from asr.importing import import_kaldi

    with shown_progress() as progress:
        import_kaldi(args.source, args.out, lm=args.lm, progress=progress)
    print(args.out)
    return 0
