#!/usr/bin/env python3
"""What LF-MMI costs on top of the network: sums over paths beside the network's own time.

    python tools/bench/training.py --root ../shared/speech --split emotiontts:train

The network of a model runs forwards and backwards over real utterances, once with the gradient of
LF-MMI and once with one that is at hand; the sums over paths are the difference, and are also timed
on their own. One thread, processor time, the least of the rounds; batches alternate.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
os.environ.update({name: "1" for name in ONE_THREAD})  # read when torch and others are imported

import torch  # noqa: E402
from accuracy import processor_name  # noqa: E402

from asr.bundle import open_bundle  # noqa: E402
from asr.chain.denominator import denominator  # noqa: E402
from asr.chain.objective import LfMmiConfig  # noqa: E402
from asr.chain.phone_lm import estimate_phone_lm  # noqa: E402
from asr.chain.training import LfMmiObjective  # noqa: E402
from asr.cli.speech_data import spoken_sounds  # noqa: E402
from asr.errors import AsrError  # noqa: E402
from asr.finetuning import Parts  # noqa: E402
from asr.graph_building import read_emissions  # noqa: E402
from asr.models import resolve  # noqa: E402
from asr.progress import silent  # noqa: E402
from asr.sound_variants import AS_RECORDED  # noqa: E402
from asr.supervised_speech import Counter  # noqa: E402
from asr.training.batch import Batch, collate  # noqa: E402


def prepare(args: argparse.Namespace) -> tuple[torch.nn.Module, LfMmiObjective, list[Batch], float]:
    """The network, the objective, batches of real utterances, and their seconds."""
    bundle = open_bundle(resolve(args.model))
    parts = Parts(bundle, "cpu")
    everything = spoken_sounds([f"{args.root}:{args.split}"])
    sounds = everything[: args.utterances]
    unused: dict[str, str] = {}
    kept = list(parts.prepared(sounds, AS_RECORDED, unused, Counter(silent, len(sounds))))
    # of all texts, so that the denominator is as large as in a training
    others = parts.pronounced([sound.text or "" for sound in everything], seed=0)
    lm = estimate_phone_lm([*parts.spoken(kept, unused).values(), *others])
    graph = denominator(lm, read_emissions(bundle))
    print(f"{len(kept)} utterances; denominator of {graph.states} states, {graph.edges} edges")
    examples = sorted(parts.examples(kept, lm, 0.0, unused), key=lambda one: one.frames)
    batches = [
        collate(examples[begin : begin + args.batch])
        for begin in range(0, len(examples), args.batch)
    ]
    seconds = sum(one.frames for one in examples) * parts.frame_shift
    network = parts.network.requires_grad_(True)
    return network, LfMmiObjective(graph, LfMmiConfig(xent=0.0, threads=1)), batches, seconds


def with_objective(network: torch.nn.Module, objective: LfMmiObjective, batch: Batch) -> float:
    """Processor seconds of a training step without the optimizer."""
    begin = time.process_time()
    objective(network, batch).loss.backward()
    return time.process_time() - begin


def alone(network: torch.nn.Module, batch: Batch) -> float:
    """Processor seconds of the network forwards and backwards."""
    begin = time.process_time()
    outputs, _ = network(batch.feats, batch.ivectors, batch.lengths)
    outputs.backward(torch.ones_like(outputs))
    return time.process_time() - begin


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with splits.json")
    parser.add_argument("--split", default="emotiontts:train", metavar="CORPUS:SPLIT")
    parser.add_argument("--model", default="ko-kaldi", help="model name or bundle folder")
    parser.add_argument("--utterances", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all figures here")
    return parser.parse_args()


def main() -> int:
    args = parse_arguments()
    try:
        network, objective, batches, seconds = prepare(args)
    except AsrError as error:
        print(f"training.py: {error}", file=sys.stderr)
        return 1
    with_objective(network, objective, batches[0])  # loads the compiled loops
    least = [[float("inf"), float("inf")] for _ in batches]
    for _ in range(args.rounds):
        for place, batch in enumerate(batches):
            least[place][0] = min(least[place][0], with_objective(network, objective, batch))
            least[place][1] = min(least[place][1], alone(network, batch))
    whole, bare = (sum(pair[column] for pair in least) for column in (0, 1))
    report = {
        "processor": processor_name(), "seconds_of_speech": seconds, "with_lfmmi_s": whole,
        "network_s": bare, "on_top": whole / bare - 1.0, "speed": seconds / whole,
    }  # fmt: skip
    print(
        f"{report['processor']}, one thread, {seconds:.0f} s of speech\n"
        f"network forwards and backwards: {1000 * bare / seconds:.1f} ms a second of speech\n"
        f"with LF-MMI: {1000 * whole / seconds:.1f} ms, {report['on_top']:.0%} on top;"
        f" {report['speed']:.0f} × real time"
    )
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
