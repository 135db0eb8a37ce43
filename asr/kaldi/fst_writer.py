"""Write OpenFst binary files, and a static graph as the HCLG.fst of Kaldi's decoders.

Layouts as in :mod:`asr.kaldi.fst`. Kaldi's decoders take a frame for every arc with an input label,
so a state's self-loop becomes an arc, and the label of a state's first frame stands on the arcs
that lead there.
"""

from __future__ import annotations

import os
import struct
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from asr.atomic import replaced_file
from asr.graph.static_graph import StaticGraph
from asr.kaldi.fst import _ARC, _CONST_STATE, _FST_MAGIC, Fst

EPSILON_SYMBOL = "<eps>"
_VERSIONS = {"vector": 2, "const": 2}
_EXPANDED = 1
_MUTABLE = 2
_STATE = struct.Struct("<fq")

Kind = Literal["vector", "const"]


def static_fst(graph: StaticGraph) -> Fst:
    """A static graph as a transducer for Kaldi's decoders.

    An input label is a pdf + 1 (what a decodable over a matrix of scores expects), an output label
    a unit + 1; 0 is epsilon. Weights are costs (nats) in the tropical semiring. The start state is
    occupied before the first frame.
    """
    emitting, counts = graph.emitting, np.diff(graph.arc_begin)
    ilabel = np.zeros(graph.arcs, np.int32)
    takes_frame = graph.arc_target < emitting
    ilabel[takes_frame] = graph.forward[graph.arc_target[takes_frame]] + 1
    # the self-loop of state s goes before its first arc
    at = graph.arc_begin[:emitting]
    states = np.arange(emitting, dtype=np.int32)
    loops = np.zeros(graph.states, np.int64)
    loops[:emitting] = 1
    return Fst(
        start=graph.start,
        final=graph.final_cost.copy(),
        arc_begin=np.concatenate([[0], np.cumsum(counts + loops)]).astype(np.int64),
        ilabel=np.insert(ilabel, at, graph.loop + 1),
        olabel=np.insert(graph.arc_unit + 1, at, 0),
        weight=np.insert(graph.arc_cost, at, graph.loop_cost),
        nextstate=np.insert(graph.arc_target, at, states),
        input_symbols=None,
        output_symbols=None,
    )


def write_fst(path: str | os.PathLike[str], fst: Fst, kind: Kind = "const") -> None:
    """Write ``fst`` as a ``const`` or ``vector`` transducer with tropical weights, whole or not.

    Symbol tables are not written: Kaldi takes them from words.txt (:func:`write_symbols`).
    """
    arcs = np.empty(fst.num_arcs, _ARC)
    for name in ("ilabel", "olabel", "weight", "nextstate"):
        arcs[name] = getattr(fst, name)
    with replaced_file(path, "wb") as file:
        _write_header(file, fst, kind)
        if kind == "const":
            file.write(_const_states(fst).tobytes())
            file.write(arcs.view(np.uint8).data)
        else:
            file.write(_vector_body(fst, arcs))


def write_symbols(path: str | os.PathLike[str], units: tuple[str, ...]) -> None:
    """Write words.txt, the units by output label: a symbol, a space and its number a line."""
    with replaced_file(path) as file:
        for number, symbol in enumerate((EPSILON_SYMBOL, *units)):
            file.write(f"{symbol} {number}\n")


def _write_header(file: IO[bytes], fst: Fst, kind: Kind) -> None:
    properties = _EXPANDED | (_MUTABLE if kind == "vector" else 0)
    file.write(struct.pack("<i", _FST_MAGIC))
    for name in (kind, "standard"):
        file.write(struct.pack("<i", len(name)) + name.encode())
    file.write(
        struct.pack(
            "<iiQqqq", _VERSIONS[kind], 0, properties, fst.start, fst.num_states, fst.num_arcs
        )
    )


def _const_states(fst: Fst) -> NDArray[np.void]:
    states = np.empty(fst.num_states, _CONST_STATE)
    states["final"] = fst.final
    states["begin"] = fst.arc_begin[:-1]
    states["arcs"] = np.diff(fst.arc_begin)
    source = fst.arc_state
    for name, labels in (("in_eps", fst.ilabel), ("out_eps", fst.olabel)):
        states[name] = np.bincount(source[labels == 0], minlength=fst.num_states)
    return states


def _vector_body(fst: Fst, arcs: NDArray[np.void]) -> bytearray:
    """Each state's final cost and number of arcs, then those arcs."""
    body = bytearray(fst.num_states * _STATE.size + arcs.nbytes)
    raw, place = arcs.view(np.uint8).data, 0
    begins = fst.arc_begin.tolist()
    for state, final in enumerate(fst.final.tolist()):
        first, last = begins[state], begins[state + 1]
        _STATE.pack_into(body, place, final, last - first)
        place += _STATE.size
        size = (last - first) * _ARC.itemsize
        body[place : place + size] = raw[first * _ARC.itemsize : last * _ARC.itemsize]
        place += size
    return body
