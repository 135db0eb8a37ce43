"""`asr train-ivector`: train an i-vector extractor from speech."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from asr.cli.options import given, mfcc_config
from asr.cli.outputs import check_bundle_output, work_folder
from asr.cli.progress import shown_progress
from asr.cli.speech_data import DATA_HELP, spoken_sounds

if TYPE_CHECKING:
    from asr.features.ivector_training import IvectorTrainingConfig

DESCRIPTION = """\
Train an i-vector extractor: a vector for each utterance that tells an acoustic model who speaks and
through what channel. It needs no texts and no names of speakers. What was interrupted goes on where
it stopped when the same command is given again.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "train-ivector", help="train an i-vector extractor from speech", description=DESCRIPTION
    )
    parser.add_argument("data", metavar="DATA", nargs="+", help=DATA_HELP)
    parser.add_argument("output", metavar="OUT", type=Path, help="folder to write")
    parser.add_argument("--gaussians", type=int, metavar="N",
                        help="of the background model (256; Kaldi's 512 for many hours)")
    parser.add_argument("--dim", type=int, metavar="N",
                        help="of the i-vectors (60; Kaldi's 100 for many hours)")
    parser.add_argument("--feature-dim", type=int, metavar="N",
                        help="that spliced frames are projected to (40)")
    parser.add_argument("--ubm-iterations", type=int, metavar="N",
                        help="of training the background model (20)")
    parser.add_argument("--iterations", type=int, metavar="N",
                        help="of training the extractor (10)")
    parser.add_argument("--min-count", type=float, metavar="N",
                        help="Gaussians with fewer frames (a tenth each) are not adapted (100)")
    parser.add_argument("--mfcc-config", type=Path, metavar="FILE",
                        help="Kaldi's mfcc.conf; default: 40 cepstra of 40 mel bins")
    parser.add_argument("--work", type=Path, metavar="DIR",
                        help="where to keep what is begun, until it is done (OUT.work)")
    parser.add_argument("--licence", default="", metavar="TEXT",
                        help="kept in the model: terms under which it may be passed on")
    parser.add_argument("--attribution", default="", metavar="TEXT",
                        help="kept in the model: whom to name")


def run(args: argparse.Namespace) -> int:
    """Train and write."""
    config = _config(args)
    sounds = {sound.id: sound for sound in spoken_sounds(args.data)}
    check_bundle_output(args.output)
    work = work_folder(args)
    with shown_progress() as progress:
        progress(0.0, f"{len(sounds)} utterances")
        import torch

        from asr.features.ivector_training import Speech, train_ivectors
        from asr.ivector_model import SpeechMfcc, write_extractor

        features = mfcc_config(args.mfcc_config)
        speech_mfcc = SpeechMfcc(features)
        rate = round(features.frame.sample_frequency)

        def mfcc(name: str) -> torch.Tensor:
            return speech_mfcc(sounds[name].samples(rate))

        params = train_ivectors(Speech(tuple(sounds), mfcc), work, config, progress)
        extraction = config.extraction
        write_extractor(
            args.output, params, extraction, features, args.licence, args.attribution
        )
    shutil.rmtree(work)
    return 0


def _config(args: argparse.Namespace) -> IvectorTrainingConfig:
    from dataclasses import replace

    from asr.features.ivector_training import IvectorTrainingConfig

    config = IvectorTrainingConfig()
    ubm = {"num_gaussians": args.gaussians, "iterations": args.ubm_iterations}
    extractor = {
        "ivector_dim": args.dim, "iterations": args.iterations, "min_count": args.min_count
    }  # fmt: skip
    whole = {"feature_dim": args.feature_dim}
    return replace(
        config,
        ubm=replace(config.ubm, **given(ubm)),
        extractor=replace(config.extractor, **given(extractor)),
        **given(whole),
    )
