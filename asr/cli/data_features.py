"""The actions of `asr data` that compute: features on disk, and copies at other speeds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from asr.cli.data_parts import add_reading, add_writing, read, summary, write
from asr.cli.features import add_feature_options, feature_config
from asr.cli.progress import shown_progress

Actions = argparse._SubParsersAction
SHOWN = 10
"""Utterances without features that are named."""


def add_actions(actions: Actions[argparse.ArgumentParser]) -> None:
    """Declare the actions."""
    _add_features(actions)
    _add_speed(actions)


def _add_features(actions: Actions[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "features",
        help="compute features into Kaldi's archives",
        description="Write DIR with features to OUT: feats.scp, cmvn.scp (statistics by speaker),"
        " utt2num_frames, conf/TYPE.conf and archives/. OUT may be DIR.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="data directory")
    parser.add_argument("out", type=Path, metavar="OUT", help="data directory to write")
    parser.add_argument(
        "--compress", action="store_true", help="store a byte a value as Kaldi does, not a float"
    )
    parser.add_argument(
        "--min-kept",
        type=float,
        default=0.95,
        metavar="SHARE",
        help="fail where fewer utterances than this give features (default: 0.95)",
    )
    add_reading(parser)
    add_feature_options(parser)
    parser.set_defaults(action=_features)


def _features(args: argparse.Namespace) -> int:
    config = feature_config(args)
    from asr.data.features_on_disk import StorageConfig, write_features

    storage = StorageConfig(args.compress, args.min_kept)
    data = read(args.dir, args)
    with shown_progress() as progress:
        report = write_features(data, args.out, config, storage, progress)
    for number, (name, reason) in enumerate(report.failed.items()):
        if number < SHOWN:
            print(
                f"asr: warning: {name} has no features and was left out: {reason}", file=sys.stderr
            )
    more = len(report.failed) - SHOWN
    if more > 0:
        print(f"asr: warning: {more} more were left out", file=sys.stderr)
    left_out = f", {len(report.failed)} left out" if report.failed else ""
    print(f"{args.out}\t{summary(report.data)}, {report.frames} frames of {report.dim}{left_out}")
    return 0


def _add_speed(actions: Actions[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "speed",
        help="copies of all utterances at other speeds",
        description="Write every utterance at each speed (Kaldi's sp0.9-, sp1.1- copies, their"
        " speakers new ones) to OUT. No sound is written: utt2speed says how fast each is played"
        " when it is read.",
    )
    parser.add_argument("dir", type=Path, metavar="DIR", help="data directory")
    parser.add_argument("out", type=Path, metavar="OUT", help="data directory to write")
    parser.add_argument(
        "--factors",
        type=float,
        nargs="+",
        default=[0.9, 1.0, 1.1],
        metavar="F",
        help="default: 0.9 1.0 1.1",
    )
    add_reading(parser)
    add_writing(parser)
    parser.set_defaults(action=_speed)


def _speed(args: argparse.Namespace) -> int:
    from asr.data.choosing import perturb_speed

    write(perturb_speed(read(args.dir, args), args.factors), args.out, args)
    return 0
