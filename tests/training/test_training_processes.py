"""Two processes, joined as torchrun joins them: the same training as one; one of them killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from small_job import run

from asr.errors import AsrError, UsageError
from asr.training import journal
from asr.training.checkpoint import read_latest
from asr.training.distributed import joined_world
from asr.training.journal import read_metrics

JOB = Path(__file__).with_name("small_job.py")


def start(folder: Path, delay: float, messages: Path) -> list[subprocess.Popen[bytes]]:
    """The job in two processes, with the environment that torchrun gives."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    jobs = []
    for rank in range(2):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
        with open(messages.with_suffix(f".{rank}"), "wb") as log:
            jobs.append(
                subprocess.Popen(
                    [sys.executable, JOB, folder, str(delay), "0"],
                    env={**os.environ, **place},
                    stderr=log,
                )
            )
    return jobs


def losses(folder: Path) -> list[float]:
    return [r["train/loss"] for r in read_metrics(folder) if "train/loss" in r]


def test_two_processes_train_as_one_and_survive_the_loss_of_one(tmp_path: Path, monkeypatch):
    """Batch norm and all: each process has a share of every batch."""
    monkeypatch.setattr(journal, "draw_curves", lambda records, path: False)
    folder, messages = tmp_path / "two", tmp_path / "messages"
    first, second = start(folder, 0.02, messages)
    deadline = time.monotonic() + 60
    while len(losses(folder)) < 10 and time.monotonic() < deadline:
        assert first.poll() is None, messages.with_suffix(".0").read_text()
        time.sleep(0.02)
    os.kill(second.pid, signal.SIGKILL)
    assert second.wait() == -signal.SIGKILL
    left = first.wait(timeout=30)
    assert left in (1, -signal.SIGABRT)  # now and then gloo aborts before an error can be told
    lines = messages.with_suffix(".0").read_text().splitlines()
    told = any(line.startswith("asr: another process of the training is gone") for line in lines)
    assert told or left == -signal.SIGABRT, lines
    found = read_latest(folder / "checkpoints")
    assert found is not None and found.step >= 8

    jobs = start(folder, 0.0, messages)
    assert [job.wait(timeout=60) for job in jobs] == [0, 0], messages.with_suffix(".0").read_text()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run(tmp_path / "one")
    torch.set_num_threads(threads)
    mine, theirs = losses(folder), losses(tmp_path / "one")
    assert len(mine) == len(theirs) == 40
    assert mine == pytest.approx(theirs, abs=1e-5)
    measured = [[r["dev/loss"] for r in read_metrics(f) if "dev/loss" in r] for f in
                (folder, tmp_path / "one")]  # fmt: skip
    assert measured[0] == pytest.approx(measured[1], abs=1e-5)


def test_a_process_without_the_others_says_so(monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(UsageError, match="torchrun"), joined_world():
        pass
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(AsrError, match="did not find each other"), joined_world():
        pass
