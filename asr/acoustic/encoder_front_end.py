"""The states of a pre-trained speech encoder as the features of an acoustic model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.acoustic.precision import Precision, arithmetic

ENCODER = "encoder"
"""Type of the features in a bundle's section."""


class SpeechEncoder(Protocol):
    """An encoder that has heard much speech.

    Attributes:
        dim: width of its states.
        layers: blocks that it can compute.
        sample_rate: Hz.
        frame_shift: seconds between states.
        shortest: samples; shorter sound has no states.
    """

    dim: int
    layers: int
    sample_rate: int
    frame_shift: float
    shortest: int

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        ...

    def in_int8(self) -> SpeechEncoder:
        """The same in int8 arithmetic (:mod:`asr.acoustic.precision`)."""
        ...

    def encode(
        self, sounds: Sequence[NDArray[np.float32]], layers: int, side_by_side: int = 1
    ) -> tuple[Tensor, Tensor]:
        """The states behind the first ``layers`` blocks, and behind ``side_by_side`` − 1 fewer.

        Float32 [B, T, side_by_side · dim], those behind the most blocks last; int64 [B] of each.
        """
        ...

    def upper_blocks(self, count: int) -> dict[str, Tensor]:
        """The last ``count`` blocks and the norm behind them, as
        :meth:`asr.acoustic.encoder_top.EncoderTop.take_blocks` takes them."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Its weights by name."""
        ...

    def reference(self) -> dict[str, Any]:
        """What finds it again: JSON with at least its kind and the SHA-256 of its weights."""
        ...


class EncoderFrontEnd:
    """States of an encoder. Immutable.

    Args:
        encoder: on the device where it shall run.
        layers: blocks of it that are computed; None: all. The network may hold others.
        mixed: so many states are given side by side, behind the last of these blocks and behind
            those before it (0 blocks: what enters the first), for a network that sums them.
        precision: of the encoder's arithmetic.

    Raises:
        ValueError: it has not so many.
    """

    ivector_dim = 0

    def __init__(
        self,
        encoder: SpeechEncoder,
        layers: int | None = None,
        mixed: int = 1,
        precision: Precision = "float32",
    ) -> None:
        self.encoder = encoder
        self.precision = precision
        self.layers = encoder.layers if layers is None else layers
        if not 0 <= self.layers <= encoder.layers:
            raise ValueError(f"the encoder has {encoder.layers} layers, not {layers}")
        if not 1 <= mixed <= self.layers + 1:
            raise ValueError(f"{self.layers} layers give {self.layers + 1} states, not {mixed}")
        self.mixed = mixed
        self.dim = mixed * encoder.dim
        self.sample_rate = encoder.sample_rate
        self.frame_shift = encoder.frame_shift
        self.shortest = encoder.shortest

    def inputs(self, samples: NDArray[np.float32]) -> tuple[Tensor, Tensor | None]:
        """See :class:`~asr.acoustic.front_end.FrontEnd`."""
        states, _ = self._encoded([samples])
        return states[0], None

    def batch(
        self, sounds: Sequence[NDArray[np.float32]]
    ) -> tuple[Tensor, Tensor, Tensor | None] | None:
        """Of many sounds: float32 [B, T, dim], frames of each; None where none has any."""
        long = [place for place, sound in enumerate(sounds) if len(sound) >= self.shortest]
        if not long:
            return None
        heard = [sounds[place] for place in long]
        states, counts = self._encoded(heard)
        if len(long) == len(sounds):
            return states, counts, None
        rows = torch.tensor(long, device=states.device)
        all_states = states.new_zeros(len(sounds), *states.shape[1:]).index_copy(0, rows, states)
        return all_states, counts.new_zeros(len(sounds)).index_copy(0, rows, counts), None

    def _encoded(self, sounds: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
        encoder = self.encoder
        with arithmetic(self.precision, encoder.device):
            states, counts = encoder.encode(sounds, self.layers, self.mixed)
        return states.float(), counts

    def in_precision(self, precision: Precision) -> EncoderFrontEnd:
        """The same with other arithmetic.

        Raises:
            UsageError: the encoder has no layers for it.
        """
        encoder = self.encoder.in_int8() if precision == "int8" else self.encoder
        return EncoderFrontEnd(encoder, self.layers, self.mixed, precision)

    def section(self) -> dict[str, Any]:
        """See :class:`~asr.acoustic.front_end.FrontEnd`."""
        section = {"type": ENCODER, "encoder": self.encoder.reference(), "layers": self.layers}
        return section if self.mixed == 1 else {**section, "mixed": self.mixed}

    @classmethod
    def from_section(
        cls,
        section: Mapping[str, Any],
        weights: Mapping[str, NDArray[np.generic]] | None,
        device: torch.device,
    ) -> EncoderFrontEnd:
        """Inverse of :meth:`section`.

        Args:
            weights: of the encoder; None for one that every installation has.
            device: where it runs.

        Raises:
            ModelError: the encoder is not at hand.
            KeyError, TypeError, ValueError: a section that cannot be understood.
        """
        from asr.encoders.store import encoder_from, find_encoder

        if weights is None:
            encoder = find_encoder(section["encoder"], device)
        else:
            encoder = encoder_from(section["encoder"], weights, device)
        return cls(encoder, int(section["layers"]), int(section.get("mixed", 1)))
