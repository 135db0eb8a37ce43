"""Transition probabilities from counts, and what they cost along a path."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asr.errors import UsageError
from asr.hmm.transition import TransitionModel


@dataclass(frozen=True, slots=True)
class TransitionConfig:
    """Options of Kaldi's MleTransitionUpdateConfig.

    Attributes:
        floor: the least probability of a transition.
        min_count: states seen less often keep their probabilities.
    """

    floor: float = 0.01
    min_count: float = 5.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.floor < 0.5:
            raise UsageError("the floor of transition probabilities is from 0 to below 0.5")


def transition_counts(
    tuples: NDArray[np.integer], entered: NDArray[np.bool_], model: TransitionModel
) -> NDArray[np.float64]:
    """How often each transition was taken: float64 [K, 2], the self-loop and the way out.

    Args:
        tuples: int [T], the tuple that each frame of one or many paths was in.
        entered: bool [T], whether the frame was the first in its HMM state. What is entered is left
            once, also where an utterance ends.
    """
    size = model.num_tuples
    counts = [np.bincount(tuples[~entered], minlength=size),
              np.bincount(tuples[entered], minlength=size)]  # fmt: skip
    return np.stack(counts, axis=1).astype(np.float64)


def trained(
    model: TransitionModel, counts: NDArray[np.float64], config: TransitionConfig | None = None
) -> TransitionModel:
    """The model with maximum-likelihood probabilities (Kaldi TransitionModel::MleUpdate).

    Args:
        model: one of :func:`asr.hmm.topology.new_transitions`.
        counts: float64 [K, 2] of :func:`transition_counts`.
        config: options.
    """
    config = config or TransitionConfig()
    total = counts.sum(axis=1, keepdims=True)
    new = counts / np.maximum(total, 1.0)
    for _ in range(3):  # flooring one makes the sum exceed 1; Kaldi renormalises as often
        new = np.maximum(new / np.maximum(new.sum(axis=1, keepdims=True), 1e-30), config.floor)
    logs = model.transition_log_prob.copy()
    updated = np.repeat(total[:, 0] >= config.min_count, 2)
    logs[1:][updated] = np.log(new.ravel()[updated])
    return replace(model, transition_log_prob=logs)


def transition_costs(
    model: TransitionModel, scale: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What staying in and leaving each tuple's state costs: float32 [K] twice, in nats.

    ``scale`` weighs staying against leaving, as Kaldi's ``--self-loop-scale``.
    """
    logs = model.transition_log_prob[1:].reshape(-1, 2)
    return (-scale * logs[:, 0]).astype(np.float32), (-scale * logs[:, 1]).astype(np.float32)
