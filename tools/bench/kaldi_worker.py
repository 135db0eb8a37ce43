"""Kaldi's decoders over a static graph, in a process of their own (see worker_process.py).

    python kaldi_worker.py HCLG.fst SCORES.npz

Answers ``decode`` with ``LatticeFasterDecoder`` (kaldi-hmm-gmm), ``nbest`` with the raw lattice of
``LatticeSimpleDecoder`` (kaldi-decoder) through OpenFst's epsilon removal, determinization and
shortest path, and ``memory``. The graph is a vector transducer; SCORES.npz holds a float32 matrix
[frames, pdfs] an utterance.
"""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import kaldi_hmm_gmm
import kaldifst
import numpy as np
from kaldi_hmm_gmm import LatticeFasterDecoderConfig
from worker_process import peak_bytes, serve


class Worker:
    """A graph and scores in memory."""

    def __init__(self, graph: str, scores: str) -> None:
        self.vector = kaldifst.StdVectorFst.read(graph)
        if self.vector is None:
            raise SystemExit(f"{graph} is no vector transducer")
        self.graph = kaldifst.StdConstFst(self.vector)
        self.model = kaldi_hmm_gmm.TransitionModel()  # asked for, and not used
        with np.load(scores) as arrays:
            self.scores = {name: arrays[name] for name in arrays.files}

    def decode(
        self,
        utterance: str,
        beam: float,
        max_active: int,
        lattice_beam: float,
        min_active: int = 0,
    ) -> dict[str, Any]:
        """Best path: its score (nats, higher is better), units, and the seconds it took."""
        config = LatticeFasterDecoderConfig(
            beam=beam,
            max_active=max_active,
            min_active=min_active,
            lattice_beam=lattice_beam,
            determinize_lattice=False,
        )
        decodable = kaldi_hmm_gmm.DecodableCtc(self.scores[utterance])
        wall, cpu = time.perf_counter(), time.process_time()
        decoder = kaldi_hmm_gmm.LatticeFasterDecoderStdConstFst(self.graph, config)
        complete, _, words, score = kaldi_hmm_gmm.decode_utterance_lattice_faster(
            decoder, decodable, self.model, utterance, True
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        units = [word - 1 for word in words]
        return {"complete": complete, "units": units, "score": score, "wall_s": wall, "cpu_s": cpu}

    def nbest(self, utterance: str, beam: float, lattice_beam: float, count: int) -> dict[str, Any]:
        """The best different texts: (score, units) each, best first."""
        import kaldi_decoder

        config = kaldi_decoder.LatticeSimpleDecoderConfig(beam=beam, lattice_beam=lattice_beam)
        decoder = kaldi_decoder.LatticeSimpleDecoder(self.vector, config)
        decoder.decode(kaldi_decoder.DecodableCtc(self.scores[utterance]))
        _, lattice = decoder.get_raw_lattice()
        texts = _texts(lattice)
        kaldifst.rmepsilon(texts)
        best = kaldifst.shortest_path(kaldifst.determinize(texts), n=count)
        return {"texts": _paths(best), "states": texts.num_states}

    def memory(self) -> dict[str, Any]:
        """Peak resident bytes, and those of the graph: 16 an arc and 20 a state of a const FST."""
        fst = self.graph
        arcs = sum(fst.num_arcs(state) for state in range(fst.num_states))
        return {"peak": peak_bytes(), "graph": 16 * arcs + 20 * fst.num_states}


def _texts(lattice: kaldifst.Lattice) -> kaldifst.StdVectorFst:
    """The lattice as an acceptor of units, costs of graph and sound added up."""
    texts = kaldifst.StdVectorFst()
    for _ in range(lattice.num_states):
        texts.add_state()
    texts.start = lattice.start
    for line in lattice.to_str(show_weight_one=True).splitlines():  # the class has no arc iterator
        fields = line.split()
        cost = sum(map(float, fields[-1].split(",")))
        if len(fields) == 2:
            texts.set_final(int(fields[0]), kaldifst.TropicalWeight(cost))
        else:
            source, target, _, label = map(int, fields[:4])
            texts.add_arc(source, kaldifst.StdArc(label, label, cost, target))
    return texts


def _paths(fst: kaldifst.StdVectorFst) -> list[tuple[float, list[int]]]:
    """Every path of an acyclic transducer: (score, units), best first."""
    paths = []
    waiting: list[tuple[int, float, list[int]]] = [(fst.start, 0.0, [])]
    while waiting:
        state, cost, units = waiting.pop()
        final = fst.final(state).value
        if math.isfinite(final):
            paths.append((-(cost + final), units))
        for arc in kaldifst.ArcIterator(fst, state):
            said = [arc.olabel - 1] if arc.olabel else []
            waiting.append((arc.nextstate, cost + arc.weight.value, units + said))
    return sorted(paths, key=lambda path: -path[0])


def main() -> None:
    worker = Worker(*sys.argv[1:])
    answers = {"decode": worker.decode, "nbest": worker.nbest, "memory": worker.memory}
    serve(answers, {"utterances": len(worker.scores)})


if __name__ == "__main__":
    main()
