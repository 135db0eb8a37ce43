"""Stages of a recipe: commands that run once for the same inputs, and leave a mark when done.

A mark is a file `NAME.done` that holds what decided the result: the command with its options, a
hash of each input, the version of Malsori, and names and sizes of what came out. As long as all
that is so, the stage need not run again. A stage that fails, or is killed, leaves no mark.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asr import __version__
from asr.atomic import TEMPORARY_MARK, replaced_file
from asr.errors import DataError, UsageError

BLOCK = 1 << 20
TOLD_LINES = 5
"""Of the log of a stage that failed, in the error's message."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage.

    Attributes:
        name: of its mark and log; a file name without folders.
        command: program and arguments; no shell sees them.
        inputs: files or folders whose contents decide the result.
        listed: the same, but large: only names and sizes of the files count.
        outputs: files or folders that must be there afterwards.
        scratch: what the command keeps while it works, so that it can go on where it was killed.
        stdout: a file that takes what the command prints, and appears only if it succeeds.
    """

    name: str
    command: tuple[str, ...]
    inputs: tuple[Path, ...] = ()
    listed: tuple[Path, ...] = ()
    outputs: tuple[Path, ...] = ()
    scratch: tuple[Path, ...] = ()
    stdout: Path | None = None

    def __post_init__(self) -> None:
        if not self.name or Path(self.name).name != self.name or self.name.startswith("."):
            raise UsageError(f"a stage cannot be named {self.name!r}: it names files")
        if not self.command:
            raise UsageError(f"the stage {self.name} has no command: give one after --")

    @property
    def results(self) -> tuple[Path, ...]:
        """Outputs, and the file that takes what is printed."""
        return self.outputs if self.stdout is None else (*self.outputs, self.stdout)


def run_stage(stage: Stage, folder: str | os.PathLike[str], *, force: bool = False) -> bool:
    """Run a stage's command unless its mark in `folder` says that this was done.

    The log `NAME.log` begins with the command. Where an earlier run had another command or other
    inputs, what it left (its outputs and scratch) is removed first; where it was the same run,
    interrupted, it stays, so that the command can go on.

    Args:
        stage: what to do.
        folder: of marks and logs; made if it is not there.
        force: run although it was done, from nothing.

    Returns:
        Whether it had to run.

    Raises:
        DataError: an input is missing, the command fails or makes no output, or the stage is being
            run by another process.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / f".{stage.name}.lock", stage.name) as lock:
        key = _key(stage)
        done, begun = folder / f"{stage.name}.done", folder / f".{stage.name}.begun"
        if not force and _fits(done, key, stage):
            return False
        done.unlink(missing_ok=True)
        _clear(begun, None if force else key)
        _write(begun, {"key": key, "left": [str(p) for p in (*stage.results, *stage.scratch)]})
        started = time.time()
        _execute(stage, folder / f"{stage.name}.log", lock)
        for path in stage.results:
            if not path.exists():
                raise DataError(
                    f"{stage.name}: the command succeeded without making {path}: see"
                    f" {folder / stage.name}.log"
                )
        seconds = round(time.time() - started, 1)
        _write(done, {"key": key, "outputs": _sizes(stage.results), "seconds": seconds})
    return True


def _key(stage: Stage) -> dict[str, Any]:
    """All that decides the result."""
    for path in (*stage.inputs, *stage.listed):
        if not path.exists():
            raise DataError(f"{stage.name} needs {path}, which is missing: run the stage before")
    return {
        "malsori": __version__,
        "command": list(stage.command),
        "inputs": {str(path): _content(path) for path in stage.inputs},
        "listed": _sizes(stage.listed),
    }


def _files(path: Path) -> Iterator[Path]:
    """A file, or all files below a folder in the order of their names."""
    if not path.is_dir():
        yield path
        return
    for root, folders, names in os.walk(path, followlinks=True):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        yield from (Path(root, name) for name in sorted(names) if TEMPORARY_MARK not in name)


def _content(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents below a folder."""
    digest = hashlib.sha256()
    for file in _files(path):
        digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\0".encode())
        with open(file, "rb") as stream:
            while block := stream.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()


def _sizes(paths: tuple[Path, ...]) -> dict[str, str]:
    """For each path a SHA-256 of the names and sizes of the files there."""
    found = {}
    for path in paths:
        digest = hashlib.sha256()
        for file in _files(path):
            digest.update(f"{file.relative_to(path)}\0{file.stat().st_size}\n".encode())
        found[str(path)] = digest.hexdigest()
    return found


def _fits(done: Path, key: Mapping[str, Any], stage: Stage) -> bool:
    mark = _read(done)
    if mark.get("key") != key or not all(path.exists() for path in stage.results):
        return False
    return bool(mark.get("outputs") == _sizes(stage.results))


def _clear(begun: Path, key: Mapping[str, Any] | None) -> None:
    """Remove what another run of this stage left; nothing that this stage never wrote."""
    mark = _read(begun)
    if mark.get("key") == key:
        return
    for name in mark.get("left", ()):
        path = Path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _execute(stage: Stage, log: Path, lock: int) -> None:
    """Run the command, which holds the lock too: it may outlive this process if that is killed."""
    with open(log, "w", encoding="utf-8") as told, ExitStack() as stack:
        now = time.strftime("%Y-%m-%d %H:%M:%S %z")
        head = f"# {shlex.join(stage.command)}\n# {now}, malsori {__version__}"
        print(head, file=told, flush=True)
        printed: Any = told
        if stage.stdout is not None:
            printed = stack.enter_context(replaced_file(stage.stdout))
        try:
            process = subprocess.Popen(
                stage.command, stdin=subprocess.DEVNULL, stdout=printed, stderr=told,
                pass_fds=(lock,),
            )  # fmt: skip
        except OSError as error:
            raise DataError(
                f"{stage.name}: {stage.command[0]} cannot be run ({error.strerror}): install it or"
                " put it on PATH"
            ) from error
        code = _waited(process)
        if code:
            raise DataError(_failure(stage, log, code))
        print(f"# done {time.strftime('%Y-%m-%d %H:%M:%S %z')}", file=told)


def _waited(process: subprocess.Popen[bytes]) -> int:
    """The exit code; whoever interrupts this process ends the command too."""
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _failure(stage: Stage, log: Path, code: int) -> str:
    why = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[2:][-TOLD_LINES:]
    return f"{stage.name} failed ({why}): see {log}" + (", which ends: " if lines else "") + (
        " | ".join(line.strip() for line in lines)
    )


@contextmanager
def _alone(lock: Path, name: str) -> Iterator[int]:
    """Hold a lock file; yields its descriptor."""
    with open(lock, "w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(
                f"{name} is being run by another process: wait for it, or choose another folder"
            ) from error
        yield held.fileno()


def _read(path: Path) -> dict[str, Any]:
    """A mark; one that is missing or damaged says nothing."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, mark: Mapping[str, Any]) -> None:
    with replaced_file(path) as file:
        json.dump(mark, file, ensure_ascii=False, indent=1)
        file.write("\n")
