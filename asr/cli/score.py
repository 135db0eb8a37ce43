"""`asr score`: error rates of a transcript against a reference, and what is behind them."""

from __future__ import annotations

import argparse
import json
from typing import Any


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
    parser.add_argument("--report", action="store_true",
                        help="also tell confidence intervals, jamo confusions by kind with"
                        " examples, frequent eojeol errors and the worst utterances")
    parser.add_argument("--worst", metavar="N", type=_count,
                        help="how many of the worst utterances are listed (implies --report)")
    parser.add_argument("--compare", metavar="HYP2",
                        help="a second system's transcript: how the rates differ, and how surely")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("-o", "--output", metavar="FILE", help="write to a file instead")


def run(args: argparse.Namespace) -> int:
    """Print or write the report."""
    from asr.score import read_pairs

    pairs = read_pairs(args.reference, args.hypothesis)
    second = read_pairs(args.reference, args.compare) if args.compare else None
    describe = _json if args.json else _table
    text = describe(pairs, second, args)
    if args.output:
        _write(args.output, text + "\n")
    else:
        print(text)
    return 0


def _json(pairs: Any, second: Any, args: argparse.Namespace) -> str:
    from asr.score import score

    if _is_detailed(args):
        content = _detailed(pairs, args).as_dict()
    else:
        content = score(pairs.references, pairs.hypotheses).as_dict()
    if second is not None:
        from asr.score_report import compare_systems

        found = compare_systems(pairs, second)
        content["comparison"] = {name: one.as_dict() for name, one in found.items()}
    return json.dumps(content, ensure_ascii=False)


def _table(pairs: Any, second: Any, args: argparse.Namespace) -> str:
    from asr.score import score

    if _is_detailed(args):
        from asr.score_table import report_table

        text = report_table(_detailed(pairs, args))
    else:
        text = score(pairs.references, pairs.hypotheses).as_table()
    if second is not None:
        from asr.score_report import compare_systems
        from asr.score_table import comparison_table

        text += "\n\n" + comparison_table(compare_systems(pairs, second))
    return text


def _is_detailed(args: argparse.Namespace) -> bool:
    return args.report or args.worst is not None


def _detailed(pairs: Any, args: argparse.Namespace) -> Any:
    from asr.score_report import ReportConfig, detailed_report

    return detailed_report(
        pairs, ReportConfig() if args.worst is None else ReportConfig(worst=args.worst)
    )


def _write(path: str, text: str) -> None:
    from asr.atomic import replaced_file
    from asr.errors import DataError

    try:
        with replaced_file(path) as file:
            file.write(text)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}): give another --output"
                        ) from error


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)
