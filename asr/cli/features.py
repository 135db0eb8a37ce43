"""``asr features``: the MFCC or filterbank features of a sound file as a NumPy array.

The options are those of `asr.features.config`, which names them as Kaldi does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from asr.features.config import (
    FbankConfig,
    FeatureConfig,
    MfccConfig,
    Option,
    Value,
    from_options,
    options_of,
)

TYPES: dict[str, type[FbankConfig] | type[MfccConfig]] = {"mfcc": MfccConfig, "fbank": FbankConfig}
_PREFIX = "option_"  # keeps feature options apart from the command's own


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand to an ``argparse`` parser's subparsers."""
    parser = subparsers.add_parser(
        "features",
        help="write a sound file's MFCC or filterbank features",
        description="Compute Kaldi-compatible features and write them as a float32 array "
        "(frames, dimensions) in NumPy's .npy format.",
    )
    parser.add_argument("file", metavar="FILE", help="sound file, or - for standard input")
    parser.add_argument("--output", metavar="X.npy", required=True, help="file to write")
    add_feature_options(parser)


def add_feature_options(parser: argparse.ArgumentParser) -> None:
    """Declare --type and Kaldi's options of it, which `feature_config` reads."""
    parser.add_argument("--type", choices=sorted(TYPES), default="mfcc", help="default: mfcc")
    group = parser.add_argument_group("Kaldi's options (true or false where a flag is meant)")
    for name, by_type in _all_options().items():
        first = next(iter(by_type.values()))
        is_flag = isinstance(first.default, bool)
        group.add_argument(
            f"--{name}",
            dest=_PREFIX + name,
            nargs="?" if is_flag else None,
            const="true" if is_flag else None,
            metavar="BOOL" if is_flag else type(first.default).__name__.upper(),
            help=f"{first.help} ({_defaults(by_type)})".replace("%", "%%"),
        )


def _all_options() -> dict[str, dict[str, Option]]:
    """Option name to the feature types that have it, in a fixed order."""
    options: dict[str, dict[str, Option]] = {}
    for kind, config_type in TYPES.items():
        for option in options_of(config_type):
            options.setdefault(option.name, {})[kind] = option
    return options


def _defaults(by_type: dict[str, Option]) -> str:
    texts = {kind: str(option.default).lower() for kind, option in by_type.items()}
    if len(texts) == len(TYPES) and len(set(texts.values())) == 1:
        return f"default: {next(iter(texts.values()))}"
    return ", ".join(f"{kind}: {text}" for kind, text in texts.items())


def run(args: argparse.Namespace) -> int:
    """Compute and write the features.

    Raises:
        AudioError: the sound cannot be read.
        UsageError: a bad option, or one that the type of features does not have.
        DataError: the output cannot be written.
    """
    features = _compute(args.file, feature_config(args))
    _write(Path(args.output), features)
    return 0


def feature_config(args: argparse.Namespace) -> FeatureConfig:
    """The config that the options of `add_feature_options` ask for.

    Raises:
        UsageError: a bad option, or one that the type of features does not have.
    """
    given: dict[str, Value] = {
        name.removeprefix(_PREFIX): value
        for name, value in vars(args).items()
        if name.startswith(_PREFIX) and value is not None
    }
    if args.type == "mfcc":
        return from_options(MfccConfig, given)
    return from_options(FbankConfig, given)


def _compute(source: str, config: FeatureConfig) -> Any:
    """Features (T, dim) of a file, read in blocks: hours of sound take little memory."""
    import torch

    from asr.audio import iter_blocks
    from asr.errors import UsageError
    from asr.features import Fbank, FeatureStream, Mfcc

    rate = config.frame.sample_frequency
    if rate != int(rate):
        raise UsageError(f"--sample-frequency must be a whole number of Hz here, not {rate:g}.")
    extractor = Mfcc(config) if isinstance(config, MfccConfig) else Fbank(config)
    stream = FeatureStream(extractor)
    blocks = (torch.from_numpy(block) for block in iter_blocks(source, sample_rate=int(rate)))
    pieces = [stream.accept(block) for block in blocks]
    return torch.cat([*pieces, stream.finish()]).numpy()


def _write(path: Path, features: Any) -> None:
    import numpy as np

    from asr.atomic import replaced_file
    from asr.errors import DataError

    try:
        with replaced_file(path, "wb") as file:
            np.save(file, features, allow_pickle=False)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"Cannot write {path} ({reason}): choose another --output.") from error
