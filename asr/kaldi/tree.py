"""The context tree of a Kaldi chain model, from its decoding graph or from a ``tree`` file.

A model that is shipped without its ``tree`` still spells it out in its graph: wherever an arc that
enters phone *p* leaves a state that is entered by phone *l*, the arc's transition-id names the pdfs
of *p* after *l*. The graph was determinised and minimised with context already expanded, so every
phone that enters a state has the same future, and pairs are unambiguous.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.hmm.context import NO_PHONE, ContextTree
from asr.hmm.transition import TransitionModel
from asr.kaldi.fst import Fst
from asr.kaldi.io import BinaryReader

_PDF_CLASS_KEY = -1  # Kaldi's kPdfClass
_MAX_TREE_DEPTH = 500
_CHAIN_PDF_CLASSES = (0, 1)  # of the forward arc and of the self-loop


def recover_context_tree(graph: Fst, model: TransitionModel) -> ContextTree:
    """Read the left-biphone tree off the paths of an H∘C∘L graph.

    Args:
        graph: transducer with transition-ids on the input side (higher labels are
            disambiguation symbols, taken as epsilon).
        model: the transition model that numbers them; one emitting state a phone.

    Raises:
        ModelError: the graph does not belong to the model, or the model is no left-biphone one.
    """
    if model.tuple_state.any():
        raise ModelError("the context tree can be recovered for one-state chain models only")
    stride = int(model.tuple_phone.max()) + 1
    emits = (graph.ilabel > 0) & (graph.ilabel <= model.num_transitions)
    enters = emits.copy()
    enters[emits] = ~model.transition_self_loop[graph.ilabel[emits]]
    states = graph.arc_state
    tuples = model.transition_tuple[graph.ilabel[enters]]
    entered = graph.nextstate[enters].astype(np.int64) * stride + model.tuple_phone[tuples]
    lefts = np.unique(np.append(entered, graph.start * stride + NO_PHONE))
    lefts = _close_over_epsilon(lefts, states[~emits], graph.nextstate[~emits], stride)
    which, arcs = _join(lefts // stride, states[enters])
    follows = np.zeros((stride, model.num_tuples), np.bool_)
    follows[lefts[which] % stride, tuples[arcs]] = True
    left, reached = np.nonzero(follows)
    return _tree_of_pairs(left, reached, model)


def _close_over_epsilon(
    lefts: NDArray[np.int64], source: NDArray[np.int32], target: NDArray[np.int32], stride: int
) -> NDArray[np.int64]:
    """Carry (state, left phone) codes across arcs that emit nothing, until nothing is new."""
    rounds = [lefts]
    while len(rounds[-1]):
        which, arcs = _join(rounds[-1] // stride, source)
        reached = np.unique(target[arcs].astype(np.int64) * stride + rounds[-1][which] % stride)
        for known in rounds:
            reached = reached[~_is_among(reached, known)]
        rounds.append(reached)
    return np.sort(np.concatenate(rounds))


def _is_among(values: NDArray[np.int64], ascending: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    place = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.asarray(ascending[place] == values)


def _join(
    ascending: NDArray[np.int64], keys: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every (i, j) with ``ascending[i] == keys[j]``, as two arrays."""
    size = int(max(ascending.max(initial=0), keys.max(initial=0))) + 1
    begin = np.append(0, np.cumsum(np.bincount(ascending, minlength=size)))
    count = begin[keys + 1] - begin[keys]
    arcs = np.repeat(np.arange(len(keys)), count)
    offset = np.arange(len(arcs)) - np.repeat(np.cumsum(count) - count, count)
    return begin[keys][arcs] + offset, arcs


def _tree_of_pairs(
    left: NDArray[np.int64], tuples: NDArray[np.int64], model: TransitionModel
) -> ContextTree:
    phone = model.tuple_phone[tuples]
    num_phones = int(model.tuple_phone.max())
    pairs = left * (num_phones + 1) + phone
    if len(pairs) == 0:
        raise ModelError("the graph holds no transition-ids of this model; get HCLr.fst again")
    if len(np.unique(pairs)) != len(pairs):
        raise ModelError(
            "the graph gives some phone several states after the same left phone: "
            "the model is not a left-biphone one, or the graph belongs to another model"
        )
    return ContextTree.from_pairs(
        left,
        phone,
        model.tuple_forward_pdf[tuples],
        model.tuple_self_loop_pdf[tuples],
        num_phones,
    )


# --- the `tree` file ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Leaf:
    answer: int


@dataclass(frozen=True, slots=True)
class _Split:
    key: int
    values: frozenset[int]
    yes: _Node
    no: _Node


@dataclass(frozen=True, slots=True)
class _Table:
    key: int
    children: tuple[_Node | None, ...]


_Node = _Leaf | _Split | _Table


def read_context_tree(path: Path, model: TransitionModel) -> ContextTree:
    """Read a binary Kaldi ``tree`` (Kaldi tree/context-dep.cc, event-map.cc).

    Raises:
        ModelError: malformed, or of wider context than one phone to the left.
    """
    reader = BinaryReader.open(path)
    reader.expect("ContextDependency")
    at = reader.position
    width, central = reader.read_int(), reader.read_int()
    if (width, central) not in ((1, 0), (2, 1)):
        reader.fail("a monophone or left-biphone tree (context width 1 or 2)", at)
    reader.expect("ToPdf")
    root = _read_node(reader, _MAX_TREE_DEPTH)
    reader.expect("EndContextDependency")
    if root is None:
        reader.fail("a tree with leaves")
    return _expand_tree(root, model, central, reader.name)


def _read_node(reader: BinaryReader, depth: int) -> _Node | None:
    if depth == 0:
        reader.fail(f"a tree at most {_MAX_TREE_DEPTH} questions deep")
    kind = reader.expect("CE", "SE", "TE", "NULL")
    if kind == "NULL":
        return None
    if kind == "CE":
        return _Leaf(reader.read_int())
    key = reader.read_int()
    if kind == "TE":
        size = reader.read_count(3, "table entries", unsigned=True)
        reader.expect("(")
        children = tuple(_read_node(reader, depth - 1) for _ in range(size))
        reader.expect(")")
        return _Table(key, children)
    values = frozenset(reader.read_int_vector().tolist())
    reader.expect("{")
    yes, no = _read_node(reader, depth - 1), _read_node(reader, depth - 1)
    reader.expect("}")
    if yes is None or no is None:
        reader.fail("a question with two answers")
    return _Split(key, values, yes, no)


def _answer(node: _Node | None, event: dict[int, int]) -> int:
    """The leaf an event falls to, −1 where the tree has none."""
    while not isinstance(node, _Leaf):
        if node is None:
            return -1
        value = event.get(node.key, -1)
        if isinstance(node, _Split):
            node = node.yes if value in node.values else node.no
        else:
            node = node.children[value] if 0 <= value < len(node.children) else None
    return node.answer


def _expand_tree(root: _Node, model: TransitionModel, central: int, name: str) -> ContextTree:
    phones = model.phones.tolist()
    # models without own self-loop pdfs ask for one pdf class only
    classes = _CHAIN_PDF_CLASSES
    if np.array_equal(model.tuple_forward_pdf, model.tuple_self_loop_pdf):
        classes = (0, 0)
    rows = []
    for phone in phones:
        for left in [NO_PHONE, *phones]:
            event = {0: left, central: phone}
            pdfs = [_answer(root, {**event, _PDF_CLASS_KEY: c}) for c in classes]
            if min(pdfs) >= 0:
                rows.append((left, phone, *pdfs))
    if not rows or max(max(row[2:]) for row in rows) >= model.num_pdfs:
        raise ModelError(f"{name}: its leaves do not fit the transition model's pdfs")
    left, phone, forward, self_loop = np.array(rows, np.int64).T
    return ContextTree.from_pairs(left, phone, forward, self_loop, max(phones))
