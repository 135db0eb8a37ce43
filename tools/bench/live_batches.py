#!/usr/bin/env python3
"""What one run of the network costs for several live streams at once: what batching can bring.

    python tools/bench/live_batches.py --models ko ko-kaldi

Milliseconds of processor time a stream and step of 0.48 s, on one thread, by how many streams share
a run. Features, search and partial texts come on top, and cost the same however it is run.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402

import asr  # noqa: E402
from asr.acoustic.live_network import LiveNetwork  # noqa: E402
from asr.acoustic.live_scorer import WindowConfig  # noqa: E402
from asr.acoustic.nnet import Nnet  # noqa: E402
from asr.live import LiveConfig  # noqa: E402


def run(model: asr.Model, streams: int) -> Callable[[], object]:
    """One run for so many streams, each with another piece of noise."""
    scorer, chance = model.scorer, np.random.default_rng(streams)
    live = LiveNetwork(scorer)
    step = LiveConfig().step
    if isinstance(scorer.network, Nnet):
        network = scorer.network
        frames = network.left_context + network.right_context
        frames += round(step / scorer.front_end.frame_shift)
        feats = torch.randn(streams, frames, network.feature_dim)
        ivectors = torch.randn(streams, network.ivector_dim)
        return lambda: live._run_chunks(list(zip(feats, ivectors, strict=True)))
    window = WindowConfig()
    size = round((window.left + step + window.right) * scorer.sample_rate)
    sounds = [chance.normal(0, 0.05, size).astype(np.float32) for _ in range(streams)]
    return lambda: live._run_windows(sounds)


def milliseconds(work: Callable[[], object], times: int) -> float:
    """The median of its processor time."""
    work()
    taken = []
    for _ in range(times):
        clock = time.process_time()
        work()
        taken.append(time.process_time() - clock)
    return 1000 * float(np.median(taken))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["ko", "ko-kaldi"])
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--times", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| streams | {' | '.join(map(str, args.streams))} |")
    print("|" + "---|" * (1 + len(args.streams)))
    for name in args.models:
        model = asr.load(name)
        cells = [milliseconds(run(model, n), args.times) / n for n in args.streams]
        print(f"| {name} | {' | '.join(f'{cell:.1f}' for cell in cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
