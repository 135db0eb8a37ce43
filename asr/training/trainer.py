"""The training loop: one for every network and objective."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr.atomic import replaced_file
from asr.errors import AsrError, DataError, ModelError
from asr.progress import Progress, silent
from asr.training.batch import Batch
from asr.training.checkpoint import (
    Checkpoint,
    bytes_tensors,
    checkpoints,
    full_disk_explained,
    read_latest,
    read_weights,
    remove_leftovers,
    tensor_bytes,
    write_checkpoint,
)
from asr.training.config import TrainConfig
from asr.training.distributed import World, joined_world
from asr.training.evaluation import Average, Evaluation, Judge, evaluate, per_frame
from asr.training.journal import Journal
from asr.training.objective import Objective
from asr.training.optimizer import (
    dropout_at,
    dropout_points,
    learning_rate,
    load_optimizer,
    make_optimizer,
    optimizer_tensors,
    set_rate,
)
from asr.training.source import BatchSource
from asr.training.step import Stepper, StepResult

CHECKPOINT_FOLDER, BEST_FILE, FINAL_FILE = "checkpoints", "best.safetensors", "final.safetensors"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Summary:
    """How a training went.

    Attributes:
        step: steps made, in all runs together.
        epoch: epochs finished.
        stopped: why before the end; "" if at it.
        metrics: of the weights that the network holds now, as ``set/name``.
        best_step: the step whose weights those are, where the options name a metric to watch; −1
            if they are not one step's.
        bad_steps: steps that were skipped for a loss or gradient that was not finite.
        failed: how often an utterance could not be used.
        seconds: of training, in all runs together.
    """

    step: int
    epoch: int
    stopped: str
    metrics: dict[str, float]
    best_step: int
    bad_steps: int
    failed: int
    seconds: float


@dataclass(slots=True)
class _State:
    """What changes, besides tensors; JSON."""

    step: int = 0
    epoch: int = 0
    bad_steps: int = 0
    bad_in_a_row: int = 0
    failed: int = 0
    seconds: float = 0.0
    evaluated: int = -1
    stopped: str = ""
    last_metrics: dict[str, float] = field(default_factory=dict)


def train(
    network: nn.Module,
    objective: Objective,
    batches: BatchSource,
    dev: Mapping[str, Evaluation],
    config: TrainConfig,
    folder: str | Path,
    progress: Progress = silent,
    device: torch.device | str = "cpu",
    description: Mapping[str, Any] | None = None,
) -> Summary:
    """Train a network; go on where ``folder`` says that an earlier run stopped.

    A killed run that goes on ends with the same weights, bit by bit, as one never interrupted (on
    the same number of processes and kind of machine). Under ``torchrun`` every process calls this
    with the same arguments; process 0 writes.

    Args:
        network: trained in place. Methods that it may have: ``set_dropout(proportion)``,
            ``constrain()`` (called after every ``constrain_every``-th step),
            ``set_batch_norm_world(world)``, ``parameter_names()`` (torch's names to those that the
            option ``rates`` speaks of).
        objective: an ``nn.Module`` if it has parameters of its own.
        batches: of the training set.
        dev: evaluated before, during and after the training, by process 0.
        config: options.
        folder: gets ``checkpoints/``, ``train.log``, ``metrics.jsonl``, curves, and at the end
            ``final.safetensors``, the network's state.
        progress: is told how far it is.
        device: "cpu" or "cuda".
        description: JSON about the network and the data that a checkpoint keeps, and that must be
            the same when a run goes on.

    Returns:
        a summary; the network then holds the best, the averaged or the last weights, as the
        options say, in evaluation mode.

    Raises:
        UsageError: options that make no sense here.
        DataError: no batch had anything to learn from.
        ModelError: checkpoints of another network, or all damaged.
        AsrError: losses that are not finite time and again, a full disk, a lost process.
    """
    with joined_world(device) as world, torch.random.fork_rng():
        run = _Run(network, objective, batches, dict(dev), config, Path(folder), progress, world)
        run.description = dict(description or {})
        try:
            return run.whole()
        finally:
            run.close()


class _Run:
    """One call of :func:`train`."""

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        batches: BatchSource,
        dev: dict[str, Evaluation],
        config: TrainConfig,
        folder: Path,
        progress: Progress,
        world: World,
    ) -> None:
        self.network = network.to(world.device)
        self.config, self.folder, self.world, self.dev = config, folder, world, dev
        self.batches, self.progress = batches, progress
        self.description: dict[str, Any] = {}
        batches.shard(world.rank, world.size)
        self._modules = {"network": self.network}
        if isinstance(objective, nn.Module):
            self._modules["objective"] = objective.to(world.device)
        parameters = self._parameters()
        self._was_frozen = {n: p.requires_grad for n, p in parameters.items()}
        self._optimizer = make_optimizer(parameters, config)
        learning = [p for group in self._optimizer.param_groups for p in group["params"]]
        chosen = {id(p) for p in learning}
        for parameter in parameters.values():
            parameter.requires_grad_(id(parameter) in chosen)
        self._stepper = Stepper(network, objective, learning, self._optimizer, config, world)
        self._dropout = dropout_points(config.dropout) if config.dropout else []
        self._state, self._judge = _State(), Judge()
        self._average: Average | None = None
        self._journal: Journal | None = None
        self._total = config.steps or config.epochs * -(-len(batches) // config.accumulate)
        if config.sync_batch_norm and world.size > 1:
            _call(network, "set_batch_norm_world", world)

    def whole(self) -> Summary:
        self._begin()
        self.network.train()
        idle_epochs = 0
        iterator = iter(self.batches)
        while not self._done():
            group = list(itertools.islice(iterator, self.config.accumulate))
            ended = len(group) < self.config.accumulate
            if group:
                self._step(group)
            if ended:
                self._state.epoch += 1
                iterator = iter(self.batches)
            idle_epochs = 0 if group else idle_epochs + ended
            if idle_epochs > 1:
                raise DataError("an epoch has no batches: check that the training set is not empty")
            self._after(bool(group), ended)
        return self._end()

    def close(self) -> None:
        for name, parameter in self._parameters().items():
            parameter.requires_grad_(self._was_frozen[name])
        _call(self.network, "set_batch_norm_world", None)
        if self._journal is not None:
            self._journal.close()

    # -- the course of a training --

    def _begin(self) -> None:
        folder = self.folder / CHECKPOINT_FOLDER
        data = b""
        if self.world.writes:
            with full_disk_explained(self.folder):
                folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
            found = read_latest(folder)
            if found is not None:
                self._restore(found)
            self._journal = Journal(self.folder, self._state.step)
            data = tensor_bytes(self._tensors())
        # process 0's weights and place hold for all, whether they see its folder or not
        place = self.world.json_from_first(self._json() if self.world.writes else None)
        if self.world.size > 1:
            tensors = bytes_tensors(self.world.from_first(data))
            if not self.world.writes:
                self._restore(Checkpoint(place["run"]["step"], place, tensors))
        if self.config.ema and self._average is None:
            self._average = Average(self.network, self.config.ema)
        if self._state.step:
            self._note(f"goes on from step {self._state.step}")
            self._state.stopped = self._judge.reason_to_stop(self.config)
        else:
            count = sum(p.numel() for p in self._parameters().values())
            self._note(f"begins: {count} parameters, {self._total} steps, {self.config.to_json()}")
        if self.dev and self._state.evaluated < 0:
            self._evaluate(begin=True)

    def _step(self, group: list[Batch | None]) -> None:
        config, state = self.config, self._state
        begin = time.perf_counter()
        rate = learning_rate(config, state.step, self._total)
        set_rate(self._optimizer, rate)
        if self._dropout:
            _call(self.network, "set_dropout", dropout_at(self._dropout, self._fraction()))
        result = self._stepper.step(group, state.step)
        if result.updated and state.step % config.constrain_every == 0:
            _call(self.network, "constrain")
        if self._average is not None:
            self._average.update()
        state.step += 1
        state.seconds += time.perf_counter() - begin
        self._count(result)
        if state.step % config.log_every == 0:
            self._report(result, rate, time.perf_counter() - begin)

    def _count(self, result: StepResult) -> None:
        """Mend what can be mended of a bad step; stop after too many."""
        state = self._state
        state.failed += len(result.failed)
        for name in result.failed:
            _log.debug("%s could not be used", name)
        if not result.bad:
            state.bad_in_a_row = 0
            return
        if self._stepper.loss_scale.overflowed():
            return
        state.bad_steps += 1
        state.bad_in_a_row += 1
        self._note(f"step {state.step} is skipped: loss {result.loss}, gradient {result.grad_norm}")
        if state.bad_in_a_row >= self.config.max_bad_steps:
            raise AsrError(
                f"the loss or its gradient was not finite in {state.bad_in_a_row} steps in a row "
                f"(step {state.step}): lower the learning rate and run again; the checkpoints in "
                f"{self.folder / CHECKPOINT_FOLDER} are of finite weights"
            )

    def _after(self, stepped: bool, ended: bool) -> None:
        """Evaluate and write a checkpoint where one is due."""
        config, step = self.config, self._state.step
        if config.evaluate_every:
            evaluation = stepped and step % config.evaluate_every == 0
        else:
            evaluation = ended
        if evaluation and self.dev and self._state.evaluated != step:
            self._evaluate()
            self._state.stopped = self._judge.reason_to_stop(config)
        every = config.checkpoint_every
        if (stepped and step % every == 0) if every else ended:
            self._write_checkpoint()

    def _end(self) -> Summary:
        config, state = self.config, self._state
        if self.dev and state.evaluated != state.step:
            self._evaluate()
        self._write_checkpoint()
        kept, metrics = self._final_weights()
        self.network.eval()
        if self.world.writes:
            data = tensor_bytes(self.network.state_dict())
            self._write(FINAL_FILE, data)
            assert self._journal is not None
            self._journal.draw()
        ended = state.stopped or "at its end"
        self._note(f"ends after step {state.step} ({ended}): {metrics}")
        self.progress(1.0, "trained")
        best = kept if config.watch else -1
        return Summary(
            state.step, state.epoch, state.stopped, metrics, best, state.bad_steps, state.failed,
            state.seconds,
        )  # fmt: skip

    def _done(self) -> bool:
        config, state = self.config, self._state
        if state.stopped:
            return True
        return state.step >= config.steps if config.steps else state.epoch >= config.epochs

    def _fraction(self) -> float:
        return min(1.0, self._state.step / max(1, self._total))

    # -- numbers --

    def _report(self, result: StepResult, rate: float, seconds: float) -> None:
        values = per_frame(result.loss, result.frames, self._all_stats(result.stats))
        if not self.world.writes:
            return
        assert self._journal is not None
        state = self._state
        train_values = {f"train/{name}": value for name, value in values.items()}
        more = {
            "learning_rate": rate,
            "grad_norm": result.grad_norm,
            "frames": float(result.frames),
            "frames_per_second": result.frames / max(seconds, 1e-9),
        }
        self._journal.metrics(state.step, {**train_values, **more}, epoch=state.epoch)
        self.progress(
            self._fraction(), f"training, epoch {state.epoch + 1}, loss {values['loss']:.4f}"
        )

    def _all_stats(self, mine: dict[str, float]) -> dict[str, float]:
        total: dict[str, float] = {}
        for stats in self.world.json_of_all(mine):
            for name, value in stats.items():
                total[name] = total.get(name, 0.0) + value
        return total

    def _evaluate(self, begin: bool = False) -> None:
        """By process 0; what follows from it holds for all."""
        state = self._state
        with self._averaged():
            values = None
            if self.world.writes:
                values = evaluate(self.network, self.dev, self.world.device)
            values = self.world.json_from_first(values)
            state.evaluated, state.last_metrics = state.step, values
            if begin:
                self._judge.begin(self.config, values, state.step)
                better = bool(self.config.watch)
            else:
                better = self._judge.judge(self.config, values, state.step)
            if better and self.world.writes:
                tensors = {**self.network.state_dict(), "step": torch.tensor(state.step)}
                self._write(BEST_FILE, tensor_bytes(tensors))
        if self.world.writes:
            assert self._journal is not None
            self._journal.metrics(state.step, values, epoch=state.epoch)
            self._journal.draw()
        shown = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
        self._note(f"step {state.step}: {shown}{' (best)' if better else ''}")

    def _averaged(self) -> _Swapped:
        return _Swapped(self._average)

    # -- weights --

    def _final_weights(self) -> tuple[int, dict[str, float]]:
        """Put the weights that the options ask for into the network: (their step, metrics)."""
        config, state = self.config, self._state
        metrics = state.last_metrics
        step = state.step
        if self._average is not None:
            self._average.swap()
        if config.average_last > 1:
            self._load_shared(self._mean_of_last() if self.world.writes else None)
            step = -1
            if self.dev:
                values = None
                if self.world.writes:
                    values = evaluate(self.network, self.dev, self.world.device)
                metrics = self.world.json_from_first(values)
                self._note(f"mean of the last checkpoints: {metrics}")
                if config.watch and self._judge.is_better(config, metrics):
                    return step, metrics
        if config.watch and self._judge.best_step not in (step, -1):
            tensors = self._read_best() if self.world.writes else None
            self._load_shared(tensors)
            values = evaluate(self.network, self.dev, self.world.device) if tensors else None
            return self._judge.best_step, self.world.json_from_first(values)
        return step, metrics

    def _mean_of_last(self) -> dict[str, Tensor]:
        prefix = "ema/" if self._average is not None else "network/"
        paths = checkpoints(self.folder / CHECKPOINT_FOLDER)[-self.config.average_last :]
        read = [read_weights(path, prefix) for path in paths]
        return {
            name: torch.stack([w[name].double() for w in read]).mean(0).to(last.dtype)
            if last.is_floating_point()
            else last
            for name, last in read[-1].items()
        }

    def _read_best(self) -> dict[str, Tensor]:
        try:
            tensors = bytes_tensors((self.folder / BEST_FILE).read_bytes())
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{self.folder / BEST_FILE} cannot be read ({error}): the last weights are in "
                f"{self.folder / CHECKPOINT_FOLDER}; train again to have the best"
            ) from error
        del tensors["step"]
        return tensors

    def _load_shared(self, tensors: dict[str, Tensor] | None) -> None:
        """Load process 0's tensors in every process."""
        data = None if tensors is None else tensor_bytes(tensors)
        self.network.load_state_dict(bytes_tensors(self.world.from_first(data)))

    # -- checkpoints --

    def _write_checkpoint(self) -> None:
        if not self.world.writes or self._state.bad_in_a_row:
            return  # weights are finite, but the run may be about to fail: keep those before
        config = self.config
        keep = max(config.keep_checkpoints, config.average_last)
        folder = self.folder / CHECKPOINT_FOLDER
        write_checkpoint(folder, self._state.step, self._json(), self._tensors(), keep)

    def _json(self) -> dict[str, Any]:
        state = self._state
        run = {name: getattr(state, name) for name in _State.__dataclass_fields__}
        metrics = state.last_metrics
        run["last_metrics"] = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
        scale = self._stepper.loss_scale
        return {
            "run": run,
            "judge": self._judge.to_json(),
            "batches": self.batches.state_dict(),
            "loss_scale": [scale.scale, scale.good],
            "config": self.config.to_json(),
            "description": self.description,
        }

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {
            f"{part}/{name}": tensor
            for part, module in self._modules.items()
            for name, tensor in module.state_dict().items()
        }
        moments = optimizer_tensors(self._optimizer, self._parameters())
        tensors |= {f"optimizer/{name}": tensor for name, tensor in moments.items()}
        if self._average is not None:
            tensors |= {f"ema/{name}": tensor for name, tensor in self._average.tensors.items()}
        return tensors

    def _restore(self, found: Checkpoint) -> None:
        state = found.state
        if state["description"] != self.description:
            raise ModelError(
                f"{self.folder} holds the training of another network or other data: train in "
                "another folder"
            )
        changed = [k for k, v in self.config.to_json().items() if state["config"].get(k) != v]
        if changed:
            self._note(f"options differ from those of the run before: {', '.join(changed)}")
        parts = _parts(found.tensors)
        try:
            for part, module in self._modules.items():
                module.load_state_dict(parts.get(part, {}))
        except RuntimeError as error:
            raise ModelError(
                f"{self.folder} holds the training of another network ({error}): train in another "
                "folder"
            ) from None
        load_optimizer(self._optimizer, self._parameters(), parts.get("optimizer", {}))
        if self.config.ema:
            self._average = Average(self.network, self.config.ema)
            for name, tensor in parts.get("ema", {}).items():
                self._average.tensors[name].copy_(tensor)
        self._state = _State(**state["run"])
        metrics = self._state.last_metrics
        self._state.last_metrics = {k: math.nan if v is None else v for k, v in metrics.items()}
        self._judge = Judge(**state["judge"])
        scale = self._stepper.loss_scale
        if scale.active:
            scale.scale, scale.good = state["loss_scale"]
        self.batches.load_state_dict(state["batches"])

    def _parameters(self) -> dict[str, nn.Parameter]:
        """All parameters by the names that users know."""
        named: dict[str, nn.Parameter] = {}
        for part, module in self._modules.items():
            names: dict[str, str] = _call(module, "parameter_names") or {}
            for name, parameter in module.named_parameters():
                named[f"{part}.{names.get(name, name)}"] = parameter
        return named

    # -- files --

    def _write(self, name: str, data: bytes) -> None:
        with full_disk_explained(self.folder), replaced_file(self.folder / name, "wb") as file:
            file.write(data)

    def _note(self, text: str) -> None:
        if self._journal is not None:
            self._journal.note(text)
        elif self.world.writes:
            _log.warning("%s", text)


class _Swapped:
    """While it is entered, the network holds the averages, if there are any."""

    def __init__(self, average: Average | None) -> None:
        self._average = average

    def __enter__(self) -> None:
        if self._average is not None:
            self._average.swap()

    def __exit__(self, *_: object) -> None:
        if self._average is not None:
            self._average.swap()


def _parts(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Tensors by what stands before the first ``/`` of their names."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition("/")
        parts.setdefault(part, {})[rest] = tensor
    return parts


def _call(module: nn.Module, method: str, *arguments: Any) -> Any:
    """Call a method that a network may have or not."""
    function = getattr(module, method, None)
    return None if function is None else function(*arguments)
