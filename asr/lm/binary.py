"""A language model in a small file: quantised logs and compressed tables, for git and downloads.

The file is a safetensors file. Its metadata hold a JSON header, with the SHA-256 of everything
else; each tensor is a byte stream compressed with xz. The same model always gives the same bytes.
For every order there are

- children: how many n-grams of the next order continue each n-gram,
- words: the last units, by rank of unigram probability, which makes them small numbers,
- logp: probabilities, and backoff: weights of the n-grams that have children, as multiples of a
  step (0.1 and 0.05 nats; rounding errors are far below the model's own).

Numbers are split into planes of low and high bytes, which compress better apart.

Version 2 is for units of several syllables: the units (a line each) and their segmentation costs
are streams too. Where a unit is one syllable they stand in the header, which is version 1.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from asr.atomic import replaced_file
from asr.errors import ModelError
from asr.lm.arpa import read_arpa
from asr.lm.automaton import LmAutomaton, build_automaton
from asr.lm.ngram import LOG_ZERO, NgramModel, NgramOrder
from asr.lm.units import Vocabulary

FORMAT = "malsori-lm"
VERSION = 2
LOGP_STEP = 0.1
BACKOFF_STEP = 0.05
_XZ_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "pb": 0}]
_HEADER_BYTES = 8  # a safetensors file opens with the length of its JSON


def load_model(path: str | os.PathLike[str]) -> LmAutomaton:
    """Read a language model for decoding: a file of `save_model`, or an ARPA file.

    Raises:
        ModelError: the file is missing, damaged or of a newer version. DataError: bad ARPA text.
    """
    return build_automaton(load_ngrams(path))


def load_ngrams(path: str | os.PathLike[str]) -> NgramModel:
    """Read a language model's n-grams; as `load_model`."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(_HEADER_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    if start[_HEADER_BYTES:] != b"{":
        return read_arpa(path)
    header, streams = _read(path)
    try:
        return _unpack(header, streams)
    except (KeyError, TypeError, ValueError, IndexError, lzma.LZMAError) as error:
        raise _damaged(path, str(error)) from error


def save_model(model: NgramModel, path: str | os.PathLike[str]) -> None:
    """Write a model compactly. Probabilities change by up to 5%, evenly; the file appears whole."""
    from safetensors.numpy import save

    header = _header(model)
    streams = {name: np.frombuffer(data, np.uint8) for name, data in _pack(model).items()}
    header["sha256"] = _checksum(header, streams)
    with replaced_file(path, "wb") as file:
        file.write(save(streams, {"header": json.dumps(header, sort_keys=True)}))


def _header(model: NgramModel) -> dict[str, Any]:
    vocabulary = model.vocabulary
    units: dict[str, Any] = {"version": 1, "units": list(vocabulary.units)}
    if not vocabulary.single:
        size = len("\n".join(vocabulary.units).encode())
        units = {"version": 2, "units_bytes": size, "costs": bool(vocabulary.costs)}
    return {
        "format": FORMAT,
        **units,
        "sizes": [len(table) for table in model.orders],
        "logp_step": LOGP_STEP,
        "backoff_step": BACKOFF_STEP,
        "licence": model.licence,
        "attribution": model.attribution,
    }


def _pack(model: NgramModel) -> dict[str, bytes]:
    rank = _ranks(_quantised(model.orders[0].logp, LOGP_STEP))
    streams = _pack_units(model.vocabulary)
    for n, table in enumerate(model.orders, 1):
        streams[f"{n}.logp"] = _compress(_quantised(table.logp, LOGP_STEP))
        if n > 1:
            streams[f"{n}.words"] = _compress(rank[table.word])
        if n < model.order:
            above = model.orders[n]
            children = np.bincount(above.context, minlength=len(table))
            streams[f"{n}.children"] = _compress(children)
            weights = table.backoff[children > 0]
            streams[f"{n}.backoff"] = _compress(_quantised(weights, BACKOFF_STEP))
    return streams


def _unpack(header: Mapping[str, Any], streams: Mapping[str, bytes]) -> NgramModel:
    vocabulary = _unpack_units(header, streams)
    sizes = [int(size) for size in header["sizes"]]
    if sizes[0] != len(vocabulary):
        raise ValueError("the unigrams are not the vocabulary")
    context, by_rank = np.zeros(sizes[0], np.int32), np.empty(0, np.int64)
    orders = []
    for n, size in enumerate(sizes, 1):
        codes = _decompress(streams[f"{n}.logp"], size)
        if n == 1:
            by_rank = np.argsort(_ranks(codes))
            word = np.arange(size)
        else:
            word = by_rank[_decompress(streams[f"{n}.words"], size) & 0xFFFF]
        backoff = np.zeros(size, np.float32)
        following = np.empty(0, np.int32)
        if n < len(sizes):
            children = _decompress(streams[f"{n}.children"], size) & 0xFFFF
            if int(children.sum()) != sizes[n]:
                raise ValueError(f"order {n + 1} has the wrong number of contexts")
            following = np.repeat(np.arange(size, dtype=np.int32), children)
            parents = np.flatnonzero(children)
            weights = _decompress(streams[f"{n}.backoff"], len(parents))
            backoff[parents] = np.maximum(weights * header["backoff_step"], LOG_ZERO)
        logp = np.maximum(codes * header["logp_step"], LOG_ZERO).astype(np.float32)
        orders.append(NgramOrder(context, word.astype(np.uint16), logp, backoff))
        context = following
    return NgramModel(vocabulary, tuple(orders), header["licence"], header["attribution"])


def _pack_units(vocabulary: Vocabulary) -> dict[str, bytes]:
    if vocabulary.single:
        return {}
    streams = {"units": lzma.compress("\n".join(vocabulary.units).encode())}
    if vocabulary.costs:
        streams["costs"] = _compress(np.array(vocabulary.costs))
    return streams


def _unpack_units(header: Mapping[str, Any], streams: Mapping[str, bytes]) -> Vocabulary:
    if header["version"] == 1:
        return Vocabulary(tuple(header["units"]))
    size = int(header["units_bytes"])
    data = lzma.LZMADecompressor().decompress(streams["units"], size + 1)
    if len(data) != size:
        raise ValueError("the list of units has the wrong length")
    units = tuple(data.decode().split("\n"))
    costs = _decompress(streams["costs"], len(units)).tolist() if header["costs"] else ()
    return Vocabulary(units, tuple(costs))


def _quantised(logs: np.ndarray, step: float) -> np.ndarray:
    return np.round(logs / step).astype(np.int16)


def _ranks(unigram_codes: np.ndarray) -> np.ndarray:
    """Return the rank of each unit, the likeliest first; ties by id."""
    ranks = np.empty(len(unigram_codes), np.int64)
    ranks[np.argsort(-unigram_codes.astype(np.int64), kind="stable")] = np.arange(len(ranks))
    return ranks


def _compress(numbers: np.ndarray) -> bytes:
    """Compress numbers of 16 bits, signed or not."""
    values = numbers.astype(np.int64).astype(np.uint16)
    planes = (values & 0xFF).astype(np.uint8).tobytes() + (values >> 8).astype(np.uint8).tobytes()
    return lzma.compress(planes, filters=_XZ_FILTERS)


def _decompress(data: bytes, size: int) -> np.ndarray:
    """Undo `_compress`: int64 [size], the numbers taken as signed."""
    # no more is unpacked than the header speaks of, whatever the data would grow to
    planes = np.frombuffer(lzma.LZMADecompressor().decompress(data, 2 * size + 1), np.uint8)
    if len(planes) != 2 * size:
        raise ValueError("a table has the wrong length")
    return (planes[:size] | (planes[size:].astype(np.uint16) << 8)).view(np.int16).astype(np.int64)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the header and the streams of a file whose checksum is right."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(path, str(error)) from error
    try:
        header = json.loads(metadata.get("header", "{}"))
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelError(f"{path} is not a language model of `asr train-lm`, or damaged")
    if header.get("sha256") != _checksum(header, arrays):
        raise _damaged(path, "its checksum differs")
    if header["version"] > VERSION:
        raise ModelError(f"{path} has version {header['version']} and this Malsori reads up to"
                         f" {VERSION}: upgrade it (pip install --upgrade malsori)")  # fmt: skip
    return header, {name: array.tobytes() for name, array in arrays.items()}


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    rest = {name: value for name, value in header.items() if name != "sha256"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _damaged(path: Path, why: str) -> ModelError:
    return ModelError(f"{path} is damaged ({why}): install Malsori again or make the file again")
