"""Counts and sums of utterances under the background model, on disk: what the EM reads each time.

They do not change while the extractor is trained, so features and posteriors are computed once,
and no more than one file of them is in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr.errors import DataError
from asr.features.ivector import IvectorExtractor
from asr.features.ivector_em import Moments
from asr.tensor_file import read_tensors, write_tensors

_BYTES = 1 << 26  # of a file, about
_MOMENTS = "moments.safetensors"


@dataclass(frozen=True, slots=True)
class StatisticsFolder:
    """A folder that holds the statistics of a corpus; ``complete`` once its sums are there."""

    path: Path

    @property
    def complete(self) -> bool:
        """Whether all utterances are in it."""
        return (self.path / _MOMENTS).exists()

    def write(self, extractor: IvectorExtractor, utterances: Iterable[Tensor]) -> None:
        """Gather the statistics of utterances' MFCC (float32 [T, C], not normalised).

        The extractor's posteriors and projection count; its matrices do not.

        Raises:
            DataError: no frames at all.
        """
        writer = _Writer(self.path)
        for mfcc in utterances:
            if len(mfcc):
                writer.add(*_gathered(extractor, mfcc))
        writer.finish()

    def moments(self) -> Moments:
        """The sums over all utterances."""
        arrays = read_arrays(self.path / _MOMENTS)
        products = arrays["products"]
        dim = arrays["sums"].shape[1]
        rows, columns = torch.tril_indices(dim, dim)
        full = products.new_zeros(len(products), dim, dim)
        full[:, rows, columns] = products
        full[:, columns, rows] = products
        return Moments(arrays["counts"], arrays["sums"], full)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Counts float32 [U, G] and sums float32 [U, G, D], some utterances at a time."""
        for number in range(int(read_arrays(self.path / _MOMENTS)["files"][0])):
            arrays = read_arrays(self.path / _name(number))
            yield arrays["counts"], arrays["sums"]


def write_arrays(path: Path, arrays: dict[str, Tensor]) -> None:
    """Write tensors to a safetensors file that appears whole."""
    tensors = {name: array.detach().cpu().numpy() for name, array in arrays.items()}
    write_tensors(path, tensors, checksum=True)


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Inverse of :func:`write_arrays`.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        arrays = read_tensors(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): delete {path.parent}") from error
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _name(number: int) -> str:
    return f"statistics-{number:05d}.safetensors"


def _gathered(extractor: IvectorExtractor, mfcc: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Counts [G], sums [G, D] and products [G, D (D + 1) / 2] of an utterance."""
    stream = extractor.stream()
    pieces = [*stream.project(mfcc), stream.project_rest()]
    counts, sums, products = [], [], []
    for raw, normalised in pieces:
        posteriors = extractor.posteriors(normalised).T
        rows, columns = torch.tril_indices(raw.shape[1], raw.shape[1], device=raw.device)
        counts.append(posteriors.sum(dim=1, dtype=torch.float64))
        sums.append((posteriors @ raw).double())
        products.append((posteriors @ (raw[:, rows] * raw[:, columns])).double())
    return tuple(torch.stack(parts).sum(0) for parts in (counts, sums, products))  # type: ignore[return-value]


class _Writer:
    """Fills one file after another."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files = 0
        self._counts: list[Tensor] = []
        self._sums: list[Tensor] = []
        self._totals: list[Tensor] = []

    def add(self, counts: Tensor, sums: Tensor, products: Tensor) -> None:
        self._counts.append(counts.float().cpu())
        self._sums.append(sums.float().cpu())
        parts = [self._counts[-1].double(), self._sums[-1].double(), products.cpu()]
        if not self._totals:
            self._totals = [torch.zeros_like(part) for part in parts]
        for total, part in zip(self._totals, parts, strict=True):
            total += part
        if len(self._counts) * (counts.numel() + sums.numel()) * 4 >= _BYTES:
            self._flush()

    def finish(self) -> None:
        if self._counts:
            self._flush()
        if not self._files:
            raise DataError("there is no speech to train i-vectors on: give sound files")
        names = ("counts", "sums", "products")
        totals = dict(zip(names, self._totals, strict=True))
        files = torch.from_numpy(np.array([self._files]))
        write_arrays(self._path / _MOMENTS, {**totals, "files": files})

    def _flush(self) -> None:
        arrays = {"counts": torch.stack(self._counts), "sums": torch.stack(self._sums)}
        write_arrays(self._path / _name(self._files), arrays)
        self._files += 1
        self._counts, self._sums = [], []
