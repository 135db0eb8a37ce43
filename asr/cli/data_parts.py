"""The actions of `asr data` that take directories apart or put them together."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.cli.progress import shown_progress
from asr.errors import UsageError

if TYPE_CHECKING:
    from asr.data.directory import DataDir
    from asr.data.leaks import Leak

Actions = argparse._SubParsersAction
SIZE = "10%% (of the seconds), 600s, 10m, 1.5h, 3spk (speakers) or 200 (utterances)"
SHOWN = 20
"""Leaks of one kind that are printed without --all."""


def add_actions(actions: Actions[argparse.ArgumentParser]) -> None:
    """Declare the actions."""
    _add_stats(actions)
    _add_split(actions)
    _add_subset(actions)
    _add_combine(actions)
    _add_leaks(actions)


def summary(data: DataDir) -> str:
    """Utterances, speakers and hours in a few words."""
    hours = sum(data.durations.values()) / 3600
    time = f"{hours:.2f} h" if hours >= 1 else f"{60 * hours:.1f} min"
    return f"{len(data.utterances)} utterances, {len(data.speakers)} speakers, {time}"


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Declare how a directory is read."""
    parser.add_argument(
        "--allow-pipes",
        action="store_true",
        help="take shell commands in wav.scp, and run them when sound is needed",
    )


def add_writing(parser: argparse.ArgumentParser) -> None:
    """Declare how a directory is written."""
    parser.add_argument(
        "--relative",
        action="store_true",
        help="write paths of sounds relative to the new directory",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a data directory that is there"
    )


def read(path: Path, args: argparse.Namespace) -> DataDir:
    """Read a directory as `add_reading` declares."""
    from asr.data.directory import DataDir

    return DataDir.read(path, allow_pipes=args.allow_pipes)


def write(data: DataDir, path: Path, args: argparse.Namespace) -> None:
    """Write a directory as `add_writing` declares, and say what is in it."""
    if data.path is not None and os.path.realpath(data.path) == os.path.realpath(path):
        raise UsageError(f"{path} would be overwritten by a part of itself: name another OUT")
    data.write(path, replace=args.force, relative=args.relative)
    print(f"{path}\t{summary(data)}")


def _add_stats(actions: Actions[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "stats", help="sizes of data directories", description="Print what is in each directory."
    )
    parser.add_argument("dirs", type=Path, nargs="+", metavar="DIR", help="data directories")
    parser.add_argument("--json", action="store_true", help="print a JSON object a directory")
    add_reading(parser)
    parser.set_defaults(action=_stats)


def _stats(args: argparse.Namespace) -> int:
    for path in args.dirs:
        figures = _figures(read(path, args))
        if args.json:
            print(json.dumps({"directory": str(path), **figures}, ensure_ascii=False))
        else:
            print(path)
            for name, value in figures.items():
                print(f"  {name}\t{value}")
    return 0


def _figures(data: DataDir) -> dict[str, Any]:
    from statistics import median

    lengths = sorted(data.durations.values())
    figures: dict[str, Any] = {
        "utterances": len(lengths),
        "speakers": len(data.speakers),
        "recordings": len(data.recordings),
        "seconds": round(sum(lengths), 2),
        "hours": round(sum(lengths) / 3600, 3),
        "shortest": round(lengths[0], 2) if lengths else None,
        "median": round(median(lengths), 2) if lengths else None,
        "longest": round(lengths[-1], 2) if lengths else None,
    }
    if data.utterances and data.has_text:
        words = [word for u in data.utterances for word in (u.text or "").split()]
        syllables = sum("가" <= character <= "힣" for word in words for character in word)
        figures |= {
            "eojeol": len(words),
            "different eojeol": len(set(words)),
            "different sentences": len({u.text for u in data.utterances}),
            "syllables a second": round(syllables / sum(lengths), 2) if sum(lengths) else None,
        }
    return figures


def _add_split(actions: Actions[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "split",
        help="into train, dev and test that share no speaker and no sentence",
        description=f"Write OUT/train, OUT/dev and OUT/test. A size is {SIZE}.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="data directory")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the three directories")
    parser.add_argument("--dev", default="10%", metavar="SIZE", help="default: 10%%")
    parser.add_argument("--test", default="10%", metavar="SIZE", help="default: 10%%")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another split")
    add_reading(parser)
    add_writing(parser)
    parser.set_defaults(action=_split)


def _split(args: argparse.Namespace) -> int:
    from asr.data.splitting import PARTS, SplitConfig, split

    if args.seed < 0:
        raise UsageError("--seed must not be negative")
    data = read(args.dir, args)
    result = split(data, SplitConfig(args.dev, args.test, args.seed))
    for name in PARTS:
        write(result.parts[name], args.out / name, args)
    for name in result.dropped:
        print(f"dropped\t{name}\tanother part has its sentence")
    return 0


def _add_subset(actions: Actions[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "subset",
        help="a part of a data directory",
        description=f"Write a part of DIR to OUT. A size is {SIZE}. Seconds are not exceeded.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="data directory")
    parser.add_argument("out", type=Path, metavar="OUT", help="data directory to write")
    parser.add_argument("--size", metavar="SIZE", help="how much (default: all that is listed)")
    parser.add_argument(
        "--order",
        choices=("first", "random", "shortest"),
        default="random",
        help="what is taken first (default: random)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed, another draw")
    parser.add_argument("--speakers", nargs="+", metavar="SPEAKER", help="only these speakers")
    parser.add_argument(
        "--list", type=Path, metavar="FILE", help="only the utterances that begin the lines of FILE"
    )
    add_reading(parser)
    add_writing(parser)
    parser.set_defaults(action=_subset)


def _subset(args: argparse.Namespace) -> int:
    from asr.data.choosing import SubsetConfig, read_list, subset

    if args.size is None and args.speakers is None and args.list is None:
        raise UsageError("nothing to choose by: give --size, --speakers or --list")
    if args.seed < 0:
        raise UsageError("--seed must not be negative")
    config = SubsetConfig(
        args.size,
        args.order,
        args.seed,
        None if args.speakers is None else tuple(args.speakers),
        None if args.list is None else read_list(args.list),
    )
    write(subset(read(args.dir, args), config), args.out, args)
    return 0


def _add_combine(actions: Actions[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "combine",
        help="several data directories as one",
        description="Write the union of directories to OUT.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="data directory to write")
    parser.add_argument("dirs", type=Path, nargs="+", metavar="DIR", help="data directories")
    add_reading(parser)
    add_writing(parser)
    parser.set_defaults(action=_combine)


def _combine(args: argparse.Namespace) -> int:
    from asr.data.choosing import combine

    if len(args.dirs) < 2:
        raise UsageError("give OUT and at least two directories to combine")
    write(combine([read(path, args) for path in args.dirs]), args.out, args)
    return 0


def _add_leaks(actions: Actions[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "leaks",
        help="what test sets share with what was trained on",
        description="Exit with code 1 where a dev or test set shares speakers, sounds or sentences"
        " with TRAIN, or sentences with texts that language models or their units were trained on."
        " Sentences are compared as read aloud, without spaces and punctuation; one of four eojeol"
        " or more within another counts too.",
    )
    parser.add_argument("train", type=Path, metavar="TRAIN", help="data directory trained on")
    parser.add_argument(
        "--test",
        type=Path,
        nargs="+",
        metavar="DIR",
        required=True,
        help="dev and test data directories",
    )
    parser.add_argument(
        "--text",
        type=Path,
        nargs="+",
        metavar="FILE",
        default=[],
        help="training texts, a sentence a line, plain or compressed (.gz, .xz)",
    )
    parser.add_argument(
        "--text-eojeol",
        type=int,
        default=2,
        metavar="N",
        help="sentences of fewer eojeol are no leak in --text (default: 2; everybody"
        " says 안녕하세요)",
    )
    parser.add_argument("--allow", action="store_true", help="only report: exit with code 0")
    parser.add_argument(
        "--all", action="store_true", help=f"print more than {SHOWN} leaks of a kind"
    )
    add_reading(parser)
    parser.set_defaults(action=_leaks)


def _leaks(args: argparse.Namespace) -> int:
    from asr.data.leaks import LeakConfig, find_leaks

    train = read(args.train, args)
    tests = [read(path, args) for path in args.test]
    with shown_progress() as progress:
        leaks = find_leaks(train, tests, args.text, LeakConfig(args.text_eojeol), progress)
    counts: dict[str, int] = {}
    for leak in leaks:
        counts[leak.kind] = counts.get(leak.kind, 0) + 1
        if args.all or counts[leak.kind] <= SHOWN:
            print(leak)
    if not leaks:
        print("no leaks")
        return 0
    _say_leaks(leaks, counts)
    return 0 if args.allow else 1


def _say_leaks(leaks: list[Leak], counts: dict[str, int]) -> None:
    touched = len({leak.test for leak in leaks if leak.kind != "speaker"})
    found = ", ".join(f"{count} by {kind}" for kind, count in counts.items())
    print(
        f"asr: {len(leaks)} leaks ({found}) touch {touched} utterances of the test sets: take"
        " them out of what is trained on, or choose other test data",
        file=sys.stderr,
    )
