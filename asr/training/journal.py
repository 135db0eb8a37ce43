"""What a training writes about itself: a log for people, metrics for programs, curves.

``train.log`` begins with the command and the environment; ``metrics.jsonl`` has a JSON object a
line; ``tensorboard/`` and ``curves.png`` appear where tensorboard and matplotlib are installed
(``pip install malsori[train]``).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from asr import __version__
from asr.atomic import replaced_file
from asr.training.checkpoint import full_disk_explained
from asr.training.curves import draw_curves

LOG_FILE, METRICS_FILE = "train.log", "metrics.jsonl"
CURVES_FILE, TENSORBOARD_FOLDER = "curves.png", "tensorboard"
DRAWING_INTERVAL = 60.0
"""Seconds between pictures while the training runs: a picture takes half a second."""
_logger = logging.getLogger(__name__)


class Journal:
    """The files of one training, written by one process.

    Args:
        folder: where.
        step: the step at which the training begins or goes on: metrics behind it, which a killed
            process had written after its last checkpoint, are dropped.

    Raises:
        AsrError: the disk is full.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._folder = folder
        with full_disk_explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
            records = [r for r in read_metrics(folder) if r["step"] <= step]
            with replaced_file(folder / METRICS_FILE) as file:
                file.writelines(json.dumps(record) + "\n" for record in records)
            self._metrics = _appending(folder / METRICS_FILE)
            self._log = _appending(folder / LOG_FILE)
            self._board = _board(folder / TENSORBOARD_FOLDER, step)
            self._write(self._log, *environment())
        self._drawn = time.monotonic()

    def note(self, text: str) -> None:
        """A line for people."""
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with full_disk_explained(self._folder):
            self._write(self._log, f"{stamp} {text}")
        _logger.info("%s", text)

    def metrics(self, step: int, values: Mapping[str, float], **more: Any) -> None:
        """Numbers of a step."""
        record = {"step": step, **more, **{k: _rounded(v) for k, v in values.items()}}
        with full_disk_explained(self._folder):
            self._write(self._metrics, json.dumps(record))
            if self._board is not None:
                for name, value in values.items():
                    self._board.add_scalar(name, value, step)

    def draw(self, now: bool = True) -> None:
        """The curves so far, where matplotlib is installed; not ``now``: once a minute."""
        if not now and time.monotonic() - self._drawn < DRAWING_INTERVAL:
            return
        self._drawn = time.monotonic()
        with full_disk_explained(self._folder):
            draw_curves(read_metrics(self._folder), self._folder / CURVES_FILE)

    def close(self) -> None:
        """Close the files. What a full disk kept from being written has been reported before."""
        with contextlib.suppress(OSError):
            self._metrics.close()
        with contextlib.suppress(OSError):
            self._log.close()
        if self._board is not None:
            with contextlib.suppress(OSError):
                self._board.close()

    @staticmethod
    def _write(file: IO[str], *lines: str) -> None:
        # unbuffered at every line: a killed process has written all that it said
        file.write("".join(line + "\n" for line in lines))
        file.flush()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The records of ``metrics.jsonl``; a last line that a killed process cut off is left out."""
    path = folder / METRICS_FILE
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("step"), int):
            records.append(record)
    return records


def environment() -> list[str]:
    """The command and what it runs on, as lines that begin with ``#``."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    lines = [
        f"# {shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}",
        f"# started {time.strftime('%Y-%m-%d %H:%M:%S %z')} in {os.getcwd()}",
        f"# malsori {__version__}, commit {_commit() or 'unknown'}",
        f"# python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {np.__version__}, {platform.platform()}",
        f"# device {device}, threads {torch.get_num_threads()} of {os.cpu_count()} cores",
    ]
    if "WORLD_SIZE" in os.environ:
        lines.append(f"# process {os.environ.get('RANK')} of {os.environ['WORLD_SIZE']}")
    return lines


def _commit() -> str:
    """The commit of the source tree that runs, "" where it is none."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    # a later run hides the events of a killed one behind its first step
    return SummaryWriter(str(folder), purge_step=step + 1)


def _appending(path: Path) -> IO[str]:
    return open(path, "a", encoding="utf-8", newline="\n")


def _rounded(value: float) -> float | None:
    """Seven digits; what is not finite becomes null, for JSON knows no NaN."""
    return float(f"{value:.7g}") if np.isfinite(value) else None
