"""`asr pronounce`: the surface pronunciation of Korean text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "pronounce",
        help="how Korean text is pronounced",
        description="Print a line for each text: the text, TAB, its pronunciations in Hangul"
        " joined by '/' with the standard one first, TAB, the phones of the first. Numbers, units"
        " and Latin letters are read out.",
    )
    parser.add_argument("texts", nargs="+", metavar="TEXT",
                        help="text, or - for a line each from standard input")


def run(args: argparse.Namespace) -> int:
    """Print the pronunciation of each text."""
    for text in _texts(args.texts):
        print(pronunciation_line(text))
    return 0


def pronunciation_line(text: str) -> str:
    """Text, pronunciations in Hangul and phones of the first, separated by tabs."""
    from asr.hangul.normalize import to_spoken
    from asr.hangul.pronunciation import pronounce

    clean = " ".join(text.split())
    variants = pronounce(to_spoken(clean))
    hangul = "/".join(dict.fromkeys(variant.hangul for variant in variants))
    phones = " ".join(variants[0].phones) if variants else ""
    return f"{clean}\t{hangul}\t{phones}"


def _texts(arguments: Iterable[str]) -> Iterable[str]:
    for argument in arguments:
        if argument == "-":
            yield from (line.rstrip("\n") for line in sys.stdin)
        else:
            yield argument
