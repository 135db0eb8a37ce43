"""The upper blocks of a pre-trained encoder, which learn on, and a head that scores pdfs.

The lower blocks stay as they are (:mod:`asr.acoustic.encoder_front_end`): their states are the
features, the last ones or a learned mean of several (:mod:`asr.acoustic.layer_mix`). Blocks are
those of Whisper's encoder (A. Radford et al., "Robust speech recognition via large-scale weak
supervision", 2022): layer norm before attention and before the feed-forward part.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr.acoustic.heads import TwoHeaded, head_names
from asr.acoustic.layer_mix import LayerMix
from asr.acoustic.nnet import checked_lengths
from asr.acoustic.transformer import TransformerBlock, inside_mask
from asr.errors import ModelError, UsageError

TOP = "encoder-top"
"""The kind of these networks."""


@dataclass(frozen=True, slots=True)
class EncoderTopConfig:
    """Size of a network.

    Attributes:
        feature_dim: width of the features, ``mixed`` times that of the encoder's states.
        num_pdfs: width of the output.
        ivector_dim: 0.
        layers: blocks of the encoder that learn; 0: the head alone.
        mixed: states that the features hold side by side, behind so many of the lower blocks, and
            whose learned mean is what enters; 1: those behind the last of them alone.
        heads: of attention.
        inner: width of the blocks' feed-forward part.
        dim: width of the head.
        kernels: frames that each of the head's convolutions sees; odd.
        subsampling: states per output frame.
        dropout: proportion in training.
        time_masks: stretches of states that are hidden in training, a hundred frames.
        time_width: of a stretch, at most.
        state_mask: proportion of the states' channels hidden in training, at most.
        xent: with a second head for cross-entropy.
        seed: of the weights.
    """

    feature_dim: int
    num_pdfs: int
    ivector_dim: int = 0
    layers: int = 0
    mixed: int = 1
    heads: int = 8
    inner: int = 2048
    dim: int = 384
    kernels: tuple[int, ...] = (5, 5, 5)
    subsampling: int = 1
    dropout: float = 0.1
    time_masks: float = 1.0
    time_width: int = 10
    state_mask: float = 0.1
    xent: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernels", tuple(self.kernels))
        if min(self.feature_dim, self.num_pdfs, self.dim, self.heads, self.inner) < 1:
            raise UsageError("the widths of an encoder's top must be at least 1")
        if self.layers < 0 or self.subsampling < 1 or self.mixed < 1:
            raise UsageError("an encoder's top has 0 layers or more; mixed and subsampling are 1"
                             " or more")  # fmt: skip
        if self.feature_dim % (self.mixed * self.heads):
            raise UsageError("the states' width must be a multiple of the number of heads")
        if any(kernel < 1 or kernel % 2 == 0 for kernel in self.kernels):
            raise UsageError("the kernels of an encoder's top must be odd")
        if self.ivector_dim:
            raise UsageError("an encoder's top takes no i-vectors")


class EncoderTop(TwoHeaded):
    """Blocks and head with random weights.

    Args:
        config: its size.

    Raises:
        UsageError: an impossible size.
    """

    def __init__(self, config: EncoderTopConfig) -> None:
        super().__init__()
        self.config = config
        self.feature_dim, self.ivector_dim = config.feature_dim, 0
        self.num_pdfs, self.subsampling = config.num_pdfs, config.subsampling
        width = config.feature_dim // config.mixed
        self.mix = LayerMix(config.mixed, even=not config.layers) if config.mixed > 1 else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.blocks = nn.ModuleList(
                TransformerBlock(width, config.heads, config.inner) for _ in range(config.layers)
            )
            self.norm = nn.LayerNorm(width)
            self.project = nn.Linear(width, config.dim)
            self.convolutions = nn.ModuleList(
                _Convolution(config.dim, kernel) for kernel in config.kernels
            )
            self.last_norm = nn.LayerNorm(config.dim)
            self.head_names = head_names(config.xent)
            self.outputs = nn.ModuleList(
                _uniform(config.dim, config.num_pdfs) for _ in self.head_names
            )
        self.dropout = config.dropout

    def heads(
        self, feats: Tensor, ivectors: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """See :meth:`TwoHeaded.heads`."""
        lengths = checked_lengths(feats, ivectors, lengths, self.feature_dim, 0)
        output_lengths = -(-lengths // self.subsampling)
        if feats.shape[1] == 0:
            return self.no_frames(feats), output_lengths
        x = feats if self.mix is None else self.mix(feats)
        x = self._masked(x, lengths) if self.training else x
        inside = inside_mask(lengths, x.shape[1])
        for block in self.blocks:
            x = block(x, inside, self.dropout if self.training else 0.0)
        x = self._head(self.norm(x), inside)
        return self.scored(x, output_lengths), output_lengths

    def _head(self, states: Tensor, inside: Tensor | None) -> Tensor:
        x = self.project(F.dropout(states, self.dropout, self.training))
        for convolution in self.convolutions:
            x = x + F.dropout(convolution(x, inside), self.dropout, self.training)
        return self.last_norm(x)[:, :: self.subsampling]

    def _masked(self, feats: Tensor, lengths: Tensor) -> Tensor:
        """States with stretches of time and some channels hidden (as SpecAugment hides bands)."""
        config = self.config
        batch, frames, width = feats.shape
        kept = torch.ones(batch, frames, 1, device=feats.device)
        for row, length in enumerate(lengths.tolist()):
            for _ in range(int(config.time_masks * length / 100.0 + float(torch.rand(())))):
                size = 1 + int(torch.randint(config.time_width, ()))
                begin = int(torch.randint(max(1, length - size + 1), ()))
                kept[row, begin : begin + size] = 0.0
        share = config.state_mask * torch.rand(batch, 1, 1, device=feats.device)
        channels = (torch.rand(batch, 1, width, device=feats.device) >= share).to(feats.dtype)
        return feats * kept * channels

    def set_dropout(self, proportion: float) -> None:
        """The dropout proportion from now on."""
        self.dropout = proportion

    def normalise_input(self, mean: Tensor, deviation: Tensor) -> None:
        """Nothing: blocks and head begin with a layer norm, and the blocks know their states."""

    def take_blocks(self, weights: dict[str, Tensor]) -> None:
        """Begin with an encoder's upper blocks and last norm.

        Args:
            weights: as ``blocks.0.…`` (the first that learns) and ``norm.…``.

        Raises:
            ModelError: weights that are missing or of another shape.
        """
        own = self.state_dict()
        wanted = [name for name in own if name.startswith(("blocks.", "norm."))]
        for name in wanted:
            if name not in weights or weights[name].shape != own[name].shape:
                raise ModelError(f"the encoder has no weights {name} of the network's shape")
        self.load_state_dict({name: weights[name].float() for name in wanted}, strict=False)


def _uniform(width: int, outputs: int) -> nn.Linear:
    """A layer whose first outputs are uniform, whatever the layers before."""
    layer = nn.Linear(width, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class _Convolution(nn.Module):
    """Layer norm, convolution over time, GELU, linear."""

    def __init__(self, dim: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.conv = nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=max(1, dim // 32))
        self.linear = nn.Linear(dim, dim)

    def forward(self, x: Tensor, inside: Tensor | None) -> Tensor:
        y = self.norm(x)
        if inside is not None:  # zeros behind an utterance's end, as where it is alone
            y = y.masked_fill(~inside[:, :, None], 0.0)
        y = self.conv(y.transpose(1, 2)).transpose(1, 2)
        result: Tensor = self.linear(F.gelu(y))
        return result
