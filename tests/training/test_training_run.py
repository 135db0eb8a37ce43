"""The training loop: killed and gone on, bad steps, damaged checkpoints, a full disk, choices."""

import builtins
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_job import CONFIG, SIZE, Slowly, examples, run, train_network
from torch import nn

from asr.acoustic.tdnnf import Tdnnf
from asr.errors import AsrError, DataError, ModelError, UsageError
from asr.training import (
    Batch,
    CrossEntropy,
    MemoryBatches,
    TrainConfig,
    Value,
    journal,
    train,
)
from asr.training.checkpoint import bytes_tensors, checkpoints, read_latest
from asr.training.journal import read_metrics

JOB = Path(__file__).with_name("small_job.py")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Small steps are quickest on one thread; pictures have a test of their own."""
    monkeypatch.setattr(journal, "draw_curves", lambda records, path: False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def final(folder: Path) -> dict[str, torch.Tensor]:
    return bytes_tensors((folder / "final.safetensors").read_bytes())


def assert_identical(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def losses(folder: Path) -> list[float]:
    return [r["train/loss"] for r in read_metrics(folder) if "train/loss" in r]


def test_a_killed_training_goes_on_to_the_same_weights_bit_by_bit(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    job = subprocess.Popen([sys.executable, JOB, killed, "0.05", "0.2"])
    deadline = time.monotonic() + 60
    while len(losses(killed)) < 14 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(job.pid, signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL
    reached = len(losses(killed))
    assert 14 <= reached < 40
    assert not (killed / "final.safetensors").exists()
    summary = run(killed, dropout=0.2)
    expected = run(whole, dropout=0.2)
    assert summary.step == expected.step == 40
    assert summary.metrics == expected.metrics
    assert_identical(final(killed), final(whole))
    assert losses(killed) == losses(whole)
    assert sum(losses(whole)[-10:]) / 10 < 0.85 * losses(whole)[0]
    log = (killed / "train.log").read_text()
    assert log.count("# malsori") == 2 and "goes on from step" in log
    assert log.startswith("# small_job.py") and "torch 2" in log


def test_a_finished_training_stays_as_it_is_and_can_be_made_longer(tmp_path: Path) -> None:
    first = run(tmp_path / "a", steps=8)
    again = run(tmp_path / "a", steps=8)
    assert (again.step, again.metrics) == (first.step, first.metrics)
    longer = run(tmp_path / "a", steps=12)
    assert longer.step == 12
    assert "with other steps" in (tmp_path / "a" / "train.log").read_text()


@pytest.mark.parametrize("epochs, accumulate", [(3, 1), (3, 4)])
def test_stopped_at_any_checkpoint_the_epochs_come_out_the_same(
    tmp_path: Path, epochs: int, accumulate: int
) -> None:
    options = {"steps": 0, "epochs": epochs, "accumulate": accumulate, "checkpoint_every": 1}
    options |= {"keep_checkpoints": 99, "ema": 0.9, "watch": "dev/loss", "evaluate_every": 0}
    expected = run(tmp_path / "whole", **options)
    saved = checkpoints(tmp_path / "whole" / "checkpoints")
    assert len(saved) == expected.step
    for path in saved[:: max(1, len(saved) // 4)]:
        part = tmp_path / path.name
        shutil.copytree(path, part / "checkpoints" / path.name)
        shutil.copy(tmp_path / "whole" / "best.safetensors", part)
        summary = run(part, **options)
        assert (summary.step, summary.epoch) == (expected.step, epochs)
        assert_identical(final(part), final(tmp_path / "whole"))


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, caplog) -> None:
    run(tmp_path / "whole", steps=20)
    run(tmp_path / "a", steps=12)
    newest = checkpoints(tmp_path / "a" / "checkpoints")[-1]
    tensors = newest / "state.safetensors"
    data = bytearray(tensors.read_bytes())
    data[-5] ^= 1
    tensors.write_bytes(data)
    run(tmp_path / "a", steps=20)
    assert "trying the checkpoint before" in caplog.text
    for path in checkpoints(tmp_path / "a" / "checkpoints"):
        (path / "state.json").write_text("{")
    with pytest.raises(ModelError, match=r"all checkpoints .* are damaged .* delete the folder"):
        run(tmp_path / "a", steps=20)


def test_checkpoints_of_another_network_are_refused(tmp_path: Path) -> None:
    run(tmp_path, steps=4)
    from dataclasses import replace

    with pytest.raises(ModelError, match=r"another network .* train in another folder"):
        train_network(Tdnnf(replace(SIZE, dim=20)), tmp_path, CONFIG)


class Poisoned(CrossEntropy):
    """NaN on chosen calls."""

    def __init__(self, calls: set[int]) -> None:
        super().__init__()
        self.calls, self.called = calls, 0

    def __call__(self, network: nn.Module, batch: Batch) -> Value:
        self.called += 1
        if self.called in self.calls:
            batch.feats[0, 0, 0] = float("nan")
        return super().__call__(network, batch)


def train_poisoned(folder: Path, calls: set[int]):
    config = TrainConfig.from_json(
        {**CONFIG.to_json(), "accumulate": 1, "steps": 20, "max_bad_steps": 3}
    )
    network = Tdnnf(SIZE)
    batches = MemoryBatches(examples(), 200)
    return network, train(network, Poisoned(calls), batches, {}, config, folder)


def test_a_step_that_is_not_finite_is_skipped(tmp_path: Path) -> None:
    network, summary = train_poisoned(tmp_path, {3, 4, 9})
    assert (summary.step, summary.bad_steps) == (20, 3)
    assert all(bool(t.isfinite().all()) for t in network.state_dict().values())
    assert (tmp_path / "train.log").read_text().count("is skipped") == 3


def test_too_many_bad_steps_stop_the_training_with_good_weights_kept(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"not finite in 3 steps in a row .* lower the learning"):
        train_poisoned(tmp_path, set(range(10, 100)))
    found = read_latest(tmp_path / "checkpoints")
    assert found is not None and found.step == 8
    assert all(bool(t.isfinite().all()) for t in found.tensors.values())


def test_a_full_disk_stops_the_training_and_loses_nothing(tmp_path: Path, monkeypatch) -> None:
    expected = run(tmp_path / "whole")
    real_open, full = builtins.open, {"after": 3}

    def limited_open(path, mode="r", *args, **kwargs):
        file = real_open(path, mode, *args, **kwargs)
        if "x" in mode and str(path).endswith("state.safetensors"):
            full["after"] -= 1
            if full["after"] < 0:
                file.write(b"some")  # half of it is there when the disk is full

                def refuse(_: bytes) -> int:
                    raise OSError(errno.ENOSPC, "No space left on device")

                wrapped = type("Full", (), {"write": staticmethod(refuse)})()
                wrapped.__class__.__enter__ = lambda self: self
                wrapped.__class__.__exit__ = lambda self, *_: file.close()
                return wrapped
        return file

    monkeypatch.setattr(builtins, "open", limited_open)
    with pytest.raises(AsrError, match=r"disk of .* is full: free some space"):
        run(tmp_path / "a")
    monkeypatch.undo()
    names = sorted(path.name for path in (tmp_path / "a" / "checkpoints").iterdir())
    assert names == ["step-00000008", "step-00000012"]
    assert run(tmp_path / "a").metrics == expected.metrics
    assert_identical(final(tmp_path / "a"), final(tmp_path / "whole"))


def test_a_really_full_disk(tmp_path: Path) -> None:
    """A file system of 160 kB, where this user may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        with pytest.raises(AsrError, match="is full: free some space"):
            run(disk / "a", keep_checkpoints=50)
        found = read_latest(disk / "a" / "checkpoints")
        assert found is not None and found.step >= 4
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_best_weights_are_kept_unless_another_corpus_is_forgotten(tmp_path: Path) -> None:
    """Scripted values of two sets: better and better on one, until the other breaks."""
    script = {0: (1.0, 1.0), 10: (0.8, 1.02), 20: (0.7, 1.04), 30: (0.6, 1.2), 40: (0.5, 1.3)}
    weights: dict[int, torch.Tensor] = {}

    def measure(network: nn.Module) -> dict[str, float]:
        step = 10 * len(weights) if len(weights) < 5 else 20
        weights.setdefault(step, network.state_dict()["_layers.1.weight"].clone())
        return {"new": script[step][0], "old": script[step][1]}

    config = TrainConfig.from_json(
        {**CONFIG.to_json(), "watch": "cer/new", "guard": "cer/old", "guard_tolerance": 0.05}
    )
    network = Tdnnf(SIZE)
    batches = MemoryBatches(examples(), 200)
    summary = train(network, Slowly(), batches, {"cer": measure}, config, tmp_path)
    assert summary.chosen_step == 20
    assert torch.equal(network.state_dict()["_layers.1.weight"], weights[20])
    assert not torch.equal(weights[20], weights[40])


def test_damaged_best_weights_are_not_taken_for_whole_ones(tmp_path: Path) -> None:
    values = iter([3.0, 2.0, 2.5, 2.0, 2.6, 2.7])

    def go_on(steps: int):
        config = TrainConfig.from_json({**CONFIG.to_json(), "watch": "dev/x", "steps": steps})
        dev = {"dev": lambda network: {"x": next(values)}}
        return train(Tdnnf(SIZE), Slowly(), MemoryBatches(examples(), 200), dev, config, tmp_path)

    assert go_on(20).chosen_step == 10
    best = tmp_path / "best.safetensors"
    content = bytearray(best.read_bytes())
    content[-1] ^= 1
    best.write_bytes(content)
    with pytest.raises(ModelError, match=r"best.safetensors cannot be read .*checksum differs"):
        go_on(30)
    found = read_latest(tmp_path / "checkpoints")
    assert found is not None and found.step == 30  # what was learnt is there


def test_training_stops_when_nothing_gets_better(tmp_path: Path) -> None:
    values = iter([3.0, 2.0, 2.5, 2.6, 2.7, 2.0])
    config = TrainConfig.from_json({**CONFIG.to_json(), "watch": "dev/x", "patience": 2})
    dev = {"dev": lambda network: {"x": next(values)}}
    batches = MemoryBatches(examples(), 200)
    summary = train(Tdnnf(SIZE), Slowly(), batches, dev, config, tmp_path)
    assert (summary.step, summary.chosen_step) == (30, 10)
    assert "not become better in 2 evaluations" in summary.stopped


def test_averages_of_checkpoints_and_of_steps(tmp_path: Path) -> None:
    run(tmp_path / "a", steps=12, average_last=3)
    mean = final(tmp_path / "a")["_layers.1.weight"]
    parts = []
    for path in checkpoints(tmp_path / "a" / "checkpoints"):
        parts.append(bytes_tensors((path / "state.safetensors").read_bytes()))
    expected = torch.stack([p["network/_layers.1.weight"].double() for p in parts]).mean(0)
    assert len(parts) == 3
    torch.testing.assert_close(mean, expected.float())
    run(tmp_path / "b", steps=2, ema=0.75, checkpoint_every=1)
    steps = [
        bytes_tensors((path / "state.safetensors").read_bytes())["network/_layers.1.weight"]
        for path in checkpoints(tmp_path / "b" / "checkpoints")
    ]
    begin = dict(Tdnnf(SIZE).named_parameters())["_layers.1.weight"].detach()
    average = 0.75 * (0.75 * begin + 0.25 * steps[0]) + 0.25 * steps[1]
    torch.testing.assert_close(final(tmp_path / "b")["_layers.1.weight"], average)


def test_layers_learn_at_their_own_rates(tmp_path: Path) -> None:
    network = Tdnnf(SIZE)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    rates = [["network.tdnn1", 0.0], ["network.tdnnf2.linear", 0.0]]
    config = TrainConfig.from_json({**CONFIG.to_json(), "steps": 4, "rates": rates})
    train_network(network, tmp_path, config)
    names = network.parameter_names()
    after = dict(network.named_parameters())
    kept = {names[n] for n, p in after.items() if torch.equal(p, before[n])}
    assert kept == {"tdnn1.affine.weight", "tdnn1.affine.bias", "tdnnf2.linear.weight"}
    assert all(p.requires_grad for p in after.values())
    config = TrainConfig.from_json({**CONFIG.to_json(), "rates": [["network.tdnn9", 0.0]]})
    with pytest.raises(UsageError, match=r"begins with 'network\.tdnn9'"):
        train_network(Tdnnf(SIZE), tmp_path / "b", config)


def test_accumulated_batches_make_one_step(tmp_path: Path) -> None:
    """As one batch that holds all of them; no batch norm here, whose statistics are the batch's."""
    from asr.acoustic.mlp import Mlp, MlpConfig

    found = []
    data = [e for e in examples(24) if e.frames >= 21]
    for name, max_frames, accumulate in (("one", 10**6, 1), ("some", 120, 99)):
        network = Mlp(MlpConfig(6, 5, layers=1, dim=8))
        config = TrainConfig(steps=5, accumulate=accumulate, optimizer="sgd", learning_rate=0.5)
        targets = [type(e)(e.id, e.feats, None, e.feats[:, :5].argmax(1)) for e in data]
        batches = MemoryBatches(targets, max_frames)
        assert len(batches) == 1 or accumulate > len(batches)
        train(network, CrossEntropy(), batches, {}, config, tmp_path / name)
        found.append(network.state_dict())
    for key, tensor in found[0].items():
        torch.testing.assert_close(found[1][key], tensor, atol=1e-6, rtol=1e-5)


def test_options_that_make_no_sense_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no training option 'step'"):
        TrainConfig.from_json({"step": 3})
    with pytest.raises(UsageError, match="optimizer is 'lbfgs'; choose one of adamw, sgd"):
        TrainConfig(optimizer="lbfgs")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="must be at least 1"):
        TrainConfig(accumulate=0)
    with pytest.raises(UsageError, match="needs a GPU"):
        run(tmp_path / "a", precision="bf16")
    with pytest.raises(UsageError, match="which is not measured; there are dev/accuracy, dev/loss"):
        run(tmp_path / "b", watch="test/loss")
    with pytest.raises(DataError, match="no utterances are left"):
        MemoryBatches([], 100)
    assert TrainConfig.from_json(json.loads(json.dumps(CONFIG.to_json()))) == CONFIG


def test_metrics_hold_every_set(tmp_path: Path) -> None:
    run(tmp_path, steps=10)
    records = read_metrics(tmp_path)
    assert [r["step"] for r in records if "dev/loss" in r] == [0, 10]
    last = [r for r in records if "train/loss" in r][-1]
    assert {"train/accuracy", "learning_rate", "grad_norm", "frames_per_second"} <= set(last)
