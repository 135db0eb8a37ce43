"""`asr train`: train a model on."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from asr.cli.outputs import check_bundle_output
from asr.cli.progress import shown_progress
from asr.cli.speech_data import DATA_HELP, SpokenSound, spoken_sounds
from asr.errors import DataError, UsageError

if TYPE_CHECKING:
    from asr.finetuning import FinetuneConfig, FinetuneReport

MOST_SENTENCES = 6000
"""Of --phone-text; more change the phone n-gram little and make the denominator larger."""
LONGEST_SENTENCE = 200

DESCRIPTION = """\
Train a model on: its network goes on learning from transcribed speech by LF-MMI, and the result is
a model of its own. The texts are as people write them; numbers and Latin letters are read out. What
was interrupted goes on where it stopped when the same command is given again. Under torchrun
several processes share the work.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "train", help="train a model on with transcribed speech", description=DESCRIPTION
    )
    parser.add_argument("data", metavar="DATA", nargs="+", help=DATA_HELP)
    parser.add_argument("output", metavar="OUT", type=Path, help="folder of the new model")
    parser.add_argument("--init", metavar="NAME|DIR", required=True,
                        help="the model that is trained on: by name (ko), or a bundle's folder")
    parser.add_argument("--dev", metavar="DATA", nargs="+", default=[],
                        help="the weights that do best on these are kept")
    parser.add_argument("--guard", metavar="DATA", nargs="+", default=[],
                        help="speech that must not be forgotten: weights that do worse on it than"
                             " before are not kept")
    parser.add_argument("--phone-text", metavar="FILE", nargs="+", type=Path, default=[],
                        help="sentences, one a line, of what else people say: some thousands make"
                             " a better model where there are few hours of speech (see"
                             " docs/training.md)")
    parser.add_argument("--epochs", type=int, metavar="N", help="times through the data (3)")
    parser.add_argument("--learning-rate", type=float, metavar="R",
                        help="at the beginning (2e-4); it falls to a tenth")
    parser.add_argument("--max-frames", type=int, metavar="N",
                        help="feature frames of a batch, padding included (6000)")
    parser.add_argument("--speeds", metavar="S,S…",
                        help="at which the speech is played (1,0.9,1.1); 1 for none other")
    parser.add_argument("--seed", type=int, metavar="N", help="of the order of utterances (0)")
    parser.add_argument("--option", metavar="NAME=VALUE", action="append", default=[],
                        help="any other option of the trainer (asr.training.config.TrainConfig)")
    parser.add_argument("--name", metavar="TEXT", help="of the new model")
    parser.add_argument("--licence", default="", metavar="TEXT",
                        help="kept in the model: terms of the speech it was trained on")
    parser.add_argument("--attribution", default="", metavar="TEXT",
                        help="kept in the model: whom to name for the speech")
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:N")
    parser.add_argument("--threads", type=int, metavar="N", help="processor threads (all)")
    parser.add_argument("--work", type=Path, metavar="DIR",
                        help="where checkpoints, log and curves are kept (OUT.work)")


def run(args: argparse.Namespace) -> int:
    """Train and write."""
    config = _config(args)
    speech, dev, guard = (
        spoken_sounds(names) if names else [] for names in (args.data, args.dev, args.guard)
    )
    _check_apart(speech, dev, guard)
    check_bundle_output(args.output)
    phone_text = _sentences(args.phone_text)
    work = args.work or args.output.with_name(args.output.name + ".work")
    with shown_progress() as progress:
        progress(0.0, f"{len(speech)} utterances")
        import torch

        from asr.bundle import open_bundle
        from asr.finetuning import finetune
        from asr.models import resolve

        if args.threads is not None:
            torch.set_num_threads(args.threads)
        report = finetune(
            open_bundle(resolve(args.init)), speech, args.output, work,
            dev=dev, guard=guard, phone_text=phone_text, config=config, name=args.name,
            licence=args.licence, attribution=args.attribution, progress=progress,
            device=args.device,
        )  # fmt: skip
    print(_told(report))
    return 0


def _config(args: argparse.Namespace) -> FinetuneConfig:
    from asr.finetuning import FinetuneConfig
    from asr.training.config import TrainConfig

    config = FinetuneConfig()
    options = dict(config.training.to_json())
    for given in args.option:
        name, equals, value = given.partition("=")
        if not equals:
            raise UsageError(f"--option takes NAME=VALUE, not {given!r}")
        options[name] = _value(name, value, options)
    chosen = {"epochs": args.epochs, "max_frames": args.max_frames, "seed": args.seed}
    options |= {name: value for name, value in chosen.items() if value is not None}
    if args.learning_rate is not None:
        options |= {
            "learning_rate": args.learning_rate,
            "final_learning_rate": args.learning_rate / 10.0,
        }
    changes: dict[str, object] = {"training": TrainConfig.from_json(options)}
    if args.speeds is not None:
        changes["speeds"] = _speeds(args.speeds)
    return dataclasses.replace(config, **changes)  # type: ignore[arg-type]


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


def _sentences(paths: list[Path]) -> list[str]:
    """Lines of all files, evenly thinned to so many as help."""
    lines: list[str] = []
    for path in paths:
        try:
            lines += path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read as UTF-8 text ({error})") from error
    lines = [line for line in lines if line.strip() and len(line) <= LONGEST_SENTENCE]
    return lines[:: max(1, -(-len(lines) // MOST_SENTENCES))]


def _speeds(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--speeds takes numbers with commas between them, not {text!r}") from None


def _check_apart(*sets: list[SpokenSound]) -> None:
    """Refuse speech that is trained on and evaluated on."""
    speech, *others = sets
    ids = {sound.id for sound in speech}
    for other in others:
        for sound in other:
            if sound.id in ids:
                raise UsageError(
                    f"{sound.id} is in the training data and in a set to evaluate on: keep them"
                    " apart (asr data split, asr data leaks)"
                )


def _told(report: FinetuneReport) -> str:
    summary = report.summary
    lines = [
        f"trained on {report.utterances} utterances, {report.seconds / 3600:.2f} h;"
        f" {len(report.unused)} left out",
        f"denominator: {report.denominator[0]} states, {report.denominator[1]} edges",
        f"{summary.step} steps in {summary.seconds:.0f} s; weights of"
        f" {'step ' + str(summary.chosen_step) if summary.chosen_step >= 0 else 'several steps'}",
        *(f"{name}: {value:.4f}" for name, value in sorted(summary.metrics.items())),
    ]
    if summary.stopped:
        lines.append(f"stopped early: {summary.stopped}")
    return "\n".join(lines)
