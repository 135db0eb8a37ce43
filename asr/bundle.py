"""A model on disk: a folder with `model.json` and safetensors files, each under a checksum.

`model.json` holds

- `format` ("malsori-bundle") and `version`, raised when an older reader could not read it;
- `name`, `language`, `sample_rate` (Hz), `licence`, `attribution`;
- `sections`: one JSON object for each part of the recognizer (features, acoustic, graph, ...);
- `files`: name -> size in bytes and SHA-256;
- `checksum`: SHA-256 of everything else in `model.json`.

Nothing in a bundle is code, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asr.atomic import replaced_folder
from asr.errors import ModelError
from asr.tensor_file import read_tensors, write_tensors

FORMAT = "malsori-bundle"
VERSION = 1
MANIFEST_FILE = "model.json"
ACOUSTIC_FILE, IVECTOR_FILE = "acoustic.safetensors", "ivector.safetensors"
GRAPH_FILE, LM_FILE = "graph.safetensors", "lm.safetensors"
ENCODER_FILE = "encoder.safetensors"
"""A pre-trained encoder, where the model does not name one that every installation has."""
TREE_FILE = "tree.safetensors"
"""The context tree, to build graphs anew; models of older versions lack it."""

_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*\.safetensors")


@dataclass(frozen=True)
class Manifest:
    """What a model says of itself."""

    name: str
    language: str
    sample_rate: int
    """Hz of the sound it takes."""
    licence: str
    attribution: str = ""
    """Whom to name when the model is passed on."""
    sections: dict[str, Any] = field(default_factory=dict)
    """JSON objects, one for each part of the recognizer."""


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and SHA-256 in hex of a file of the bundle."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: its manifest is in memory, its arrays are mapped when asked for."""

    path: Path
    manifest: Manifest
    files: Mapping[str, FileEntry]

    def tensors(self, filename: str) -> dict[str, np.ndarray]:
        """Map a file's arrays: no copy is made, and writing to one does not reach the disk.

        Raises ModelError for a name that the bundle does not list, or a malformed file.
        """
        if filename not in self.files:
            raise ModelError(f"{self.path} has no part {filename}: import the model again")
        try:
            return read_tensors(self.path / filename)
        except (ValueError, OSError) as error:
            raise _unreadable(self.path, filename, error) from error


def write_bundle(
    path: str | os.PathLike[str],
    manifest: Manifest,
    tensors: Mapping[str, Mapping[str, np.ndarray]],
) -> None:
    """Write a bundle to the folder `path`, replacing a bundle that is there.

    `tensors` maps a file name (`acoustic.safetensors`) to its arrays by name. The folder appears
    whole or not at all. Raises ModelError when `path` is something other than a bundle.
    """
    path = Path(path)
    if path.exists() and not (path / MANIFEST_FILE).is_file() and not _is_empty_folder(path):
        raise ModelError(f"{path} exists and is not a bundle: choose another place for the model")
    with replaced_folder(path) as folder:
        files = {}
        for name, arrays in sorted(tensors.items()):
            if not _FILE_NAME.fullmatch(name):
                raise ValueError(f"not a plain .safetensors file name: {name!r}")
            write_tensors(folder / name, arrays)
            files[name] = FileEntry((folder / name).stat().st_size, _sha256(folder / name))
        body = {"format": FORMAT, "version": VERSION, **asdict(manifest),
                "files": {name: asdict(entry) for name, entry in files.items()}}
        body["checksum"] = _checksum(body)
        with open(folder / MANIFEST_FILE, "x", encoding="utf-8", newline="\n") as file:
            json.dump(body, file, ensure_ascii=False, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())


def open_bundle(path: str | os.PathLike[str], verify: bool = True) -> Bundle:
    """Open a bundle; `verify` compares every file with its checksum, else only with its size.

    Raises ModelError when `path` is no bundle, is newer than this program, or is damaged.
    """
    path = Path(path)
    body = _read_manifest(path)
    try:
        files = {name: FileEntry(**entry) for name, entry in body["files"].items()}
        keys = ("name", "language", "sample_rate", "licence", "attribution", "sections")
        manifest = Manifest(**{key: body[key] for key in keys})
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, MANIFEST_FILE, f"malformed: {error!r}") from error
    for name, entry in files.items():
        _check_file(path, name, entry, verify)
    return Bundle(path, manifest, files)


def is_bundle(path: str | os.PathLike[str]) -> bool:
    """Whether a folder looks like a bundle (it may still be damaged)."""
    return (Path(path) / MANIFEST_FILE).is_file()


def _read_manifest(path: Path) -> dict[str, Any]:
    """The checked content of `model.json`."""
    if not path.exists():
        raise ModelError(f"{path}: no such model: there is no such folder; `asr info` lists the"
                         " models that have names")
    try:
        text = (path / MANIFEST_FILE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ModelError(f"{path} is not a Malsori model: it has no {MANIFEST_FILE}; Kaldi models"
                         " are turned into one by `asr import-kaldi`") from error
    except OSError as error:
        raise ModelError(f"{path / MANIFEST_FILE} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _damaged(path, MANIFEST_FILE, "not UTF-8") from error
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, MANIFEST_FILE, f"bad JSON: {error}") from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise ModelError(f"{path} is not a Malsori model: its {MANIFEST_FILE} is not of the format"
                         f" {FORMAT!r}")
    version = body.get("version")
    if not isinstance(version, int) or version < 1:
        raise _damaged(path, MANIFEST_FILE, f"version {version!r}")
    if version > VERSION:
        raise ModelError(f"{path} has bundle version {version} and this Malsori reads up to"
                         f" {VERSION}: upgrade it (pip install --upgrade malsori)")
    if body.get("checksum") != _checksum(body):
        raise _damaged(path, MANIFEST_FILE, "checksum differs")
    return body


def _check_file(path: Path, name: str, entry: FileEntry, verify: bool) -> None:
    if not _FILE_NAME.fullmatch(name):
        raise ModelError(f"{path / MANIFEST_FILE} names a file outside the bundle or of another"
                         f" kind ({name!r}): do not use this model")
    file = path / name
    try:
        size = file.stat().st_size
        if size != entry.bytes:
            raise _damaged(path, name, f"{size} bytes instead of {entry.bytes}")
        if verify and _sha256(file) != entry.sha256:
            raise _damaged(path, name, "checksum differs")
    except OSError as error:
        raise _unreadable(path, name, error) from error


def _unreadable(path: Path, name: str, error: Exception) -> ModelError:
    if isinstance(error, FileNotFoundError):
        return ModelError(f"{path / name} is missing: {_remedy(path)}")
    if isinstance(error, PermissionError):
        return ModelError(f"{path / name} cannot be read: {error.strerror}")
    return _damaged(path, name, getattr(error, "strerror", None) or str(error))


def _damaged(path: Path, name: str, why: str) -> ModelError:
    return ModelError(f"{path / name} is damaged ({why}): {_remedy(path)}")


def _remedy(path: Path) -> str:
    return (
        f"delete the folder {path}; the next call makes a model of the cache again,"
        " any other one has to be imported again"
    )


def _checksum(body: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest without its own checksum, however it is laid out on lines."""
    kept = {key: value for key, value in body.items() if key != "checksum"}
    text = json.dumps(kept, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
