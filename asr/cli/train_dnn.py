"""`asr train-dnn`: the hybrid DNN-HMM, by cross-entropy on a GMM system's alignments."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from asr.cli.options import given
from asr.cli.outputs import check_folder_output, work_folder
from asr.cli.progress import shown_progress
from asr.cli.speech_data import DATA_HELP, spoken_sounds
from asr.cli.trainer_options import (
    add_trainer_options,
    check_disjoint,
    refuse_shared,
    set_up,
    trainer_config,
)

if TYPE_CHECKING:
    from asr.hybrid.training import HybridReport

_MOST_NAMED = 20
"""Utterances that are left out are all counted, and so many are named."""

DESCRIPTION = """\
Train a multilayer perceptron to tell the HMM states of a system of `asr gmm` from its features
(with speakers' transforms, where it has them), and write both to the folder OUT, which `asr gmm
decode --system OUT` recognises with. Its layers may be pre-trained, one after the other, on the
same speech and on speech without texts. What was interrupted goes on when the same command is
given again.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "train-dnn", help="train a network on a Gaussian mixture system's alignments",
        description=DESCRIPTION,
    )  # fmt: skip
    parser.add_argument("data", metavar="DATA", nargs="+", help=DATA_HELP)
    parser.add_argument("output", metavar="OUT", type=Path, help="folder of the new model")
    parser.add_argument("--system", type=Path, metavar="DIR", required=True,
                        help="a system of `asr gmm`, trained on DATA")
    parser.add_argument("--dev", metavar="DATA", nargs="+", default=[],
                        help="the weights that do best on this speech are kept")
    parser.add_argument("--layers", type=int, metavar="N", help="hidden layers (4)")
    parser.add_argument("--dim", type=int, metavar="N", help="their width (512)")
    parser.add_argument("--context", type=int, metavar="N",
                        help="frames to either side that are read (7)")
    parser.add_argument("--nonlinearity", choices=("sigmoid", "relu"),
                        help="of the hidden layers: sigmoid, or relu with batch norm (sigmoid where"
                             " they are pre-trained, else relu)")
    parser.add_argument("--pretrain", choices=("none", "rbm", "autoencoder"),
                        help="how the layers are trained before (none)")
    parser.add_argument("--pretrain-epochs", type=int, metavar="N",
                        help="times through the speech, each layer (4)")
    parser.add_argument("--untranscribed", metavar="DATA", nargs="+", default=[],
                        help="further speech to pre-train on; its texts are not looked at")
    add_trainer_options(parser, "6", "1e-3; it falls to a fiftieth", 2000)


def run(args: argparse.Namespace) -> int:
    """Train and write."""
    from asr.hybrid.model import is_hybrid
    from asr.hybrid.training import HybridConfig, train_hybrid

    check_folder_output(args.output, is_hybrid)
    work = work_folder(args)
    names = ("layers", "dim", "context", "pretrain", "pretrain_epochs", "nonlinearity")
    config = replace(HybridConfig(), **given({name: getattr(args, name) for name in names}))
    config = replace(config, training=trainer_config(config.training, args))
    set_up(args)
    speech, dev, untranscribed = (
        spoken_sounds(names) if names else [] for names in (args.data, args.dev, args.untranscribed)
    )
    check_disjoint(speech, dev)
    refuse_shared(
        speech, untranscribed, "is in DATA and in --untranscribed: leave it out of the latter, as"
        " layers are pre-trained on DATA anyway",
    )  # fmt: skip
    with shown_progress() as progress:
        progress(0.0, f"{len(speech)} utterances")
        report = train_hybrid(
            args.system, speech, args.output, work, dev=dev, untranscribed=untranscribed,
            config=config, licence=args.licence, attribution=args.attribution,
            progress=progress, device=args.device,
        )  # fmt: skip
    print(_told(report))
    return 0


def _told(report: HybridReport) -> str:
    summary = report.summary
    lines = [
        f"trained on {report.utterances} utterances, {report.frames} frames;"
        f" {len(report.unused)} left out",
        f"{summary.step} steps in {summary.seconds:.0f} s",
        *(f"{name}: {value:.4f}" for name, value in sorted(summary.metrics.items())),
    ]
    for name, why in list(report.unused.items())[:_MOST_NAMED]:
        lines.append(f"left out: {name}: {why}")
    if report.pretrained:
        lines.insert(1, f"layers pre-trained on {report.pretrained} frames")
    return "\n".join(lines)
