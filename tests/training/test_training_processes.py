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
    deadline = time.monotonic() + 120
    while len(losses(folder)) < 10 and time.monotonic() < deadline:
        assert first.poll() is None, messages.with_suffix(".0").read_text()
        time.sleep(0.02)
    os.kill(second.pid, signal.SIGKILL)
    assert second.wait() == -signal.SIGKILL
    left = first.wait(timeout=120)  # an error, or now and then an abort by gloo, which is told too
    lines = messages.with_suffix(".0").read_text().splitlines()
    told = [line for line in lines if line.startswith("asr: ")]
    assert (left, len(told)) == (1, 1), lines
    assert "another process of the training is gone" in told[0]
    found = read_latest(folder / "checkpoints")
    assert found is not None and found.step >= 8

    jobs = start(folder, 0.0, messages)
    assert [job.wait(timeout=120) for job in jobs] == [0, 0], messages.with_suffix(".0").read_text()
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


ABORTED = """
import ctypes, sys, time
from asr.training.distributed import _aborts_explained

libc = ctypes.CDLL(None)
with _aborts_explained():
    if sys.argv[1] == "inside":  # as gloo does it: on a thread that Python does not know
        thread, abort = ctypes.c_ulong(), ctypes.cast(libc.abort, ctypes.c_void_p)
        libc.pthread_create(ctypes.byref(thread), None, abort, None)
        while True:
            time.sleep(0.01)
libc.abort()
"""


def test_an_abort_outside_of_python_is_told_and_others_stay_as_they_are() -> None:
    inside, behind = (
        subprocess.run([sys.executable, "-c", ABORTED, where], capture_output=True, text=True,
                       timeout=120)
        for where in ("inside", "behind")
    )  # fmt: skip
    assert inside.returncode == 1, inside.stderr
    assert inside.stderr.count("\n") == 1
    assert "another process of the training is gone" in inside.stderr
    assert behind.returncode == -signal.SIGABRT and not behind.stderr
