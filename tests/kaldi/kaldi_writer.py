"""Writes small files in Kaldi's binary form, for tests (Kaldi base/io-funcs-inl.h)."""

import struct
from collections.abc import Sequence

import numpy as np

MARK = b"\0B"


def token(text: str) -> bytes:
    return text.encode() + b" "


def int32(value: int) -> bytes:
    return b"\4" + struct.pack("<i", value)


def uint32(value: int) -> bytes:
    return b"\xfc" + struct.pack("<I", value)


def real(value: float) -> bytes:
    return b"\4" + struct.pack("<f", value)


def boolean(value: bool) -> bytes:
    return b"T" if value else b"F"


def ints(values: Sequence[int]) -> bytes:
    return b"\4" + struct.pack("<i", len(values)) + np.asarray(values, "<i4").tobytes()


def vector(values: Sequence[float] | np.ndarray) -> bytes:
    return token("FV") + int32(len(values)) + np.asarray(values, "<f4").tobytes()


def matrix(values: np.ndarray) -> bytes:
    rows, columns = values.shape
    return token("FM") + int32(rows) + int32(columns) + np.asarray(values, "<f4").tobytes()


def component(kind: str, **fields: bytes) -> bytes:
    body = b"".join(token(f"<{name}>") + value for name, value in fields.items())
    return token(f"<{kind}>") + body + token(f"</{kind}>")


def nnet(config: str, components: dict[str, bytes]) -> bytes:
    parts = [token("<Nnet3>"), b"\n", config.strip().encode(), b"\n\n"]
    parts += [token("<NumComponents>"), int32(len(components))]
    for name, body in components.items():
        parts += [token("<ComponentName>"), token(name), body]
    return b"".join(parts) + token("</Nnet3>")


State = tuple[int, int, Sequence[tuple[int, float]]]


def transition_model(
    entries: Sequence[tuple[Sequence[int], Sequence[State]]],
    tuples: Sequence[Sequence[int]],
    log_probs: Sequence[float],
) -> bytes:
    """``entries``: (phones, states); a state: forward and self-loop pdf class, transitions."""
    is_chain = len(tuples[0]) == 4
    phones = sorted(phone for ids, _ in entries for phone in ids)
    index = [-1] * (max(phones) + 1)
    for number, (ids, _) in enumerate(entries):
        for phone in ids:
            index[phone] = number
    out = [token("<TransitionModel>"), token("<Topology>"), ints(phones), ints(index)]
    out += [int32(-1)] * is_chain + [int32(len(entries))]
    for _, states in entries:
        out.append(int32(len(states)))
        for forward, self_loop, arcs in states:
            out += [int32(forward)] + [int32(self_loop)] * is_chain + [int32(len(arcs))]
            out += [int32(target) + real(probability) for target, probability in arcs]
    form = "Tuples" if is_chain else "Triples"
    out += [token("</Topology>"), token(f"<{form}>"), int32(len(tuples))]
    out += [int32(value) for row in tuples for value in row]
    out += [token(f"</{form}>"), token("<LogProbs>"), vector(log_probs)]
    return b"".join([*out, token("</LogProbs>"), token("</TransitionModel>")])


CHAIN_STATES: Sequence[State] = [(0, 1, [(0, 0.5), (1, 0.5)]), (-1, -1, [])]


def chain_model(tuples: Sequence[Sequence[int]]) -> bytes:
    """A transition model of one-state chain phones from (phone, 0, forward, self-loop pdf)."""
    phones = sorted({row[0] for row in tuples})
    log_probs = [0.0] + [float(np.log(0.5))] * (2 * len(tuples))
    return transition_model([(phones, CHAIN_STATES)], tuples, log_probs)
