"""Options of the trainer that several subcommands have."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from asr.cli.options import given, positive
from asr.cli.speech_data import SpokenSound
from asr.errors import UsageError

if TYPE_CHECKING:
    from asr.training.config import TrainConfig


def add_trainer_options(
    parser: argparse.ArgumentParser, epochs: str, learning_rate: str, max_frames: int
) -> None:
    """Declare them; the arguments tell their defaults."""
    parser.add_argument("--epochs", type=int, metavar="N",
                        help=f"times through the data ({epochs})")
    parser.add_argument("--learning-rate", type=float, metavar="R",
                        help=f"at the beginning ({learning_rate})")
    parser.add_argument("--max-frames", type=int, metavar="N",
                        help=f"feature frames of a batch, padding included ({max_frames})")
    parser.add_argument("--seed", type=int, metavar="N", help="of the order of utterances (0)")
    parser.add_argument("--option", metavar="NAME=VALUE", action="append", default=[],
                        help="any other option of the trainer (asr.training.config.TrainConfig)")
    parser.add_argument("--licence", default="", metavar="TEXT",
                        help="kept in the model: terms of the speech it was trained on")
    parser.add_argument("--attribution", default="", metavar="TEXT",
                        help="kept in the model: whom to name for the speech")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    parser.add_argument("--threads", type=positive, metavar="N", help="processor threads (all)")
    parser.add_argument("--work", type=Path, metavar="DIR",
                        help="where checkpoints, log and curves are kept (OUT.work)")


def trainer_config(config: TrainConfig, args: argparse.Namespace) -> TrainConfig:
    """The options with what was given on the command line.

    Raises:
        UsageError: an unknown option, or a value that it cannot have.
    """
    options = dict(config.to_json())
    for assigned in args.option:
        name, equals, value = assigned.partition("=")
        if not equals:
            raise UsageError(f"--option takes NAME=VALUE, not {assigned!r}")
        options[name] = _value(name, value, options)
    options |= given({name: getattr(args, name) for name in ("epochs", "max_frames", "seed")})
    if args.learning_rate is not None:
        fall = config.final_learning_rate / config.learning_rate
        options |= {
            "learning_rate": args.learning_rate,
            "final_learning_rate": args.learning_rate * fall,
        }
    return type(config).from_json(options)


def _value(name: str, text: str, options: dict[str, object]) -> object:
    """An option's value, of the type that its default has."""
    if name not in options:
        return text  # TrainConfig says what there is
    kind = type(options[name])
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise UsageError(f"--option {name} takes a number, not {text!r}") from None
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise UsageError(f"--option {name} takes true or false, not {text!r}")
        return text.lower() == "true"
    if kind is list:
        raise UsageError(f"--option {name} cannot be given here; use Python")
    return text


def set_up(args: argparse.Namespace) -> None:
    """Use as many threads as were asked for.

    Raises:
        UsageError: a device that there is not.
    """
    import torch

    from asr.acoustic.scorer import torch_device

    torch_device(args.device)
    if args.threads is not None:
        torch.set_num_threads(args.threads)


def check_disjoint(*sets: list[SpokenSound]) -> None:
    """Refuse speech that is trained on and evaluated on."""
    speech, *others = sets
    for other in others:
        refuse_shared(
            speech, other, "is in the training data and in a set to evaluate on: keep them apart"
            " (asr data split, asr data leaks)",
        )  # fmt: skip


def refuse_shared(speech: list[SpokenSound], other: list[SpokenSound], why: str) -> None:
    """Refuse an utterance that both hold.

    Raises:
        UsageError: its name and ``why``.
    """
    ids = {sound.id for sound in speech}
    for sound in other:
        if sound.id in ids:
            raise UsageError(f"{sound.id} {why}")
