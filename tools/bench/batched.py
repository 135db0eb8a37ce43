#!/usr/bin/env python3
"""Speed of recognising many utterances at once, in times real time, from sound to text.

    python tools/bench/batched.py --root ../shared/speech --lm SMALL.lm

Runs on a CUDA GPU if there is one, else on the CPU. The language model (of `asr train-lm`, over the
model's own units and pruned, say with --prune 1e-6) is compiled into a static graph first. The
clock of the whole runs from samples in memory to results with words and times; the stages are timed
in a run of their own, waiting for the device at the ends of each. Utterances are repeated until
there is enough sound to fill a GPU. With --check N, the best paths of N utterances are compared
with those of the CPU search on the same graph, scores and beams.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
if "--threads" not in sys.argv:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported

import numpy as np  # noqa: E402
import torch  # noqa: E402

import asr  # noqa: E402
from asr.audio import iter_blocks  # noqa: E402
from asr.batch_recognizer import BatchConfig, BatchRecognizer  # noqa: E402
from asr.data import CORPUS_FOLDERS, Utterance, load_split  # noqa: E402
from asr.decoder.config import DecoderConfig  # noqa: E402
from asr.decoder.path import BestPath  # noqa: E402
from asr.decoder.static_search import StaticDecoder  # noqa: E402
from asr.errors import AsrError, DataError  # noqa: E402
from asr.graph.static_compile import compile_static  # noqa: E402
from asr.graph.static_graph import StaticGraph  # noqa: E402
from asr.hangul.normalize import scoring_text, to_spoken  # noqa: E402
from asr.lm.binary import load_model  # noqa: E402
from asr.recognizer import Model  # noqa: E402
from asr.score import score  # noqa: E402

Sounds = list[np.ndarray]


def device_name(device: torch.device) -> str:
    """What the figures hold for."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    return f"CPU ({platform.machine()}), {torch.get_num_threads()} thread(s)"


def wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(device: torch.device, work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that ``work`` takes, and what it returns."""
    wait_for(device)
    start = time.perf_counter()
    result = work()
    wait_for(device)
    return time.perf_counter() - start, result


def read_sounds(utterances: list[Utterance], rate: int) -> Sounds:
    return [np.concatenate(list(iter_blocks(u.audio, rate))) for u in utterances]


def static_graph(model: Model, path: Path, config: DecoderConfig) -> StaticGraph:
    lm = load_model(path)
    if lm.vocabulary.units != model.decoder.lm.vocabulary.units:
        raise DataError(f"{path} is not over the model's units: train it with the same inventory")
    return compile_static(model.decoder.hcl, lm, config)


def report_memory(recognizer: BatchRecognizer, graph: StaticGraph, longest: float) -> None:
    """What lies on the device: the graph for good, scores for a batch."""
    config, scorer = recognizer.batches, recognizer.scorer
    lanes = max(1, min(config.segments, int(config.seconds / longest)))
    frames = int(longest / scorer.frame_seconds) + 1
    scores = lanes * frames * scorer.num_pdfs * 4
    samples = lanes * longest * scorer.sample_rate * (4 + 4 + 8 + 8)
    print(
        f"memory: graph {recognizer.decoder.num_bytes / 1e6:.0f} MB on the device "
        f"({graph.states:,} states, {graph.arcs:,} arcs); a batch of {lanes} × {longest:.1f} s: "
        f"scores {scores / 1e6:.0f} MB, samples and powers up to {samples / 1e6:.0f} MB"
    )


def report_peak(device: torch.device) -> None:
    if device.type == "cuda":
        print(f"peak on the device: {torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB")
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"peak of the process, building the graph included: {peak / 1e6:.2f} GB")


def stages(recognizer: BatchRecognizer, sounds: Sounds) -> tuple[float, float]:
    """Seconds of scoring and of searching, batch by batch as in a whole run."""
    device = recognizer.scorer.device
    rate, config = recognizer.scorer.sample_rate, recognizer.batches
    ordered = sorted(sounds, key=len, reverse=True)
    scoring = searching = 0.0
    while ordered:
        longest = max(len(ordered[0]) / rate, 1e-3)
        count = max(1, min(config.segments, int(config.seconds / longest)))
        batch, ordered = ordered[:count], ordered[count:]
        seconds, (scores, lengths) = timed(device, partial(recognizer.scorer.scores, batch))
        scoring += seconds
        search = partial(recognizer.decoder.decode, scores, lengths, recognizer.search)
        searching += timed(device, search)[0]
    return scoring, searching


def check(recognizer: BatchRecognizer, graph: StaticGraph, sounds: Sounds) -> int:
    """How many best paths differ from those of the CPU search."""
    decoder = StaticDecoder(graph)
    scores, lengths = recognizer.scorer.scores(sounds)
    paths = recognizer.decoder.decode(scores, lengths, recognizer.search)
    different, farthest = 0, 0.0
    for matrix, length, path in zip(scores, lengths.tolist(), paths, strict=True):
        search = decoder.search(recognizer.search)
        search.advance(matrix[:length].cpu().numpy())
        expected: BestPath = search.best_path()
        different += path.units != expected.units
        farthest = max(farthest, abs(path.score - expected.score))
    print(
        f"check: {len(sounds) - different} of {len(sounds)} best paths equal those of the CPU "
        f"search, times included; scores differ by at most {farthest:.1e}"
    )
    return different


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="folder with splits.json")
    parser.add_argument("--corpus", choices=sorted(CORPUS_FOLDERS), default="emotiontts")
    parser.add_argument("--split", choices=["train", "dev", "test"], default="dev")
    parser.add_argument("--lm", type=Path, required=True, help="pruned LM over the model's units")
    parser.add_argument("--model", default="ko-kaldi", help="model name or bundle folder")
    parser.add_argument("--device", help="cpu, cuda or cuda:N; default: cuda if there is one")
    parser.add_argument("--limit", type=int, help="only the first N utterances")
    parser.add_argument("--seconds", type=float, help="repeat until so much sound (GPU: 10000)")
    parser.add_argument("--batch", type=int, help="segments in a batch (GPU: 1024, CPU: 16)")
    parser.add_argument("--beam", type=float, default=11.0)
    parser.add_argument("--max-active", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of the CPU; default 1")
    parser.add_argument("--check", type=int, default=0, metavar="N")
    return parser.parse_args()


def benchmark(args: argparse.Namespace) -> int:
    torch.set_num_threads(args.threads or 1)
    name = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = name != "cpu"
    config = DecoderConfig(beam=args.beam, max_active=args.max_active, lattice_beam=0.0)
    batches = BatchConfig(args.batch or (1024 if on_gpu else 16), 6000.0 if on_gpu else 300.0)
    model = asr.load(args.model, name)
    utterances = load_split(args.root, args.corpus, args.split)[: args.limit]
    sounds = read_sounds(utterances, model.sample_rate)
    seconds, graph = timed(torch.device("cpu"), lambda: static_graph(model, args.lm, config))
    recognizer = BatchRecognizer(model, graph, config, batches)
    device = recognizer.scorer.device
    print(f"device: {device_name(device)}; batch: {batches.segments} segments")
    print(f"search: beam {config.beam:g}, max_active {config.max_active}")
    print(f"graph compiled in {seconds:.1f} s")
    report_memory(recognizer, graph, max(map(len, sounds)) / model.sample_rate)
    different = check(recognizer, graph, sounds[: args.check]) if args.check else 0
    once = sum(map(len, sounds)) / model.sample_rate
    repeats = max(1, round((args.seconds or (10_000.0 if on_gpu else 0.0)) / once))
    many, audio = sounds * repeats, once * repeats
    recognizer.transcribe(many[: batches.segments])  # warm-up
    rounds = [timed(device, lambda: recognizer.transcribe(many)) for _ in range(args.rounds)]
    best = min(seconds for seconds, _ in rounds)
    print(f"\n{args.corpus} {args.split}: {len(sounds)} utterances, {repeats} times, {audio:.0f} s")
    print(f"sound to text: {best:.2f} s, {audio / best:.0f} × real time (best of {args.rounds})")
    scoring, searching = stages(recognizer, many)
    print(f"  features and network: {scoring:.2f} s, {audio / scoring:.0f} × real time")
    print(f"  search: {searching:.2f} s, {audio / searching:.0f} × real time")
    report_peak(device)
    read_out = to_spoken if args.corpus == "pansori" else str
    references = [scoring_text(read_out(u.transcript)) for u in utterances]
    texts = [scoring_text(result.text) for result in rounds[0][1][: len(utterances)]]
    print(f"CER {score(references, texts).cer.rate:.2%} (best path, without rescoring)")
    return 1 if different else 0


def main() -> int:
    try:
        return benchmark(parse_arguments())
    except AsrError as error:
        print(f"batched.py: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
