"""Models for subcommands, made first where they are not in the cache."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from asr.cli.progress import shown_progress

if TYPE_CHECKING:
    from asr.recognizer import Model


def model_path(name: str | Path) -> Path:
    """The folder of a model by name or folder.

    Raises:
        ModelError: there is no such model, or it cannot be made.
    """
    from asr.models import resolve

    with shown_progress() as progress:
        return resolve(name, progress)


def load_model(
    name: str | Path, device: str = "cpu", jobs: int | None = None, precision: str = "float32"
) -> Model:
    """A model ready to recognise.

    Args:
        name: its name or folder.
        device: where its network runs.
        jobs: sounds that will be recognised at once, which share the processors; None: torch's
            own choice of threads.
        precision: of its arithmetic.

    Raises:
        ModelError: there is no such model, or it cannot be made or read.
        UsageError: no such device.
    """
    path = model_path(name)  # before torch is imported, which takes seconds
    from asr.recognizer import load

    if jobs is not None:
        import torch

        torch.set_num_threads(max(1, _threads() // jobs))
    return load(path, device=device, precision=precision)


def _threads() -> int:
    """That the user allows, or a processor each: threads that outnumber those wait by spinning."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    if allowed.isdecimal():
        return int(allowed)
    ours = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(ours(0)) if ours else os.cpu_count() or 1


def load_followed(
    name: str | Path,
    follower: str | Path | None,
    device: str = "cpu",
    jobs: int | None = None,
    precision: str = "float32",
) -> Model:
    """As :func:`load_model`, with a lighter model that follows live sound, if there is one.

    The precision is the first one's: the lighter computes in float32.

    Raises:
        ModelError: there is no such model, or it cannot be made or read.
        UsageError: no such device, or models that do not go together.
    """
    light = None if follower is None else model_path(follower)  # a wrong name is told at once
    model = load_model(name, device, jobs, precision)
    return model if light is None else model.following(load_model(light, device, jobs))
