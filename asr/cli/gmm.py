"""`asr gmm`: Gaussian mixture systems from flat start to speaker-adapted triphones."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asr.atomic import replaced_file
from asr.cli.progress import shown_progress
from asr.cli.speech_data import DATA_HELP, SpokenSound, spoken_sounds
from asr.errors import DataError
from asr.progress import Progress

if TYPE_CHECKING:
    from asr.gmm.viterbi import AlignConfig

Work = Callable[[Sequence[SpokenSound], Progress], dict[str, Any] | None]

DESCRIPTION = """\
Train Gaussian mixture systems from transcribed speech, each on the one before: mono (from nothing
but sounds and texts), tri (a tree of triphones), lda (LDA and MLLT over spliced frames), sat (with
a transform for each speaker). They make the alignments that networks are trained on.
"""
EPILOG = """\
A training that was stopped goes on with its last whole iteration when the same command is given.
Utterances that cannot be read or aligned are counted, named in report.json and left out.
"""
_STEPS = {
    "mono": "monophones, from a flat start",
    "tri": "triphones with a phonetic decision tree",
    "lda": "triphones over LDA+MLLT features",
    "sat": "speaker-adaptive training (fMLLR)",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command line."""
    parser = subparsers.add_parser(
        "gmm", help="Gaussian mixture systems: train, align, recognise", description=DESCRIPTION,
        epilog=EPILOG,
    )  # fmt: skip
    steps = parser.add_subparsers(dest="step", metavar="STEP", title="steps", required=True)
    for kind, summary in _STEPS.items():
        _add_training(steps.add_parser(kind, help=summary, description=summary + ".",
                                       epilog=EPILOG), kind)  # fmt: skip
    align = steps.add_parser("align", help="align texts with a trained system")
    _add_data(align)
    align.add_argument("--system", type=Path, metavar="DIR", required=True,
                       help="the folder of a trained system")
    align.add_argument("--output", type=Path, metavar="DIR", required=True,
                       help="folder for alignments.safetensors and report.json")
    _add_beams(align)
    decode = steps.add_parser("decode", help="recognise with a trained system")
    _add_data(decode)
    decode.add_argument("--system", type=Path, metavar="DIR", required=True,
                        help="the folder of a trained system, or of a network of `asr train-dnn`")
    decode.add_argument("--lm", type=Path, metavar="FILE",
                        help="language model of `asr train-lm` (default: the one shipped)")
    decode.add_argument("--output", type=Path, metavar="FILE", required=True,
                        help="a line for each utterance: its id, TAB, its text")
    decode.add_argument("--acoustic-scale", type=float, metavar="X",
                        help="weight of the acoustic scores (0.06; of a network 0.1)")
    decode.add_argument("--beam", type=float, metavar="X", help="of the search (13)")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", nargs="+", metavar="DATA", help=DATA_HELP)


def _add_training(parser: argparse.ArgumentParser, kind: str) -> None:
    _add_data(parser)
    parser.add_argument("--output", type=Path, metavar="DIR", required=True,
                        help="folder of the new system: model, alignments, report.json")
    parser.add_argument("--iterations", type=int, metavar="N",
                        help=f"how many ({40 if kind == 'mono' else 35})")
    parser.add_argument("--gaussians", type=int, metavar="N",
                        help=f"of the model in the end ({1000 if kind == 'mono' else 10000})")
    if kind != "mono":
        parser.add_argument("--from", type=Path, metavar="DIR", required=True, dest="previous",
                            help="folder of the system before, whose alignments are taken")
        parser.add_argument("--leaves", type=int, default=2000, metavar="N",
                            help="of the tree: at most so many states (%(default)s)")
        parser.add_argument("--min-gain", type=float, default=300.0, metavar="X",
                            help="likelihood that a split must gain (%(default)s nats)")
    if kind == "lda":
        parser.add_argument("--splice", type=int, default=4, metavar="N",
                            help="frames joined on either side (%(default)s)")
        parser.add_argument("--dim", type=int, default=40, metavar="N",
                            help="dimensions that are kept (%(default)s)")
    _add_beams(parser)


def _add_beams(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--beam", type=float, default=10.0, metavar="X",
                        help="of alignment (%(default)s)")
    parser.add_argument("--retry-beam", type=float, default=40.0, metavar="X",
                        help="where that loses all paths; 0: no second try (%(default)s)")


def run(args: argparse.Namespace) -> int:
    """Do one step."""
    work = _WORK.get(args.step, _training)(args)  # a wrong option is told before the data is read
    with shown_progress() as progress:
        progress(0.0, "reading the data")
        report = work(spoken_sounds(args.data), progress)
    if report is not None:
        _describe(report)
    return 0


def _align_config(args: argparse.Namespace) -> AlignConfig:
    from asr.gmm.viterbi import AlignConfig

    return AlignConfig(beam=args.beam, retry_beam=args.retry_beam)


def _training(args: argparse.Namespace) -> Work:
    from asr.gmm.lda import LdaConfig
    from asr.gmm.systems import SystemConfig, build, schedule
    from asr.hmm.tree import TreeConfig

    loop = replace(schedule(args.step, args.iterations, args.gaussians), align=_align_config(args))
    config = SystemConfig(args.step, loop)
    if args.step != "mono":
        config = replace(config, tree=TreeConfig(leaves=args.leaves, min_gain=args.min_gain))
    if args.step == "lda":
        config = replace(config, lda=LdaConfig(args.splice, args.dim))
    previous = getattr(args, "previous", None)
    return lambda sounds, progress: build(config, sounds, args.output, previous, progress)


def _alignment(args: argparse.Namespace) -> Work:
    from asr.gmm.systems import align_with

    config = _align_config(args)
    return lambda sounds, progress: align_with(args.system, sounds, args.output, config, progress)


def _decoding(args: argparse.Namespace) -> Work:
    from asr.data_files import DEFAULT_LM, shipped
    from asr.gmm.decoding import GmmDecodeConfig, GmmDecoder
    from asr.gmm.features import cepstra
    from asr.gmm.folder import MODEL
    from asr.gmm.model import GmmModel
    from asr.hybrid.model import HybridModel, is_hybrid
    from asr.lm.binary import load_model

    hybrid = HybridModel.load(args.system) if is_hybrid(args.system) else None
    model = GmmModel.load(args.system / MODEL) if hybrid is None else hybrid.gmm
    config = GmmDecodeConfig()
    if args.acoustic_scale is not None:
        scale = "acoustic_scale" if hybrid is None else "network_scale"
        config = replace(config, **{scale: args.acoustic_scale})
    if args.beam is not None:
        config = replace(config, search=replace(config.search, beam=args.beam))
    lm = load_model(args.lm or shipped(DEFAULT_LM))

    def work(sounds: Sequence[SpokenSound], progress: Progress) -> None:
        found = cepstra(sounds, model.front_end, lambda part, what: progress(0.2 * part, what))
        if not found.frames:
            raise DataError(f"no sound can be read: {next(iter(found.refused.values()), 'none')}")
        progress(0.2, "building the decoding graph")
        decoder = GmmDecoder(model, lm, config, network=hybrid)
        texts = decoder.decode_all(
            found, progress=lambda part, what: progress(0.3 + 0.7 * part, what)
        )
        with replaced_file(args.output) as file:
            file.writelines(f"{name}\t{texts.get(name, '')}\n" for name in (s.id for s in sounds))
        for name, reason in found.refused.items():
            print(f"asr: warning: {name} is left out: {reason}", file=sys.stderr)

    return work


_WORK = {"align": _alignment, "decode": _decoding}
"""What is done with the data, by step; the others train."""


def _describe(report: Mapping[str, Any]) -> None:
    lost = report["utterances"] - report["aligned"]
    line = f"{report['aligned']} of {report['utterances']} utterances aligned"
    if lost:
        line += f", {lost} not (see report.json)"
    if "pdfs" in report:
        line += (f"; {report['pdfs']} states, {report['gaussians']} Gaussians,"
                 f" {report['loglike']:.2f} nats a frame")  # fmt: skip
    if "times_real_time" in report:
        line += f"; {report['times_real_time']:.0f} times real time"
    print(line)
