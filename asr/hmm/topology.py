"""How many HMM states a phone has, and how a transition model begins before it has seen speech.

All topologies are left-to-right without skips, as a decoding graph takes them: a state is stayed in
or left for the next. Classical models score a state by one pdf; chain models (Povey et al. 2016)
have one state a phone, whose first frame has a pdf of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.errors import UsageError
from asr.hangul.phones import PHONES, SILENCE
from asr.hmm.phones import PhoneTable, Position
from asr.hmm.transition import TransitionModel

MOST_STATES = 5

SURFACE_PHONES = PhoneTable(
    {number: (name, Position.NONE) for number, name in enumerate((SILENCE, *PHONES), start=1)}
)
"""The phones of own models: silence is 1, then the 46 surface phones; no word positions."""
SILENCE_ID = SURFACE_PHONES.id(SILENCE, Position.NONE)
NUM_PHONES = len(SURFACE_PHONES.symbols)


@dataclass(frozen=True, slots=True)
class Topology:
    """HMM states of each phone.

    Attributes:
        speech_states: of a speech phone.
        silence_states: of the pause; longer than a phone, so that none is put where none is.
        own_entry: the first frame in a state has a pdf of its own (chain models).
    """

    speech_states: int = 3
    silence_states: int = 5
    own_entry: bool = False

    def __post_init__(self) -> None:
        if not all(1 <= n <= MOST_STATES for n in (self.speech_states, self.silence_states)):
            raise UsageError(f"a phone has 1 to {MOST_STATES} HMM states")

    def states(self, phone: int) -> int:
        """How many HMM states a phone-id of ``SURFACE_PHONES`` has."""
        return self.silence_states if phone == SILENCE_ID else self.speech_states

    @property
    def most(self) -> int:
        """The states of the longest phone."""
        return max(self.speech_states, self.silence_states)


CLASSICAL = Topology()
CHAIN = Topology(1, 1, own_entry=True)


def new_transitions(
    topology: Topology, tuples: NDArray[np.integer], num_pdfs: int, self_loop: float | None = None
) -> TransitionModel:
    """A transition model that stays in every state with the same probability.

    Args:
        topology: of the phones.
        tuples: [K, 4], each (phone-id, state, forward pdf, self-loop pdf); sorted and made unique
            here, as Kaldi numbers them (hmm/transition-model.cc, ComputeTuples). Transition-ids
            are the self-loop, then the way out, of each tuple in turn.
        num_pdfs: of the acoustic model.
        self_loop: probability of staying; None as Kaldi's recipes have it: 0.75, and 0.5 for one
            state a phone.

    Raises:
        UsageError: a probability that is not between 0 and 1.
    """
    if self_loop is None:
        self_loop = 0.5 if topology.own_entry else 0.75
    if not 0.0 < self_loop < 1.0:
        raise UsageError(f"the probability of a self-loop is between 0 and 1, not {self_loop}")
    phone, state, forward, loop = np.unique(np.asarray(tuples, np.int32), axis=0).T
    count = len(phone)
    last = np.array([topology.states(int(p)) for p in phone]) - 1
    target = np.stack([state, np.where(state == last, topology.most, state + 1)], axis=1)
    owner = np.concatenate([[-1], np.repeat(np.arange(count), 2)])
    stays = np.concatenate([[False], np.tile([True, False], count)])
    probability = np.where(stays, self_loop, 1.0 - self_loop)
    return TransitionModel(
        tuple_phone=np.ascontiguousarray(phone),
        tuple_state=np.ascontiguousarray(state),
        tuple_forward_pdf=np.ascontiguousarray(forward),
        tuple_self_loop_pdf=np.ascontiguousarray(loop),
        transition_tuple=owner.astype(np.int32),
        transition_target=np.concatenate([[-1], target.ravel()]).astype(np.int32),
        transition_log_prob=np.concatenate([[0.0], np.log(probability[1:])]).astype(np.float32),
        transition_self_loop=stays,
        num_pdfs=num_pdfs,
    )
