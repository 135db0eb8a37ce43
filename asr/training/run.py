"""One run of a training, from its last checkpoint to its end."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from asr.errors import AsrError, DataError, ModelError
from asr.progress import Progress
from asr.tensor_file import read_tensors, write_tensors
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
from asr.training.distributed import World
from asr.training.evaluation import Evaluation, evaluate, per_frame
from asr.training.journal import Journal
from asr.training.optimizer import dropout_at, dropout_points, learning_rate, set_rate
from asr.training.snapshot import Counters, Snapshot, call
from asr.training.step import StepResult

CHECKPOINT_FOLDER, BEST_FILE, FINAL_FILE = "checkpoints", "best.safetensors", "final.safetensors"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Sums:
    """What has come together since the last line of metrics; ``stats`` of this process only."""

    loss: float = 0.0
    frames: int = 0
    seconds: float = 0.0
    stats: dict[str, float] = field(default_factory=dict)

    def add(self, result: StepResult, seconds: float) -> None:
        self.seconds += seconds
        if result.bad:
            return
        self.loss += result.loss
        self.frames += result.frames
        for name, value in result.stats.items():
            self.stats[name] = self.stats.get(name, 0.0) + value


class Run:
    """See :func:`asr.training.trainer.train`, which makes one and calls :meth:`whole`.

    Attributes:
        stopped: why the training ended early; "" if it did not.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        dev: Mapping[str, Evaluation],
        folder: Path,
        progress: Progress,
        world: World,
    ) -> None:
        self._snapshot, self._config = snapshot, snapshot.config
        self._dev, self._folder, self._progress, self._world = dev, folder, progress, world
        self._network = snapshot.network
        config = self._config
        self._dropout = dropout_points(config.dropout) if config.dropout else []
        self._total = config.steps or config.epochs * -(-len(snapshot.batches) // config.accumulate)
        self._journal: Journal | None = None
        self._sums = _Sums()
        self.stopped = ""

    def whole(self) -> tuple[int, dict[str, float]]:
        """Train to the end; returns the step whose weights were chosen and their metrics."""
        self._begin()
        self._network.train()
        batches, accumulate = self._snapshot.batches, self._config.accumulate
        idle_epochs = 0
        iterator = iter(batches)
        while not self._done():
            group = list(itertools.islice(iterator, accumulate))
            ended = len(group) < accumulate
            if group:
                self._step(group)
            if ended:
                self._snapshot.counters.epoch += 1
                iterator = iter(batches)
            idle_epochs = 0 if group else idle_epochs + 1
            if idle_epochs > 1:
                raise DataError("an epoch has no batches: check that the training set is not empty")
            self._after(bool(group), ended)
        return self._end()

    def close(self) -> None:
        """Close the files."""
        if self._journal is not None:
            self._journal.close()

    # -- the course of a training --

    def _begin(self) -> None:
        folder, changed = self._folder / CHECKPOINT_FOLDER, []
        if self._world.writes:
            with full_disk_explained(self._folder):
                folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
            found = read_latest(folder)
            if found is not None:
                changed = self._snapshot.restore(found)
            self._journal = Journal(self._folder, self._counters.step)
        self._share()
        self.stopped = self._snapshot.judge.reason_to_stop(self._config)
        if self._counters.step:
            other = f" with other {', '.join(changed)}" if changed else ""
            self._note(f"goes on from step {self._counters.step}{other}")
        else:
            count = sum(p.numel() for p in self._snapshot.parameters.values())
            options = self._config.to_json()
            self._note(
                f"begins: {count} parameters, {self._total} steps, {self._world.size} processes, "
                f"{options}"
            )
        if self._dev and self._counters.evaluated < 0:
            self._evaluate(begin=True)

    def _share(self) -> None:
        """Process 0's weights and place hold for all, whether they see its folder or not."""
        if self._world.size == 1:
            return
        first = self._world.writes
        place = self._world.json_from_first(self._snapshot.to_json() if first else None)
        data = tensor_bytes(self._snapshot.tensors()) if first else None
        tensors = bytes_tensors(self._world.from_first(data))
        if not first:
            self._snapshot.restore(Checkpoint(place["counters"]["step"], place, tensors))

    def _step(self, group: list[Batch | None]) -> None:
        config, counters = self._config, self._counters
        begin = time.perf_counter()
        rate = learning_rate(config, counters.step, self._total)
        set_rate(self._snapshot.optimizer, rate)
        if self._dropout:
            call(self._network, "set_dropout", dropout_at(self._dropout, self._fraction()))
        result = self._snapshot.stepper.step(group, counters.step)
        if result.updated and counters.step % config.constrain_every == 0:
            call(self._network, "constrain")
        if self._snapshot.average is not None:
            self._snapshot.average.update()
        counters.step += 1
        seconds = time.perf_counter() - begin
        counters.seconds += seconds
        self._sums.add(result, seconds)
        self._count(result)
        if counters.step % config.log_every == 0:
            self._report(result, rate)

    def _count(self, result: StepResult) -> None:
        """Take note of a bad step, and stop after too many."""
        counters = self._counters
        counters.failed += result.failed_everywhere
        for name in result.failed:
            _log.debug("%s could not be used", name)
        if not result.bad:
            counters.bad_in_a_row = 0
            return
        if self._snapshot.stepper.loss_scale.overflowed():
            return
        counters.bad_steps += 1
        counters.bad_in_a_row += 1
        self._note(
            f"step {counters.step} is skipped: loss {result.loss}, gradient {result.grad_norm}"
        )
        if counters.bad_in_a_row >= self._config.max_bad_steps:
            raise AsrError(
                f"the loss or its gradient was not finite in {counters.bad_in_a_row} steps in a "
                f"row (step {counters.step}): lower the learning rate and run again; the "
                f"checkpoints in {self._folder / CHECKPOINT_FOLDER} hold finite weights"
            )

    def _after(self, stepped: bool, ended: bool) -> None:
        """Evaluate and write a checkpoint where one is due."""
        config, counters = self._config, self._counters
        every = config.evaluate_every
        due = (stepped and counters.step % every == 0) if every else ended
        if due and self._dev and counters.evaluated != counters.step:
            self._evaluate()
            self.stopped = self._snapshot.judge.reason_to_stop(config)
        every = config.checkpoint_every
        if (stepped and counters.step % every == 0) if every else ended:
            self._write_checkpoint()

    def _end(self) -> tuple[int, dict[str, float]]:
        counters = self._counters
        if self._dev and counters.evaluated != counters.step:
            self._evaluate()
        self._write_checkpoint()
        step, metrics = self._choose_weights()
        self._network.eval()
        if self._journal is not None:
            self._write_weights(FINAL_FILE)
            self._journal.draw()
            self._progress(1.0, "trained")
        why = f" early: {self.stopped}" if self.stopped else ""
        self._note(f"ends after step {counters.step}{why}; {_shown(metrics)}")
        return step, metrics

    def _done(self) -> bool:
        config, counters = self._config, self._counters
        if self.stopped:
            return True
        if config.steps:
            return counters.step >= config.steps
        return counters.epoch >= config.epochs

    # -- numbers --

    def _report(self, result: StepResult, rate: float) -> None:
        sums, self._sums = self._sums, _Sums()
        stats: dict[str, float] = {}
        for some in self._world.json_of_all(sums.stats):
            for name, value in some.items():
                stats[name] = stats.get(name, 0.0) + value
        if self._journal is None:
            return
        means = per_frame(sums.loss, sums.frames, stats)
        values = {f"train/{name}": value for name, value in means.items()} | {
            "learning_rate": rate,
            "grad_norm": result.grad_norm,
            "frames_per_second": sums.frames / max(sums.seconds, 1e-9),
        }
        counters = self._counters
        self._journal.metrics(counters.step, values, epoch=counters.epoch)
        message = f"training, epoch {counters.epoch + 1}, loss {means['loss']:.4f}"
        self._progress(self._fraction(), message)

    def _evaluate(self, begin: bool = False) -> None:
        """By process 0; what follows from it holds for all."""
        counters, judge, average = self._counters, self._snapshot.judge, self._snapshot.average
        if average is not None:
            average.swap()
        values = self._evaluated()
        counters.evaluated, counters.metrics = counters.step, values
        if begin:
            judge.begin(self._config, values, counters.step)
            better = bool(self._config.watch)
        else:
            better = judge.judge(self._config, values, counters.step)
        if better and self._world.writes:
            self._write_weights(BEST_FILE)
        if average is not None:
            average.swap()
        if self._journal is not None:
            self._journal.metrics(counters.step, values, epoch=counters.epoch)
            self._journal.draw(now=False)
        self._note(f"step {counters.step}: {_shown(values)}{' (best)' if better else ''}")

    def _evaluated(self) -> dict[str, float]:
        values = None
        if self._world.writes:
            values = evaluate(self._network, self._dev, self._world.device)
        found: dict[str, float] = self._world.json_from_first(values)
        return found

    # -- weights --

    def _choose_weights(self) -> tuple[int, dict[str, float]]:
        """Put the weights that the options ask for into the network: (their step, metrics)."""
        config, counters, judge = self._config, self._counters, self._snapshot.judge
        step, metrics = counters.step, counters.metrics
        if self._snapshot.average is not None:
            self._snapshot.average.swap()
        if config.average_last > 1:
            self._load(self._mean_of_last() if self._world.writes else None)
            step, metrics = -1, self._evaluated()
            self._note(f"mean of the last checkpoints: {_shown(metrics)}")
            if not config.watch or judge.is_better(config, metrics):
                return step, metrics
        if config.watch and judge.best_step != step:
            self._load(self._read_best() if self._world.writes else None)
            return judge.best_step, self._evaluated()
        return step, metrics

    def _mean_of_last(self) -> dict[str, Tensor]:
        prefix = "network/" if self._snapshot.average is None else "ema/"
        paths = checkpoints(self._folder / CHECKPOINT_FOLDER)[-self._config.average_last :]
        read = [read_weights(path, prefix) for path in paths]
        return {
            name: torch.stack([weights[name].double() for weights in read]).mean(0).to(last.dtype)
            if last.is_floating_point()
            else last
            for name, last in read[-1].items()
        }

    def _read_best(self) -> dict[str, Tensor]:
        try:
            arrays = read_tensors(self._folder / BEST_FILE)
            return {name: torch.from_numpy(array) for name, array in arrays.items()}
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{self._folder / BEST_FILE} cannot be read ({error}): the last weights are in "
                f"{self._folder / CHECKPOINT_FOLDER}; train again to have the best"
            ) from error

    def _load(self, tensors: dict[str, Tensor] | None) -> None:
        """Load process 0's tensors in every process."""
        data = None if tensors is None else tensor_bytes(tensors)
        self._network.load_state_dict(bytes_tensors(self._world.from_first(data)))

    # -- files --

    def _write_checkpoint(self) -> None:
        # amid bad steps the run may be about to fail: what is on the disk stays
        if self._world.writes and not self._counters.bad_in_a_row:
            keep = max(self._config.keep_checkpoints, self._config.average_last)
            write_checkpoint(
                self._folder / CHECKPOINT_FOLDER,
                self._counters.step,
                self._snapshot.to_json(),
                self._snapshot.tensors(),
                keep,
            )

    def _write_weights(self, name: str) -> None:
        weights = self._network.state_dict()
        arrays = {key: tensor.detach().cpu().numpy() for key, tensor in weights.items()}
        with full_disk_explained(self._folder):
            write_tensors(self._folder / name, arrays, checksum=True)

    def _note(self, text: str) -> None:
        if self._journal is not None:
            self._journal.note(text)

    @property
    def _counters(self) -> Counters:
        return self._snapshot.counters

    def _fraction(self) -> float:
        return min(1.0, self._counters.step / max(1, self._total))


def _shown(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())
