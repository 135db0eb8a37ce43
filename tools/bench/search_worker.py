"""Our searches, in a process of their own (see worker_process.py).

    python search_worker.py static GRAPH.npz SCORES.npz
    python search_worker.py on-the-fly GRAPH.npz SCORES.npz SMALL.lm OPTIONS
    python search_worker.py lazy GRAPH.npz SCORES.npz SMALL.lm OPTIONS

GRAPH.npz holds the arrays of a StaticGraph or of an HclGraph; OPTIONS are those of DecoderConfig as
JSON (in a static graph they are already).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from worker_process import peak_bytes, serve

from asr.decoder.config import DecoderConfig
from asr.decoder.lazy_search import LazyDecoder
from asr.decoder.search import Decoder
from asr.decoder.static_search import StaticDecoder
from asr.graph.hcl import HclGraph
from asr.graph.static_graph import StaticGraph
from asr.lm.binary import load_model

MOST_CACHED = 1 << 40
"""Bytes: no cache is thrown away while it is measured."""


class Worker:
    """A decoder and scores in memory."""

    def __init__(
        self, kind: str, graph: str, scores: str, lm: str = "", options: str = "{}"
    ) -> None:
        with np.load(graph) as arrays:
            tensors = dict(arrays)
        self.options: dict[str, Any] = json.loads(options)
        self.decoder: StaticDecoder | Decoder | LazyDecoder
        if kind == "static":
            static = static_graph(tensors)
            self.decoder = StaticDecoder(static)
            self.graph_bytes = self.decoder.nbytes
        elif kind == "lazy":
            weights = DecoderConfig(**self.options)
            hcl = HclGraph.from_tensors(tensors)
            self.decoder = LazyDecoder(hcl, load_model(lm), weights, MOST_CACHED)
            self.graph_bytes = 0
        else:
            model = load_model(lm)
            self.decoder = Decoder(HclGraph.from_tensors(tensors), model)
            language = self.decoder.language.arrays
            arrays_of = [*tensors.values(), *language]
            self.graph_bytes = sum(array.nbytes for array in arrays_of)
        with np.load(scores) as arrays:
            self.scores = {name: arrays[name] for name in arrays.files}
        first = self.decoder.search()
        first.advance(next(iter(self.scores.values()))[:10])  # loads the compiled loops
        first.best_path()
        first.lattice()

    def decode(
        self, utterance: str, beam: float, max_active: int, lattice_beam: float, min_active: int = 0
    ) -> dict[str, Any]:
        """Best path: its score, units, and the seconds it took; ``min_active`` is not ours."""
        config = self._config(beam, max_active, lattice_beam)
        scores = self.scores[utterance]
        wall, cpu = time.perf_counter(), time.process_time()
        search = self.decoder.search(config)
        search.advance(scores)
        path = search.best_path()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        units = [unit.id for unit in path.units]
        return {
            "complete": path.complete, "units": units, "score": path.score,
            "wall_s": wall, "cpu_s": cpu,
        }  # fmt: skip

    def nbest(
        self, utterance: str, beam: float, max_active: int, lattice_beam: float, count: int
    ) -> dict[str, Any]:
        """The best different texts: (score, units) each, best first."""
        search = self.decoder.search(self._config(beam, max_active, lattice_beam))
        search.advance(self.scores[utterance])
        lattice = search.lattice()
        found = lattice.nbest(count) if lattice is not None else []
        return {"texts": [(text.score, [unit.id for unit in text.units]) for text in found]}

    def memory(self) -> dict[str, Any]:
        """Peak resident bytes of the process, and those of graph and language model."""
        if isinstance(self.decoder, LazyDecoder):
            self.graph_bytes = self.decoder.nbytes
        return {"peak": peak_bytes(), "graph": self.graph_bytes}

    def _config(self, beam: float, max_active: int, lattice_beam: float) -> DecoderConfig:
        limits = {"beam": beam, "max_active": max_active, "lattice_beam": lattice_beam}
        return DecoderConfig(**{**self.options, **limits})


def static_graph(arrays: dict[str, np.ndarray]) -> StaticGraph:
    """A static graph from the arrays of :func:`save_static`."""
    units: Sequence[str] = arrays.pop("units").tolist()
    start = int(arrays.pop("start"))
    return StaticGraph(**arrays, start=start, units=tuple(units))


def save_static(path: Path, graph: StaticGraph) -> None:
    """Write a static graph's arrays."""
    arrays: dict[str, Any] = {
        name: np.asarray(getattr(graph, name)) for name in StaticGraph.__slots__
    }
    np.savez(path, **arrays)


def main() -> None:
    worker = Worker(*sys.argv[1:])
    answers = {"decode": worker.decode, "nbest": worker.nbest, "memory": worker.memory}
    serve(answers, {"utterances": len(worker.scores)})


if __name__ == "__main__":
    main()
