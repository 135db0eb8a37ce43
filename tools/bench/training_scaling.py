#!/usr/bin/env python3
"""How much faster a training becomes with more processes.

    python tools/bench/training_scaling.py --processes 1 2 --rounds 3

A TDNN-F learns made-up targets of noise under torchrun, one thread a process; the numbers of
processes take turns, and for each the best round counts, for others may use the machine as well.
Printed: output frames learnt from per second and processor seconds per 1000 frames (which other
programs disturb less), and both as efficiency against the first number of processes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
WARMUP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--max-frames", type=int, default=6000)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args)
        return
    print(f"load of this machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    best: dict[int, tuple[float, float]] = {}
    for _ in range(args.rounds):
        for count in args.processes:
            speed, cost = measured(count, args)
            seen = best.get(count, (0.0, float("inf")))
            best[count] = max(speed, seen[0]), min(cost, seen[1])
    first, (speed_1, cost_1) = next(iter(best.items()))
    for count, (speed, cost) in best.items():
        by_time = speed / speed_1 * first / count
        print(
            f"{count} processes: {speed:.0f} frames/s, {cost:.2f} processor s per 1000 frames; "
            f"efficiency {100 * by_time:.0f}% by the clock, {100 * cost_1 / cost:.0f}% by processor"
        )


def measured(count: int, args: argparse.Namespace) -> tuple[float, float]:
    """(output frames a second, processor seconds per 1000 of them) with ``count`` processes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(count), __file__, "--worker", folder]
        for name in ("steps", "dim", "max-frames"):
            command += [f"--{name}", str(getattr(args, name.replace("-", "_")))]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        reports = [json.loads(p.read_text()) for p in Path(folder).glob("worker-*.json")]
    frames = sum(report["frames"] for report in reports)
    seconds = max(report["seconds"] for report in reports)
    return frames / seconds, 1000 * sum(report["processor"] for report in reports) / frames


def work(args: argparse.Namespace) -> None:
    """One process's part of a training; its times from behind the first steps."""
    import torch
    from torch import nn

    from asr.acoustic.tdnnf import Tdnnf, TdnnfConfig
    from asr.training import Batch, CrossEntropy, Example, MemoryBatches, TrainConfig, Value, train

    torch.set_num_threads(1)

    class Timed(CrossEntropy):
        calls = frames = 0
        begin = (0.0, 0.0)

        def __call__(self, network: nn.Module, batch: Batch) -> Value:
            if self.calls == WARMUP:
                self.begin = (time.perf_counter(), time.process_time())
            value = super().__call__(network, batch)
            self.frames += value.frames if self.calls >= WARMUP else 0
            self.calls += 1
            return value

    random = torch.Generator().manual_seed(1)
    data = [
        Example(f"u{n}", torch.randn(300, 40, generator=random), None, torch.arange(100) % 2000)
        for n in range(args.steps * (args.max_frames // 300))
    ]
    network = Tdnnf(TdnnfConfig(40, 2000, dim=args.dim, xent=False))
    objective = Timed()
    config = TrainConfig(
        steps=args.steps, checkpoint_every=10**6, log_every=10**6, constrain_every=1
    )
    folder = Path(args.worker)
    batches = MemoryBatches(data, args.max_frames)
    stamps: list[tuple[float, float]] = []
    constrain = network.constrain

    def counted() -> None:
        """Takes the time at the end of each step, so that the last checkpoint is not counted."""
        constrain()
        stamps.append((time.perf_counter(), time.process_time()))

    network.constrain = counted  # type: ignore[method-assign]
    train(network, objective, batches, {}, config, folder / "run")
    end = stamps[-1]
    report = {
        "frames": objective.frames,
        "seconds": end[0] - objective.begin[0],
        "processor": end[1] - objective.begin[1],
    }
    (folder / f"worker-{os.environ.get('RANK', '0')}.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main()
