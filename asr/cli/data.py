"""`asr data`: Kaldi data directories, made, checked, mended, split, joined and given features."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from asr.cli import data_features, data_parts
from asr.cli.progress import shown_progress
from asr.errors import UsageError

if TYPE_CHECKING:
    from asr.data.tables import Defect
    from asr.data.validation import ValidationConfig

DESCRIPTION = """\
Work on data directories in Kaldi's format (wav.scp, segments, text, utt2spk, ...).
`asr data ACTION --help` tells more of an action.
"""
SHOWN = 10
"""Defects of one kind in one file that are printed without --all."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser("data", help="Kaldi data directories", description=DESCRIPTION)
    actions = parser.add_subparsers(metavar="ACTION", title="actions", required=True)
    _add_from_corpus(actions)
    _add_validate(actions)
    _add_fix(actions)
    data_parts.add_actions(actions)
    data_features.add_actions(actions)
    for action in actions.choices.values():
        action.add_argument(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,
            help="show tracebacks and details on standard error",
        )


def run(args: argparse.Namespace) -> int:
    """Run the action that was chosen."""
    action: Callable[[argparse.Namespace], int] = args.action
    return action(args)


def _add_from_corpus(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "from-corpus",
        help="make a data directory from a published corpus",
        description="Write the data directory of a corpus in the layout in which it is published."
        " Texts are read out (--text spoken): 7년 becomes 칠년.",
    )
    parser.add_argument("corpus", choices=("emotiontts", "pansori"), help="the corpus")
    parser.add_argument("root", type=Path, metavar="ROOT", help="its folder")
    parser.add_argument("out", type=Path, metavar="OUT", help="data directory to write")
    parser.add_argument(
        "--splits", type=Path, metavar="FILE", help="JSON file that lists the ids of each split"
    )
    parser.add_argument("--split", metavar="NAME", help="train, dev or test of --splits")
    parser.add_argument(
        "--text",
        choices=("spoken", "transcript", "script"),
        default="spoken",
        help="spoken (default): as read aloud, in Hangul and spaces; transcript: as"
        " the corpus has it; script: as written",
    )
    _add_output_options(parser)
    parser.set_defaults(action=_from_corpus)


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--relative",
        action="store_true",
        help="write paths of sounds relative to OUT (for moving both together;"
        " Kaldi's own tools do not find them)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a data directory that is there"
    )


def _from_corpus(args: argparse.Namespace) -> int:
    from asr.data.from_corpus import corpus_directory

    with shown_progress() as progress:
        data = corpus_directory(
            args.corpus,
            args.root,
            splits=args.splits,
            split=args.split,
            text=args.text,
            progress=progress,
        )
    data.write(args.out, replace=args.force, relative=args.relative)
    print(f"{args.out}\t{data_parts.summary(data)}")
    return 0


def _add_checks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--no-text", action="store_true", help="text need not be there")
    parser.add_argument(
        "--no-feats",
        action="store_true",
        help="feats.scp need not be there, and is not looked into",
    )
    parser.add_argument(
        "--allow-pipes",
        action="store_true",
        help="wav.scp may hold shell commands (they are not run)",
    )
    parser.add_argument("--no-sounds", action="store_true", help="do not open the sounds")


def _checks(args: argparse.Namespace) -> ValidationConfig:
    from asr.data.validation import ValidationConfig

    decode = getattr(args, "decode", False)
    if decode and args.no_sounds:
        raise UsageError("--decode opens the sounds, which --no-sounds forbids: give one of them")
    return ValidationConfig(
        text=not args.no_text,
        features=not args.no_feats,
        allow_pipes=args.allow_pipes,
        sounds=not args.no_sounds,
        decode=decode,
    )


def _add_validate(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "validate",
        help="find every defect of a data directory",
        description="Print a line for each defect: file, line, what is wrong and how to mend it."
        " Exit code 1 if there is any.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="data directory")
    _add_checks(parser)
    parser.add_argument(
        "--decode", action="store_true", help="read every sound to its end, not only its header"
    )
    parser.add_argument(
        "--all", action="store_true", help=f"print more than {SHOWN} defects of a kind"
    )
    parser.set_defaults(action=_validate)


def _validate(args: argparse.Namespace) -> int:
    from asr.data.validation import validate

    defects = validate(args.dir, _checks(args))
    shown: dict[tuple[str, str], int] = {}
    for defect in defects:
        place = (defect.file, defect.kind)
        shown[place] = shown.get(place, 0) + 1
        if args.all or shown[place] <= SHOWN:
            print(f"{args.dir}/{defect}")
    for (file, kind), count in shown.items():
        if count > SHOWN and not args.all:
            print(
                f"{args.dir}/{file}: {count - SHOWN} more of this kind ({kind}): see them with"
                " --all"
            )
    _say_sum(args.dir, defects)
    return 1 if defects else 0


def _say_sum(folder: Path, defects: list[Defect]) -> None:
    if defects:
        files = len({defect.file for defect in defects})
        noun = "defect" if len(defects) == 1 else "defects"
        print(f"{folder}: {len(defects)} {noun} in {files} {'file' if files == 1 else 'files'}")
    else:
        print(f"{folder}: sound")


def _add_fix(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "fix",
        help="mend a data directory",
        description="Sort, clean and drop what is incomplete, and say what was dropped and why."
        " In place, files are kept as they were in DIR/.backup.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="data directory")
    parser.add_argument(
        "out",
        type=Path,
        nargs="?",
        metavar="OUT",
        help="write the mended directory here (default: in place)",
    )
    _add_checks(parser)
    parser.set_defaults(action=_fix)


def _fix(args: argparse.Namespace) -> int:
    from asr.data.fixing import BACKUP, fix

    report = fix(args.dir, args.out, _checks(args))
    for note in report.notes:
        print(f"note\t{note}")
    for name, reason in report.dropped.items():
        print(f"dropped\t{name}\t{reason}")
    where = args.out or args.dir
    backup = "" if args.out else f" (as it was: {args.dir / BACKUP})"
    print(f"{where}\tkept {report.kept} utterances, dropped {len(report.dropped)}{backup}")
    return 0
