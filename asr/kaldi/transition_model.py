"""Read Kaldi's transition model, the first object of ``final.mdl`` (Kaldi hmm/transition-model.cc).

Both forms are read: ``<Triples>`` (GMM and cross-entropy models: one pdf a state) and ``<Tuples>``
(chain models: a forward and a self-loop pdf a state).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.hmm.transition import TransitionModel
from asr.kaldi.io import BinaryReader

_NO_PDF = -1  # pdf class of a state that emits nothing
_SIZED_INT = np.dtype([("size", "u1"), ("value", "<i4")])  # as WriteBasicType writes it
_CHAIN_MARK = -1  # written in place of the number of entries when self-loops have own pdf classes


@dataclass(frozen=True, slots=True)
class _HmmState:
    forward_pdf_class: int
    self_loop_pdf_class: int
    transitions: tuple[tuple[int, float], ...]  # (target state, initial probability)


@dataclass(frozen=True, slots=True)
class _Topology:
    phone_entry: NDArray[np.int32]  # phone-id → index into entries, −1 = no such phone
    entries: tuple[tuple[_HmmState, ...], ...]
    is_chain: bool


def read_transition_model(path: Path) -> TransitionModel:
    """The transition model at the start of a binary ``final.mdl``.

    Raises:
        ModelError: missing, in text form, cut short or malformed.
    """
    return parse_transition_model(BinaryReader.open(path))


def parse_transition_model(reader: BinaryReader) -> TransitionModel:
    """As :func:`read_transition_model`, leaving ``reader`` behind ``</TransitionModel>``."""
    reader.expect("<TransitionModel>")
    topology = _read_topology(reader)
    tuples = _read_tuples(reader, topology)
    reader.expect("<LogProbs>")
    log_probs = reader.read_vector()
    reader.expect("</LogProbs>")
    reader.expect("</TransitionModel>")
    model = _assemble(reader, topology, tuples, log_probs)
    try:
        model.validate()
    except ModelError:
        raise ModelError(f"{reader.name}: its transition model contradicts itself") from None
    return model


def _read_topology(reader: BinaryReader) -> _Topology:
    reader.expect("<Topology>")
    reader.read_int_vector()  # the phones; phone_entry says the same
    phone_entry = reader.read_int_vector()
    count = reader.read_int()
    is_chain = count == _CHAIN_MARK
    if is_chain:
        count = reader.read_count(1, "topology entries")
    if count < 0 or count > reader.remaining:
        reader.fail("the number of topology entries")
    entries = tuple(_read_entry(reader, is_chain) for _ in range(count))
    reader.expect("</Topology>")
    return _Topology(phone_entry, entries, is_chain)


def _read_entry(reader: BinaryReader, is_chain: bool) -> tuple[_HmmState, ...]:
    states = []
    for _ in range(reader.read_count(5, "HMM states")):
        forward = reader.read_int()
        self_loop = reader.read_int() if is_chain else forward
        arcs = tuple(
            (reader.read_int(), reader.read_float())
            for _ in range(reader.read_count(10, "transitions"))
        )
        states.append(_HmmState(forward, self_loop, arcs))
    return tuple(states)


def _read_tuples(reader: BinaryReader, topology: _Topology) -> NDArray[np.int32]:
    """int32 [K, 4]: phone, HMM state, forward pdf, self-loop pdf."""
    form = "Tuples" if topology.is_chain else "Triples"
    reader.expect(f"<{form}>")
    width = 4 if topology.is_chain else 3
    at = reader.position
    count = reader.read_count(5 * width, form.lower())
    raw: NDArray[np.void] = reader.read_array(_SIZED_INT, count * width, form)
    if count == 0 or not np.all(raw["size"] == 4):
        reader.fail(f"{form.lower()} of int32", at)
    table = raw["value"].reshape(count, width).astype(np.int32)
    reader.expect(f"</{form}>")
    return table if topology.is_chain else np.concatenate([table, table[:, 2:]], axis=1)


def _assemble(
    reader: BinaryReader,
    topology: _Topology,
    tuples: NDArray[np.int32],
    log_probs: NDArray[np.floating],
) -> TransitionModel:
    owner, target, loop = [-1], [-1], [False]
    for index, (phone, state, _, _) in enumerate(tuples.tolist()):
        for arc_target, _ in _hmm_state(reader, topology, phone, state).transitions:
            owner.append(index)
            target.append(arc_target)
            loop.append(arc_target == state)
    if len(log_probs) != len(owner):
        reader.fail(f"{len(owner)} transition log-probabilities (found {len(log_probs)})")
    return TransitionModel(
        tuple_phone=tuples[:, 0].copy(),
        tuple_state=tuples[:, 1].copy(),
        tuple_forward_pdf=tuples[:, 2].copy(),
        tuple_self_loop_pdf=tuples[:, 3].copy(),
        transition_tuple=np.array(owner, np.int32),
        transition_target=np.array(target, np.int32),
        transition_log_prob=log_probs.astype(np.float32),
        transition_self_loop=np.array(loop, np.bool_),
        num_pdfs=int(tuples[:, 2:].max()) + 1,
    )


def _hmm_state(reader: BinaryReader, topology: _Topology, phone: int, state: int) -> _HmmState:
    if 0 < phone < len(topology.phone_entry):
        entry = int(topology.phone_entry[phone])
        if 0 <= entry < len(topology.entries) and 0 <= state < len(topology.entries[entry]):
            return topology.entries[entry][state]
    reader.fail(f"a tuple of a phone and state of the topology (not {phone}, {state})")
