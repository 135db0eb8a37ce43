"""Which parameters learn how fast, and when."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from asr.errors import ModelError, UsageError
from asr.training.config import TrainConfig


def rate_factor(name: str, rates: Iterable[tuple[str, float]]) -> float:
    """The factor of the longest prefix that fits a parameter's name; 1 where none does.

    >>> rate_factor("network.lda.weight", [("network", 0.5), ("network.lda", 0.0)])
    0.0
    """
    fitting = [(len(prefix), factor) for prefix, factor in rates if name.startswith(prefix)]
    return max(fitting)[1] if fitting else 1.0


def make_optimizer(
    parameters: Mapping[str, nn.Parameter], config: TrainConfig
) -> torch.optim.Optimizer:
    """An optimizer whose groups hold "factor", their part of the learning rate.

    Args:
        parameters: by the names that ``config.rates`` speaks of.
        config: options.

    Raises:
        UsageError: a prefix that no parameter begins with, or nothing that may learn.
    """
    for prefix, _ in config.rates:
        if not any(name.startswith(prefix) for name in parameters):
            raise UsageError(f"no parameter's name begins with {prefix!r} (see the option rates)")
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        factor = rate_factor(name, config.rates)
        if factor > 0 and parameter.requires_grad:
            # biases and scales are no source of overfitting, and decay would pull them off centre
            decay = config.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    if not groups:
        raise UsageError("all parameters are frozen: there is nothing to train")
    listed = [
        {"params": members, "factor": factor, "weight_decay": decay}
        for (factor, decay), members in groups.items()
    ]
    if config.optimizer == "adamw":
        betas = (config.momentum, 0.999)
        return torch.optim.AdamW(listed, lr=config.learning_rate, betas=betas)
    return torch.optim.SGD(listed, lr=config.learning_rate, momentum=config.momentum)


def learning_rate(config: TrainConfig, step: int, total: int) -> float:
    """The rate of step ``step`` (from 0) of ``total``.

    >>> config = TrainConfig(learning_rate=1.0, final_learning_rate=0.01)
    >>> learning_rate(config, 0, 11), round(learning_rate(config, 5, 11), 6)
    (1.0, 0.1)
    """
    done = min(1.0, step / max(1, total - 1))
    first, last = config.learning_rate, config.final_learning_rate
    if config.schedule == "exponential":
        rate = first * (last / first) ** done
    elif config.schedule == "cosine":
        rate = last + (first - last) * 0.5 * (1.0 + math.cos(math.pi * done))
    else:
        rate = first
    return rate * min(1.0, (step + 1) / (config.warmup_steps + 1))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give each group its part of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def dropout_points(schedule: str) -> list[tuple[float, float]]:
    """A dropout schedule in Kaldi's notation as (fraction of the training, proportion).

    The first and the last proportion stand at 0 and 1; a middle one without place at 0.5
    (steps/libs/nnet3/train/dropout_schedule.py).

    >>> dropout_points("0,0@0.2,0.5@0.5,0")
    [(0.0, 0.0), (0.2, 0.0), (0.5, 0.5), (1.0, 0.0)]

    Raises:
        UsageError: cannot be understood.
    """
    parts = [part.partition("@") for part in schedule.split(",")]
    try:
        values = [float(value) for value, _, _ in parts]
        places = [float(place) if place else 0.5 for _, _, place in parts]
    except ValueError:
        values, places = [], []
    unplaced = [place for _, _, place in parts[1:-1] if not place]
    if not values or any(not 0 <= v < 1 for v in values) or (unplaced and len(parts) != 3):
        raise UsageError(
            f"the dropout schedule {schedule!r} cannot be understood; write proportions at "
            "fractions of the training, such as 0,0@0.2,0.5@0.5,0"
        )
    places[-1] = 1.0
    places[0] = 0.0
    if sorted(places) != places:
        raise UsageError(f"the places in the dropout schedule {schedule!r} must rise from 0 to 1")
    return list(zip(places, values, strict=True))


def dropout_at(points: list[tuple[float, float]], done: float) -> float:
    """The proportion at a fraction of the training, linear between the points."""
    for (begin, low), (end, high) in itertools.pairwise(points):
        if done <= end:
            return low + (high - low) * (done - begin) / (end - begin) if end > begin else high
    return points[-1][1]


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """Its moments, as ``parameter/moment``."""
    return {
        f"{name}/{key}": value
        for name, parameter in parameters.items()
        for key, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor)
    }


def load_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    tensors: Mapping[str, Tensor],
) -> None:
    """Inverse of :func:`optimizer_tensors`.

    Raises:
        ModelError: a moment of another shape than its parameter.
    """
    by_parameter: dict[str, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        parameter_name, _, key = name.rpartition("/")
        by_parameter.setdefault(parameter_name, {})[key] = tensor
    for name, parameter in parameters.items():
        state = by_parameter.get(name)
        if state is None:
            continue
        for key, tensor in state.items():
            if tensor.dim() and tensor.shape != parameter.shape:
                raise ModelError(f"the checkpoint's {name} is of another shape than the network's")
            state[key] = tensor.to(parameter.device) if tensor.dim() else tensor
        optimizer.state[parameter] = state
