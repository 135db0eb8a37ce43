"""Whisper's encoder in torch, for sounds of any length.

A. Radford et al., "Robust speech recognition via large-scale weak supervision", 2022;
openai/whisper, whisper/model.py ``AudioEncoder``. Sounds are not padded to 30 seconds (one of 5
seconds would cost eight times as much); states then differ a little, so a network that was trained
on these must be given these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from asr.acoustic.precision import quantised
from asr.acoustic.transformer import TransformerBlock, inside_mask
from asr.errors import ModelError
from asr.features.log_mel import SAMPLE_RATE, SHIFT, WINDOW, LogMel

KIND = "whisper"
OVERLAP = 4.0
"""Seconds that windows of a sound too long for one share."""
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class WhisperConfig:
    """Size of an encoder.

    Attributes:
        dim: width of the states.
        heads: of attention.
        layers: blocks.
        inner: width of the blocks' feed-forward part.
        mels: mel filters.
        positions: states at most; 50 a second.
    """

    dim: int
    heads: int
    layers: int
    inner: int
    mels: int = 80
    positions: int = 1500

    @classmethod
    def of_weights(cls, weights: Mapping[str, Tensor], heads: int) -> WhisperConfig:
        """By the weights' shapes.

        Raises:
            KeyError: weights are missing.
        """
        dim, mels, _ = weights["conv1.weight"].shape
        layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
        inner = weights["blocks.0.up.weight"].shape[0]
        return cls(dim, heads, layers, inner, mels, weights["positions"].shape[0])


class WhisperEncoder(nn.Module):
    """The encoder; a :class:`asr.acoustic.encoder_front_end.SpeechEncoder`.

    Args:
        config: its size.
        identity: what tells it from others: "name" and "sha256" of what it was imported from.
    """

    positions: Tensor
    sample_rate = SAMPLE_RATE
    frame_shift = 2 * SHIFT / SAMPLE_RATE
    shortest = WINDOW

    def __init__(self, config: WhisperConfig, identity: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.config = config
        self.identity = dict(identity or {})
        self.dim, self.layers = config.dim, config.layers
        self.conv1 = nn.Conv1d(config.mels, config.dim, 3, padding=1)
        self.conv2 = nn.Conv1d(config.dim, config.dim, 3, stride=2, padding=1)
        self.register_buffer("positions", torch.zeros(config.positions, config.dim))
        self.blocks = nn.ModuleList(
            TransformerBlock(config.dim, config.heads, config.inner) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.dim)
        self._log_mel: LogMel | None = None

    @classmethod
    def of_weights(
        cls,
        weights: Mapping[str, Tensor],
        config: WhisperConfig,
        identity: Mapping[str, str],
        device: torch.device | str = "cpu",
    ) -> WhisperEncoder:
        """With weights by the names of this module's state.

        Raises:
            ModelError: weights that are missing, or of other shapes.
        """
        return with_weights(cls(config, identity), weights, "encoder", device)

    @property
    def device(self) -> torch.device:
        """See :class:`~asr.acoustic.encoder_front_end.SpeechEncoder`."""
        return self.positions.device

    def in_int8(self) -> WhisperEncoder:
        """See :class:`~asr.acoustic.encoder_front_end.SpeechEncoder`."""
        return quantised(self)

    @torch.no_grad()
    def encode(
        self, sounds: Sequence[NDArray[np.float32]], layers: int, side_by_side: int = 1
    ) -> tuple[Tensor, Tensor]:
        """The states behind the first ``layers`` blocks, before any norm.

        Args:
            sounds: float32 [N] at 16 kHz each, N ≥ ``shortest``.
            layers: 0 to ``self.layers``.
            side_by_side: how many are wanted, 1 to ``layers`` + 1: also those behind fewer blocks.

        Returns:
            float32 [B, T, side_by_side · dim], those behind the most blocks last, 0 behind a
            sound's end; int64 [B], states of each, 50 a second.
        """
        if self._log_mel is None:
            self._log_mel = LogMel(self.config.mels, self.positions.device)  # always float32
        spectra = [self._log_mel(sound) for sound in sounds]
        longest = 2 * self.config.positions
        if max(map(len, spectra)) <= longest:
            return self.states(spectra, layers, side_by_side)
        rows = [self._in_windows(spectrum, layers, side_by_side) for spectrum in spectra]
        counts = torch.tensor([len(row) for row in rows], device=rows[0].device)
        return nn.utils.rnn.pad_sequence(rows, batch_first=True), counts

    def states(
        self, spectra: Sequence[Tensor], layers: int, side_by_side: int = 1
    ) -> tuple[Tensor, Tensor]:
        """States of log-mel spectrograms, float32 [T, mels] each, none beyond the positions."""
        lengths = torch.tensor([len(spectrum) for spectrum in spectra], device=spectra[0].device)
        x = nn.utils.rnn.pad_sequence(list(spectra), batch_first=True).transpose(1, 2)
        x = x.to(self.conv1.weight.dtype)
        inside = inside_mask(lengths, x.shape[2])
        x = F.gelu(self.conv1(x))
        if inside is not None:  # zeros behind a sound's end, as where it is alone
            x = x.masked_fill(~inside[:, None, :], 0.0)
        x = F.gelu(self.conv2(x)).transpose(1, 2)
        counts = (lengths + 1) // 2
        inside = inside_mask(counts, x.shape[1])
        x = x + self.positions[: x.shape[1]]
        behind = [x]
        for block in self.blocks[:layers]:
            behind = [*behind, block(behind[-1], inside)][-side_by_side:]
        x = torch.cat(behind, dim=2) if side_by_side > 1 else behind[-1]
        return (x if inside is None else x.masked_fill(~inside[:, :, None], 0.0)), counts

    def _in_windows(self, spectrum: Tensor, layers: int, side_by_side: int) -> Tensor:
        """States [T, dim] of a spectrogram of any length, by windows that overlap.

        Of two windows that share a stretch each gives the half where it sees more to both sides.
        """
        size, half = 2 * self.config.positions, round(OVERLAP / self.frame_shift) // 2
        step = size - 4 * half
        found: list[Tensor] = []
        begin, done = 0, 0  # of the window in frames; states that are there
        while True:
            states, _ = self.states([spectrum[begin : begin + size]], layers, side_by_side)
            last = begin + size >= len(spectrum)
            until = len(states[0]) if last else len(states[0]) - half
            found.append(states[0, done - begin // 2 : until])
            done = begin // 2 + until
            if last:
                return torch.cat(found)
            begin += step

    @torch.no_grad()
    def above(self, states: Tensor, layers: int) -> Tensor:
        """What the decoder listens to: behind all blocks and the norm, float32 [T, dim].

        Args:
            states: float32 [T, dim], behind the first ``layers`` blocks.
        """
        x = states[None]
        for block in self.blocks[layers:]:
            x = block(x)
        result: Tensor = self.norm(x)[0]
        return result

    def upper_blocks(self, count: int) -> dict[str, Tensor]:
        """See :class:`~asr.acoustic.encoder_front_end.SpeechEncoder`."""
        first = self.layers - count
        found = {f"norm.{name}": weight for name, weight in self.norm.state_dict().items()}
        for number in range(first, self.layers):
            for name, weight in self.blocks[number].state_dict().items():
                found[f"blocks.{number - first}.{name}"] = weight
        return {name: weight.cpu() for name, weight in found.items()}

    def reference(self) -> dict[str, Any]:
        """See :class:`~asr.acoustic.encoder_front_end.SpeechEncoder`."""
        return {"kind": KIND, **self.identity, "size": asdict(self.config)}


def with_weights(
    module: M, weights: Mapping[str, Tensor], what: str, device: torch.device | str
) -> M:
    """A module for inference, with weights by the names of its state.

    Args:
        what: how it is called in an error.

    Raises:
        ModelError: weights that are missing, or of other shapes.
    """
    try:
        module.load_state_dict({name: weight.float() for name, weight in weights.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"the {what}'s weights do not fit it: {reason}") from None
    return module.requires_grad_(False).eval().to(device)
