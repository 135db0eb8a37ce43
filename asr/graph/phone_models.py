"""The HMM states of a model's table of pdfs, as graphs take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr.graph.emissions import HmmState, PhoneAt, PhoneModels
from asr.hmm.pdf_table import PdfTable
from asr.hmm.topology import SILENCE_ID, SURFACE_PHONES
from asr.hmm.transition import TransitionModel
from asr.hmm.transition_training import transition_costs


def decoding_models(table: PdfTable, model: TransitionModel, loop_scale: float) -> PhoneModels:
    """The HMM states with their pdfs and costs, for :func:`asr.graph.hcl.compile_hcl`.

    Args:
        table: which pdf scores what.
        model: over the table's tuples.
        loop_scale: weight of staying against leaving.
    """
    stay, leave = transition_costs(model, loop_scale)
    states = [
        HmmState(forward, loop, round(float(stays), 6), round(float(leaves), 6))
        for forward, loop, stays, leaves in zip(
            model.tuple_forward_pdf.tolist(), model.tuple_self_loop_pdf.tolist(), stay, leave,
            strict=True,
        )
    ]  # fmt: skip
    return _models(table, table.tuple_table(model), states)


def training_models(table: PdfTable, model: TransitionModel) -> PhoneModels:
    """The HMM states with the numbers of their tuples in place of pdfs, and no costs.

    Graphs of these say at each node which tuple it is, and so serve while pdfs and transition
    probabilities change.
    """
    numbers = [HmmState(k, k) for k in range(model.num_tuples)]
    return _models(table, table.tuple_table(model), numbers)


def _models(table: PdfTable, tuples: NDArray[np.int32], states: list[HmmState]) -> PhoneModels:
    at = SURFACE_PHONES.symbols
    made: dict[tuple[int, ...], tuple[HmmState, ...]] = {}
    models: dict[tuple[PhoneAt, PhoneAt, PhoneAt | None], tuple[HmmState, ...]] = {}
    for phone in at:
        count = table.topology.states(phone)
        for left in at:
            for right in at if table.right else (SILENCE_ID,):
                numbers = tuple(tuples[left, phone, right, :count].tolist())
                if numbers not in made:
                    made[numbers] = tuple(states[k] for k in numbers)
                after = at[right] if table.right else None
                models[at[left], at[phone], after] = made[numbers]
    return PhoneModels(models, has_positions=False)
