"""`asr pretrain`: teach a network what speech is like, by speech that nobody transcribed."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.cli.options import given, mfcc_config
from asr.cli.outputs import work_folder
from asr.cli.progress import shown_progress
from asr.cli.speech_data import DATA_HELP, SpokenSound, spoken_sounds
from asr.errors import UsageError
from asr.pretraining import NETWORK_FOLDER

if TYPE_CHECKING:
    from torch import Tensor

    from asr.features import MfccConfig
    from asr.features.ivector import IvectorConfig, IvectorParams
    from asr.pretraining.greedy import GreedyConfig
    from asr.pretraining.masked_training import MaskedConfig
    from asr.progress import Progress

    Extractor = tuple[IvectorParams, IvectorConfig, MfccConfig]

DESCRIPTION = """\
Pre-train a network on speech without texts. rbm and autoencoder train the hidden layers of a
multilayer perceptron one after the other and write them to the file OUT. masked trains a TDNN-F or
Conformer to guess hidden stretches of speech and writes it to the folder OUT. What was interrupted
goes on where it stopped when the same command is given again.
"""
KINDS = ("rbm", "autoencoder", "masked")
_LAYERS = ("layers", "dim", "context", "batch")
_MASKED = ("network", "clusters", "mask_share", "mask_span", "learning_rate", "ivector")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "pretrain", help="pre-train a network on untranscribed speech", description=DESCRIPTION
    )
    parser.add_argument("--kind", choices=KINDS, required=True, help="how")
    parser.add_argument("data", metavar="DATA", nargs="+", help=DATA_HELP)
    parser.add_argument("output", metavar="OUT", type=Path, help="what to write")
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="times through the speech (rbm, autoencoder: for each layer)",
    )
    parser.add_argument(
        "--mfcc-config",
        type=Path,
        metavar="FILE",
        help="Kaldi's mfcc.conf; default: 40 cepstra of 40 mel bins",
    )
    parser.add_argument(
        "--max-hours",
        type=float,
        metavar="H",
        help="use no more speech than this (it is held in memory)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="where to keep what is begun, until it is done (OUT.work)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    layers = parser.add_argument_group("rbm and autoencoder")
    layers.add_argument("--layers", type=int, metavar="N", help="how many (3)")
    layers.add_argument("--dim", type=int, metavar="N", help="their width (512)")
    layers.add_argument(
        "--context",
        type=int,
        metavar="N",
        help="frames to either side that the first one reads (5)",
    )
    layers.add_argument("--batch", type=int, metavar="N", help="frames a step (256)")
    masked = parser.add_argument_group("masked")
    masked.add_argument(
        "--network", metavar="JSON", help='kind and options of the network (\'{"kind": "tdnnf"}\')'
    )
    masked.add_argument(
        "--clusters", type=int, metavar="N", help="of frames, which are to be guessed (100)"
    )
    masked.add_argument("--mask-share", type=float, metavar="P",
                        help="part of the frames at which a hidden span begins (0.05)")
    masked.add_argument("--mask-span", type=int, metavar="N",
                        help="frames of a hidden span (10; more for networks that see far)")
    masked.add_argument("--learning-rate", type=float, metavar="R", help="at the beginning (0.002)")
    masked.add_argument(
        "--ivector",
        type=Path,
        metavar="MODEL",
        help="take i-vectors from this bundle's extractor (`asr train-ivector`)",
    )


def run(args: argparse.Namespace) -> int:
    """Pre-train and write."""
    others = _LAYERS if args.kind == "masked" else _MASKED
    for name in others:
        if getattr(args, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is not for --kind {args.kind}")
    if args.max_hours is not None and args.max_hours <= 0:
        raise UsageError("--max-hours must be above 0")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("asr pretrain runs in one process: start it without torchrun")
    network = _network(args)
    _check_output(args)
    from asr.acoustic.scorer import torch_device

    torch_device(args.device)
    features = mfcc_config(args.mfcc_config)
    if args.kind == "masked":
        config = _masked_config(args, features)
        train = partial(_masked, args, features, network, config, _extractor(args))
    else:
        train = partial(_greedy, args, features, _greedy_config(args))
    sounds = {sound.id: sound for sound in spoken_sounds(args.data)}
    work = work_folder(args)
    with shown_progress() as progress:
        progress(0.0, f"{len(sounds)} utterances")
        train(sounds, work, progress)
    shutil.rmtree(work)
    return 0


def _greedy_config(args: argparse.Namespace) -> GreedyConfig:
    from asr.pretraining.greedy import GreedyConfig

    sizes = {name: getattr(args, name) for name in ("layers", "dim", "batch", "epochs")}
    return replace(GreedyConfig(kind=args.kind, seed=args.seed), **given(sizes))


def _masked_config(args: argparse.Namespace, features: MfccConfig) -> MaskedConfig:
    from asr.pretraining.masked_training import MaskedConfig

    config = MaskedConfig()
    train = {"epochs": args.epochs, "learning_rate": args.learning_rate, "seed": args.seed}
    mask = {"start_share": args.mask_share, "span": args.mask_span}
    return replace(
        config,
        mask=replace(config.mask, **given(mask)),
        clusters=replace(config.clusters, **given({"clusters": args.clusters})),
        train=replace(config.train, **given(train)),
        **_max_frames(args, features),
    )


def _extractor(args: argparse.Namespace) -> Extractor | None:
    from asr.ivector_model import read_extractor

    return None if args.ivector is None else read_extractor(args.ivector)


def _greedy(
    args: argparse.Namespace,
    features: MfccConfig,
    config: GreedyConfig,
    sounds: dict[str, SpokenSound],
    work: Path,
    progress: Progress,
) -> None:
    from asr.features.config import to_options
    from asr.pretraining.frames import gather_frames
    from asr.pretraining.greedy import pretrain_layers
    from asr.pretraining.stack import LayerStack
    from asr.work_folder import claim

    context = 5 if args.context is None else args.context
    limit = _max_frames(args, features)
    options = {**asdict(config), "context": context, **to_options(features), **limit}
    claim(work, options, sounds)
    path = work / "layers.safetensors"
    begun = LayerStack.load(path) if path.exists() else None
    read = _reader(sounds, features)
    pool = gather_frames(list(sounds), read, context, seed=args.seed, **limit).to(args.device)
    stack = pretrain_layers(
        pool,
        config,
        progress,
        None if begun is None else begun.to(args.device),
        after_layer=lambda done: done.save(path),
    )
    stack.save(args.output)


def _masked(
    args: argparse.Namespace,
    features: MfccConfig,
    network: dict[str, Any],
    config: MaskedConfig,
    extractor: Extractor | None,
    sounds: dict[str, SpokenSound],
    work: Path,
    progress: Progress,
) -> None:
    from asr.acoustic.networks import build_network, save_network
    from asr.atomic import replaced_folder
    from asr.pretraining.masked_training import TARGETS_FILE, pretrain_masked

    ivectors, width = _ivectors(extractor, sounds)

    def build(feature_dim: int, outputs: int) -> Any:
        sizes = {"feature_dim": feature_dim, "num_pdfs": outputs}
        return build_network({**network, **sizes, **({"ivector_dim": width} if width else {})})

    trained, _ = pretrain_masked(
        list(sounds),
        _reader(sounds, features),
        build,
        work,
        config,
        progress,
        ivectors,
        args.device,
    )
    with replaced_folder(args.output) as folder:
        save_network(folder / NETWORK_FOLDER, trained)
        shutil.copyfile(work / TARGETS_FILE, folder / TARGETS_FILE)
        shutil.copyfile(work / "metrics.jsonl", folder / "metrics.jsonl")


def _network(args: argparse.Namespace) -> dict[str, Any]:
    """What --network says.

    Raises:
        UsageError: no JSON object, or one that sets what is known already.
    """
    try:
        network = json.loads(args.network or '{"kind": "tdnnf", "xent": false}')
    except ValueError as error:
        raise UsageError(f"--network is not JSON ({error})") from error
    if not isinstance(network, dict) or "kind" not in network:
        raise UsageError('--network is an object with a kind, such as {"kind": "tdnnf"}')
    known = [name for name in ("feature_dim", "num_pdfs", "ivector_dim") if name in network]
    if known:
        raise UsageError(f"--network sets {known[0]}, which follows from the data; leave it out")
    return network


def _reader(sounds: dict[str, SpokenSound], config: MfccConfig) -> Callable[[str], Tensor]:
    """From an utterance's name to the features that a network is trained on."""
    from asr.ivector_model import FlooredMfcc

    features = FlooredMfcc(config)
    rate = round(config.frame.sample_frequency)
    return lambda name: features(sounds[name].samples(rate))


def _ivectors(
    read: Extractor | None, sounds: dict[str, SpokenSound]
) -> tuple[Callable[[str], Tensor] | None, int]:
    """From a name to an i-vector, and its width; None and 0 without --ivector."""
    if read is None:
        return None, 0
    from asr.features.ivector import IvectorExtractor
    from asr.ivector_model import SpeechMfcc

    params, config, features = read
    extractor, mfcc = IvectorExtractor(params, config), SpeechMfcc(features)
    rate = round(features.frame.sample_frequency)
    return lambda name: extractor.extract(mfcc(sounds[name].samples(rate))), params.ivector_dim


def _max_frames(args: argparse.Namespace, config: MfccConfig) -> dict[str, Any]:
    if args.max_hours is None:
        return {}
    return {"max_frames": round(args.max_hours * 3_600_000 / config.frame.frame_shift)}


def _check_output(args: argparse.Namespace) -> None:
    """Refuse a place that will not do before the work, not after it."""
    path = args.output
    if args.kind == "masked":
        if path.exists() and not (path / NETWORK_FOLDER).is_dir():
            raise UsageError(f"{path} holds something other than a network: choose another OUT")
    elif path.is_dir():
        raise UsageError(f"{path} is a folder: choose a file for OUT")
