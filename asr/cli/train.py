"""`asr train`: train a model on."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from asr.cli.options import given
from asr.cli.outputs import check_bundle_output, work_folder
from asr.cli.progress import shown_progress
from asr.cli.speech_data import DATA_HELP, spoken_sounds
from asr.cli.trainer_options import (
    add_trainer_options,
    check_disjoint,
    refuse_shared,
    set_up,
    trainer_config,
)
from asr.errors import UsageError

if TYPE_CHECKING:
    from asr.chain_training import ChainConfig
    from asr.data.conditions import ConditionsConfig
    from asr.distillation import DistillConfig
    from asr.encoders.whisper import WhisperEncoder
    from asr.finetuning import FinetuneConfig
    from asr.lfmmi_training import TrainingReport

    AnyConfig = TypeVar("AnyConfig", ChainConfig, DistillConfig, FinetuneConfig)

MOST_SENTENCES = 6000
"""Of --phone-text; more change the phone n-gram little and make the denominator larger."""
LONGEST_SENTENCE = 200

DESCRIPTION = """\
Train a network by LF-MMI from transcribed speech, and write a model: with --init a model that goes
on learning, with --system a new one, from the alignments of a GMM system (asr gmm) of the same
speech, with --teacher a small new one, from what a strong model hears. The texts are as people
write them; numbers and Latin letters are read out. What was interrupted goes on where it stopped
when the same command is given again. Under torchrun several processes share the work.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "train", help="train a model by LF-MMI: on, or anew", description=DESCRIPTION
    )
    parser.add_argument("data", metavar="DATA", nargs="+", help=DATA_HELP)
    parser.add_argument("output", metavar="OUT", type=Path, help="folder of the new model")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--init", metavar="NAME|DIR",
                       help="the model that is trained on: by name (ko), or a bundle's folder")
    begin.add_argument("--system", metavar="DIR", type=Path,
                       help="a GMM system of the same speech, for a network from random weights")
    begin.add_argument("--objective", choices=["ctc"],
                       help="ctc: train a network from random weights by CTC, a baseline that"
                            " needs no GMM system")
    begin.add_argument("--teacher", metavar="NAME|DIR",
                       help="train a small network from random weights on what this model hears"
                            " (and on the texts)")
    parser.add_argument("--dev", metavar="DATA", nargs="+", default=[],
                        help="the weights that do best on these are kept")
    parser.add_argument("--guard", metavar="DATA", nargs="+", default=[],
                        help="speech that must not be forgotten: weights that do worse on it than"
                             " before are not kept")
    new = parser.add_argument_group("a new network (--system)")
    new.add_argument("--network", metavar="FILE|JSON",
                     help='its kind and size: {"kind": "tdnnf", "dim": 512, ...}')
    new.add_argument("--leaves", type=int, metavar="N", help="of the context tree at most (1000)")
    new.add_argument("--scale", metavar="X", type=float,
                     help="weight of the model's scores in the search (1; with --encoder or"
                     " --teacher 1.4)")
    new.add_argument("--lm", metavar="FILE", type=Path,
                     help="language model of the model (the shipped one)")
    new.add_argument("--ivectors", metavar="DIR", type=Path,
                     help="extractor of `asr train-ivector`, or a model that has one (none)")
    new.add_argument("--encoder", metavar="NAME|DIR",
                     help="take the states of a pre-trained encoder in place of MFCC: whisper-base,"
                          " or a folder of `asr import-encoder`; with a network of kind encoder-top"
                          " its upper layers learn on")
    new.add_argument("--pretrained", metavar="NAME|DIR",
                     help="begin with what `asr pretrain --kind masked` has learnt; with --teacher:"
                          " with the hidden layers and i-vectors of this model, a TDNN-F (none)")
    taught = parser.add_argument_group("a network that is taught (--teacher)")
    taught.add_argument("--untranscribed", metavar="DATA", nargs="+", default=[],
                        help="further speech for it, without texts")
    taught.add_argument("--teacher-weight", metavar="X", type=float,
                        help="of what the teacher heard, 0 to 1; the rest is of the text (0.5)")
    parser.add_argument("--phone-text", metavar="FILE", nargs="+", type=Path, default=[],
                        help="sentences, one a line, of what else people say: some thousands make"
                             " a better model where there are few hours of speech (see"
                             " docs/training.md)")
    parser.add_argument("--smbr", type=float, metavar="W",
                        help="weight of the expected state accuracy (sMBR) beside LF-MMI (0): for a"
                             " model that LF-MMI has trained")
    parser.add_argument("--mmi", type=float, metavar="W", help="weight of LF-MMI (1)")
    parser.add_argument("--speeds", metavar="S,S…",
                        help="at which the speech is played (1,0.9,1.1); 1 for none other")
    parser.add_argument("--augment", metavar="N", type=int,
                        help="also train on so many copies of each utterance in simulated rooms,"
                             " noise, babble and telephones (0)")
    parser.add_argument("--augment-options", metavar="FILE|JSON",
                        help="how often and how loud"
                             " (asr.data.conditions.ConditionsConfig)")
    parser.add_argument("--name", metavar="TEXT", help="of the new model")
    add_trainer_options(
        parser, "3; a new network: 6; by CTC: 12",
        "3e-4; a new network: 1e-3; it falls to a tenth", 6000,
    )


def run(args: argparse.Namespace) -> int:
    """Train and write."""
    _check_options(args)
    check_bundle_output(args.output)
    work = work_folder(args)
    config = _config(args)
    set_up(args)
    speech, dev, guard, more = (
        spoken_sounds(names) if names else []
        for names in (args.data, args.dev, args.guard, args.untranscribed)
    )
    check_disjoint(speech, dev, guard)
    check_disjoint(more, dev)
    refuse_shared(speech, more, "is in DATA and in --untranscribed: give it once")
    phone_text = _sentences(args.phone_text)
    with shown_progress() as progress:
        progress(0.0, f"{len(speech)} utterances")
        from asr.bundle import open_bundle
        from asr.chain_training import train_chain
        from asr.finetuning import finetune
        from asr.models import resolve

        common: dict[str, Any] = {
            "dev": dev, "phone_text": phone_text, "licence": args.licence,
            "attribution": args.attribution, "progress": progress, "device": args.device,
        }  # fmt: skip
        if args.name is not None:
            common["name"] = args.name
        if args.init is not None:
            report = finetune(
                open_bundle(resolve(args.init)), speech, args.output, work, guard=guard,
                config=config, **common,
            )  # fmt: skip
        elif args.teacher is not None:
            from asr.distillation import distill

            report = distill(
                open_bundle(resolve(args.teacher)), speech, args.output, work, untranscribed=more,
                ivectors=args.ivectors, config=config,
                pretrained=None if args.pretrained is None
                else open_bundle(resolve(args.pretrained)), **common,
            )  # fmt: skip
        elif args.objective == "ctc":
            from asr.ctc_training import train_ctc

            del common["phone_text"]
            report = train_ctc(
                speech, args.output, work, lm=args.lm, ivectors=args.ivectors,
                encoder=_encoder(args), config=config, **common,
            )  # fmt: skip
        else:
            report = train_chain(
                args.system, speech, args.output, work, lm=args.lm, ivectors=args.ivectors,
                pretrained=None if args.pretrained is None else Path(args.pretrained),
                encoder=_encoder(args), config=config, **common,
            )  # fmt: skip
    print(_told(report))
    return 0


_NEW_ONLY = ("network", "leaves", "lm", "ivectors", "pretrained", "encoder", "scale")


def _check_options(args: argparse.Namespace) -> None:
    """Refuse options that would say nothing."""
    if args.objective is not None:
        _refuse(args, ("leaves", "pretrained", "phone_text", "smbr", "mmi"),
                "is for LF-MMI: leave it out with --objective ctc")  # fmt: skip
    elif args.teacher is not None:
        _refuse(args, ("leaves", "lm", "encoder", "guard"),
                "does not go with --teacher: a student has its teacher's tree and language model,"
                " and hears MFCC")  # fmt: skip
        if args.pretrained is not None:
            _refuse(args, ("network", "ivectors"),
                    "is the --pretrained model's: leave it out")  # fmt: skip
    elif args.init is None and args.system is None:
        raise UsageError("say what to begin with: --init a model, --system a GMM system, --teacher"
                         " a model that teaches, or --objective ctc")  # fmt: skip
    if args.teacher is None:
        _refuse(args, ("untranscribed", "teacher_weight"), "is for --teacher: give one")
    if args.init is not None:
        _refuse(args, _NEW_ONLY, "is of a new network: give --system instead of --init")
        if args.guard and not args.dev:
            raise UsageError("--guard chooses among the weights that --dev finds good: give --dev")
    elif args.guard:
        raise UsageError("--guard is what a model must not forget: a new one knows nothing")


def _refuse(args: argparse.Namespace, names: Sequence[str], why: str) -> None:
    for name in names:
        if getattr(args, name) not in (None, []):
            raise UsageError(f"--{name.replace('_', '-')} {why}")


def _encoder(args: argparse.Namespace) -> WhisperEncoder | None:
    from asr.encoders.store import load_encoder

    return None if args.encoder is None else load_encoder(args.encoder, args.device)


def _options(option: str, value: str | None, such_as: str) -> dict[str, Any]:
    """The JSON object that an option is, or that is in its file; nothing if it was not given."""
    if value is None:
        return {}
    try:
        inline = value.lstrip().startswith("{")
        found = json.loads(value if inline else Path(value).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{option} {value} is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise UsageError(f"{option} {value} is not an object such as {such_as}")
    return found


def _conditions(args: argparse.Namespace) -> ConditionsConfig:
    """Of --augment and --augment-options."""
    from asr.data.conditions import ConditionsConfig

    options = _options("--augment-options", args.augment_options, '{"rooms": 0.5}')
    if options and args.augment is None and not options.get("copies"):
        raise UsageError("--augment-options say how copies sound: say how many with --augment N")
    options |= given({"copies": args.augment})
    try:
        return ConditionsConfig(**options)
    except TypeError as error:
        raise UsageError(f"--augment-options cannot be understood: {error}") from None


def _config(args: argparse.Namespace) -> Any:
    """All options of the training that is asked for."""
    if args.init is not None:
        from asr.finetuning import FinetuneConfig

        return _changed(FinetuneConfig(), args)
    return _chain_config(args) if args.teacher is None else _distill_config(args)


def _chain_config(args: argparse.Namespace) -> ChainConfig:
    from asr.acoustic.encoder_top import TOP
    from asr.chain_training import ChainConfig

    config = ChainConfig()
    network = _options("--network", args.network, '{"kind": "tdnnf"}')
    if args.encoder is not None and network.get("kind", TOP) == TOP:
        config = ChainConfig.for_encoder(
            **given({name: network.get(name) for name in ("layers", "mixed")})
        )
    changes = given({"leaves": args.leaves, "scale": args.scale})
    if network:
        changes["network"] = {**config.network, **network} if "kind" not in network else network
    if args.objective == "ctc":
        from asr.ctc_training import for_ctc

        config = for_ctc(config)
    config = _changed(config, args)
    return dataclasses.replace(config, **changes)


def _distill_config(args: argparse.Namespace) -> DistillConfig:
    from asr.distillation import DistillConfig

    changes: dict[str, Any] = given({"weight": args.teacher_weight, "scale": args.scale})
    if args.network is not None:
        changes["network"] = _options("--network", args.network, '{"kind": "tdnnf"}')
    return dataclasses.replace(_changed(DistillConfig(), args), **changes)


def _changed(config: AnyConfig, args: argparse.Namespace) -> AnyConfig:
    """The options with what was given of the training, the objective and the speeds."""
    weights = given({"smbr": args.smbr, "mmi": args.mmi})
    changes: dict[str, Any] = {
        "training": trainer_config(config.training, args),
        "lfmmi": dataclasses.replace(config.lfmmi, **weights),
    }
    if args.speeds is not None:
        changes["speeds"] = _speeds(args.speeds)
    changes["augment"] = _conditions(args)
    return dataclasses.replace(config, **changes)


def _sentences(paths: list[Path]) -> list[str]:
    """Lines of all files, evenly thinned to so many as help."""
    from asr.lm.text_files import read_lines

    lines = [
        line
        for path in paths
        for line in read_lines(path)
        if line.strip() and len(line) <= LONGEST_SENTENCE
    ]
    return lines[:: max(1, -(-len(lines) // MOST_SENTENCES))]


def _speeds(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--speeds takes numbers with commas between them, not {text!r}") from None


def _told(report: TrainingReport) -> str:
    summary = report.summary
    lines = [
        f"trained on {report.utterances} utterances, {report.seconds / 3600:.2f} h;"
        f" {len(report.unused)} left out",
        f"{summary.step} steps in {summary.seconds:.0f} s; weights of"
        f" {'step ' + str(summary.chosen_step) if summary.chosen_step >= 0 else 'several steps'}",
        *(f"{name}: {value:.4f}" for name, value in sorted(summary.metrics.items())),
    ]
    if report.denominator[0]:
        lines.insert(1, "denominator: {} states, {} edges".format(*report.denominator))
    if summary.failed:
        lines.append(f"{summary.failed} times an utterance could not be used (too short)")
    if summary.stopped:
        lines.append(f"stopped early: {summary.stopped}")
    return "\n".join(lines)
