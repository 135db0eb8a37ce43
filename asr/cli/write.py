"""`asr write`: spoken Korean as it is written."""

from __future__ import annotations

import argparse
import json

from asr.cli.pronounce import texts_of


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "write",
        help="spoken Korean as it is written: numbers in digits",
        description="Print each text with its numbers in digits where Korean writers put them:"
        " 삼십 퍼센트 becomes 30%, 오후 세 시 반 becomes 오후 3시 30분. What may be another word"
        " stays.",
    )
    parser.add_argument("texts", nargs="*", default=["-"], metavar="TEXT",
                        help="text, or - for a line each from standard input (default: -)")
    parser.add_argument("--json", action="store_true",
                        help="a JSON list for each text: the tokens as spoken and as written")


def run(args: argparse.Namespace) -> int:
    """Print the written form of each text."""
    from asr.written import to_written, written_tokens

    for text in texts_of(args.texts):
        if args.json:
            tokens = [
                {"spoken": token.spoken, "written": token.written}
                for token in written_tokens(text.split())
            ]
            print(json.dumps(tokens, ensure_ascii=False))
        else:
            print(to_written(text))
    return 0
