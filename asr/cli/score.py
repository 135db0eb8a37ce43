"""`asr score`: error rates of a transcript against a reference."""

from __future__ import annotations

import argparse
import json


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "score",
        help="error rates of a transcript against a reference",
        description="Character, eojeol and jamo error rates and the F1 of spacing. Both files hold"
        " one utterance a line: 'ID TEXT' as Kaldi writes it, or text alone.",
    )
    parser.add_argument("reference", metavar="REF")
    parser.add_argument("hypothesis", metavar="HYP")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the report."""
    from asr.score import score_files

    report = score_files(args.reference, args.hypothesis)
    print(json.dumps(report.as_dict(), ensure_ascii=False) if args.json else report.as_table())
    return 0
