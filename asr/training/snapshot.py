"""All that a training has come to, in a form that a checkpoint can hold and give back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor, nn

from asr.errors import ModelError
from asr.training.checkpoint import Checkpoint
from asr.training.config import TrainConfig
from asr.training.distributed import World
from asr.training.evaluation import Average, Judge
from asr.training.objective import Objective
from asr.training.optimizer import load_optimizer, make_optimizer, optimizer_tensors
from asr.training.source import BatchSource
from asr.training.step import Stepper


@dataclass(slots=True)
class Counters:
    """How far a training is.

    Attributes:
        step: steps made.
        epoch: epochs finished.
        bad_steps: steps skipped for a loss or gradient that was not finite.
        bad_in_a_row: the last of these, without a good one since.
        failed: how often an utterance could not be used, in all processes.
        seconds: spent in steps.
        evaluated: step of the last evaluation, −1 before the first.
        metrics: of that evaluation.
    """

    step: int = 0
    epoch: int = 0
    bad_steps: int = 0
    bad_in_a_row: int = 0
    failed: int = 0
    seconds: float = 0.0
    evaluated: int = -1
    metrics: dict[str, float] = field(default_factory=dict)


class Snapshot:
    """A network in training with its optimizer, averages, counters and place in the data.

    Args:
        network, objective, batches, config: as :func:`asr.training.trainer.train` takes them.
        description: what must be the same when a run goes on.
        world: the processes.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        batches: BatchSource,
        config: TrainConfig,
        description: Mapping[str, Any],
        world: World,
    ) -> None:
        self.network, self.batches, self.config = network, batches, config
        self._description = json.loads(json.dumps(dict(description)))  # tuples become lists
        self._modules = {"network": network}
        if isinstance(objective, nn.Module):
            self._modules["objective"] = objective.to(world.device)
        self.parameters = self._named_parameters()
        self._was_learning = {name: p.requires_grad for name, p in self.parameters.items()}
        self.optimizer = make_optimizer(self.parameters, config)
        learning = [p for group in self.optimizer.param_groups for p in group["params"]]
        chosen = {id(p) for p in learning}
        for parameter in self.parameters.values():
            parameter.requires_grad_(id(parameter) in chosen)
        self.stepper = Stepper(network, objective, learning, self.optimizer, config, world)
        self.average = Average(network, config.ema) if config.ema else None
        self.counters, self.judge = Counters(), Judge()

    def release(self) -> None:
        """Let parameters that were frozen for the training learn again."""
        for name, parameter in self.parameters.items():
            parameter.requires_grad_(self._was_learning[name])

    def to_json(self) -> dict[str, Any]:
        """What is no tensor."""
        counters = asdict(self.counters)
        counters["metrics"] = {k: v if math.isfinite(v) else None for k, v in self._metrics()}
        scale = self.stepper.loss_scale
        return {
            "counters": counters,
            "judge": self.judge.to_json(),
            "batches": self.batches.state_dict(),
            "loss_scale": [scale.scale, scale.good],
            "config": self.config.to_json(),
            "description": self._description,
        }

    def tensors(self) -> dict[str, Tensor]:
        """Weights, the optimizer's moments and averages, by ``network/…``, ``optimizer/…``, …"""
        tensors = {
            f"{part}/{name}": tensor
            for part, module in self._modules.items()
            for name, tensor in module.state_dict().items()
        }
        moments = optimizer_tensors(self.optimizer, self.parameters)
        tensors |= {f"optimizer/{name}": tensor for name, tensor in moments.items()}
        if self.average is not None:
            tensors |= {f"ema/{name}": tensor for name, tensor in self.average.tensors.items()}
        return tensors

    def restore(self, found: Checkpoint) -> list[str]:
        """Become what a checkpoint holds; returns the options that differ from the run before's.

        Raises:
            ModelError: it is of another network or other data.
        """
        state = found.state
        if state["description"] != self._description:
            raise _other("another network or other data")
        parts = _parts(found.tensors)
        try:
            for part, module in self._modules.items():
                module.load_state_dict(parts.get(part, {}))
        except RuntimeError as error:
            raise _other(f"another network ({' '.join(str(error).split())})") from None
        load_optimizer(self.optimizer, self.parameters, parts.get("optimizer", {}))
        if self.average is not None:
            present = {
                **dict(self.network.named_parameters()),
                **dict(self.network.named_buffers()),
            }
            for name, tensor in self.average.tensors.items():
                tensor.copy_(parts.get("ema", present)[name])
        self.counters = Counters(**state["counters"])
        metrics = self.counters.metrics
        self.counters.metrics = {k: math.nan if v is None else v for k, v in metrics.items()}
        self.judge = Judge(**state["judge"])
        scale = self.stepper.loss_scale
        if scale.active:
            scale.scale, scale.good = state["loss_scale"]
        self.batches.load_state_dict(state["batches"])
        before = state["config"]
        return [name for name, value in self.config.to_json().items() if before.get(name) != value]

    def _metrics(self) -> list[tuple[str, float]]:
        return list(self.counters.metrics.items())

    def _named_parameters(self) -> dict[str, nn.Parameter]:
        """All parameters by the names that users know."""
        named: dict[str, nn.Parameter] = {}
        for part, module in self._modules.items():
            names: dict[str, str] = call(module, "parameter_names") or {}
            for name, parameter in module.named_parameters():
                named[f"{part}.{names.get(name, name)}"] = parameter
        return named


def call(module: nn.Module, method: str, *arguments: Any) -> Any:
    """Call a method that a network may have or not."""
    function = getattr(module, method, None)
    return None if function is None else function(*arguments)


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors by what stands before the first ``/`` of their names."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = tensor
    return parts


def _other(what: str) -> ModelError:
    return ModelError(f"the folder holds checkpoints of {what}: train in another folder")
