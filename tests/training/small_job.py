"""A small training that tests run here and in processes of their own, which they kill.

``python small_job.py FOLDER DELAY DROPOUT``: DELAY seconds a batch.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from asr.acoustic.tdnnf import Tdnnf, TdnnfConfig
from asr.errors import AsrError
from asr.training import (
    Batch,
    CrossEntropy,
    DevSet,
    Example,
    MemoryBatches,
    Summary,
    TrainConfig,
    Value,
    train,
)

CONFIG = TrainConfig(
    steps=40,
    learning_rate=5e-3,
    final_learning_rate=1e-3,
    accumulate=2,
    log_every=1,
    evaluate_every=10,
    checkpoint_every=4,
    sync_batch_norm=True,
    seed=3,
)
SIZE = TdnnfConfig(
    6, 5, dim=16, bottleneck=4, strides=(1, 3), prefinal=8, subsampling=3, xent=False
)


def examples(count: int = 25) -> list[Example]:
    """Smooth noise whose loudest coefficient is to be told."""
    random = torch.Generator().manual_seed(5)
    made = []
    for number in range(count):
        frames = int(torch.randint(20, 60, (1,), generator=random))
        feats = nn.functional.avg_pool1d(torch.randn(6, frames, generator=random), 7, 1, 3).T * 3
        targets = feats[:, :5].argmax(1)[::3].clone()
        made.append(Example(f"u{number}", feats.contiguous(), None, targets))
    return made


class Slowly(CrossEntropy):
    """Cross-entropy that takes its time."""

    delay = 0.0

    def __call__(self, network: nn.Module, batch: Batch) -> Value:
        time.sleep(self.delay)
        return super().__call__(network, batch)


def run(folder: Path, delay: float = 0.0, dropout: float = 0.0, **options: Any) -> Summary:
    """Train in ``folder``; the network is a new one each time."""
    config = TrainConfig.from_json({**CONFIG.to_json(), **options})
    return train_network(Tdnnf(SIZE), folder, config, delay, dropout)


def train_network(
    network: Tdnnf, folder: Path, config: TrainConfig, delay: float = 0.0, dropout: float = 0.0
) -> Summary:
    """Train ``network`` in ``folder``."""
    network.set_dropout(dropout)
    objective = Slowly()
    objective.delay = delay
    data = examples()
    dev = {"dev": DevSet(MemoryBatches(data[:5], 300, shuffle=False), CrossEntropy())}
    return train(network, objective, MemoryBatches(data[5:], 200, 1), dev, config, folder)


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        run(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
    except AsrError as error:
        print(f"asr: {error}", file=sys.stderr)
        sys.exit(1)
