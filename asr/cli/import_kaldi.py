"""`asr import-kaldi`: turn a Kaldi nnet3 chain model into a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from asr.cli.inputs import prepare_folder
from asr.cli.progress import shown_progress
from asr.errors import ModelError


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
    parser.add_argument("--force", action="store_true",
                        help="replace the model that OUT already holds")


def run(args: argparse.Namespace) -> int:
    """Import, and say where the result is."""
    _check(args.out, args.lm, args.force)
    from asr.importing import import_kaldi

    with shown_progress() as progress:
        import_kaldi(args.source, args.out, lm=args.lm, progress=progress)
    print(args.out)
    return 0


def _check(out: Path, lm: Path | None, force: bool) -> None:
    """Find out before the long import what would stop it at its end."""
    from asr.bundle import is_bundle  # late: it imports numpy

    if lm is not None and not lm.is_file():
        raise ModelError(f"--lm {lm}: no such file")
    if is_bundle(out):
        if not force:
            raise ModelError(f"{out} already holds a model: give --force to replace it, or choose"
                             " another place")
    elif out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise ModelError(f"{out} exists and is not a model: choose another place for the model")
    prepare_folder(out.absolute().parent, str(out))
