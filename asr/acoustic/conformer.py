"""The Conformer encoder: self-attention and convolution in turn.

A. Gulati et al., "Conformer: convolution-augmented transformer for speech recognition", Interspeech
2020; relative positions as in Z. Dai et al., "Transformer-XL", ACL 2019. Where the paper has batch
norm there is layer norm here, and every convolution sees zeros behind an utterance's end, so an
utterance gives the same output alone and in a batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr.acoustic.heads import TwoHeaded, head_names
from asr.acoustic.network import inside_frames
from asr.acoustic.nnet import checked_lengths
from asr.errors import UsageError


@dataclass(frozen=True, slots=True)
class ConformerConfig:
    """Size of a network.

    Attributes:
        feature_dim, ivector_dim: widths of the input; no i-vector if 0.
        num_pdfs: width of the output.
        dim: width of the encoder; even, and a multiple of ``heads``.
        heads: of attention.
        layers: blocks.
        expansion: width of the feed-forward modules over ``dim``.
        kernel: frames that a block's convolution sees; odd.
        channels: of the subsampling convolutions.
        subsampling: feature frames per output frame, 3 or 4.
        dropout: proportion in training.
        xent: with a second head for cross-entropy.
        seed: of the weights.
    """

    feature_dim: int
    num_pdfs: int
    ivector_dim: int = 0
    dim: int = 144
    heads: int = 4
    layers: int = 8
    expansion: int = 4
    kernel: int = 15
    channels: int = 32
    subsampling: int = 4
    dropout: float = 0.1
    xent: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.subsampling not in (3, 4):
            raise UsageError(f"a Conformer's subsampling is 3 or 4, not {self.subsampling}")
        if self.dim % self.heads or self.dim % 2 or self.kernel % 2 == 0:
            raise UsageError(
                "a Conformer's width must be even and a multiple of its heads, its kernel odd"
            )
        if min(self.feature_dim, self.num_pdfs, self.layers, self.channels, self.expansion) < 1:
            raise UsageError("the widths of a Conformer must be at least 1")


class Conformer(TwoHeaded):
    """A Conformer with random weights.

    Args:
        config: its size.

    Raises:
        UsageError: an impossible size.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.config = config
        self.feature_dim, self.ivector_dim = config.feature_dim, config.ivector_dim
        self.num_pdfs, self.subsampling = config.num_pdfs, config.subsampling
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.front = _Front(config)
            self.blocks = nn.ModuleList(_Block(config) for _ in range(config.layers))
            self.head_names = head_names(config.xent)
            self.outputs = nn.ModuleList(
                nn.Linear(config.dim, config.num_pdfs) for _ in self.head_names
            )
        self.register_buffer("mean", torch.zeros(config.feature_dim))
        self.register_buffer("scale", torch.ones(config.feature_dim))

    def heads(
        self, feats: Tensor, ivectors: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """See :meth:`TwoHeaded.heads`."""
        lengths = checked_lengths(feats, ivectors, lengths, self.feature_dim, self.ivector_dim)
        output_lengths = -(-lengths // self.subsampling)
        if feats.shape[1] == 0:
            return self.no_frames(feats), output_lengths
        x = self.front((feats - self.mean) * self.scale, lengths, ivectors)
        inside = inside_frames(output_lengths, x.shape[1])
        positions = relative_positions(x.shape[1], self.config.dim, x.device)
        for block in self.blocks:
            x = block(x, inside, positions)
        return self.scored(x, output_lengths), output_lengths

    def set_dropout(self, proportion: float) -> None:
        """The dropout proportion from now on."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = proportion

    def normalise_input(self, mean: Tensor, deviation: Tensor) -> None:
        """Let the network subtract ``mean`` from its features and divide by ``deviation``.

        Both are float [feature_dim], of the training set's features.
        """
        self.mean.copy_(mean)
        self.scale.copy_(1.0 / deviation.clamp(min=1e-5))


def relative_positions(frames: int, dim: int, device: torch.device) -> Tensor:
    """Sinusoids of the distances T − 1, …, 0, …, −(T − 1): float32 [2T − 1, dim]."""
    distance = torch.arange(frames - 1, -frames, -1, device=device, dtype=torch.float32)
    rate = torch.exp(
        torch.arange(0, dim, 2, device=device, dtype=torch.float32) * (-math.log(1e4) / dim)
    )
    angle = distance[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)


class _Front(nn.Module):
    """Two convolutions over time and frequency that keep every third or fourth frame."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.strides = (1, 3) if config.subsampling == 3 else (2, 2)
        channels = config.channels
        self.first = nn.Conv2d(1, channels, 3, (self.strides[0], 2), 1)
        self.second = nn.Conv2d(channels, channels, 3, (self.strides[1], 2), 1)
        width = -(-config.feature_dim // 4)
        self.project = nn.Linear(channels * width, config.dim)
        self.speaker = (
            nn.Linear(config.ivector_dim, config.dim, bias=False) if config.ivector_dim else None
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, lengths: Tensor, ivectors: Tensor | None) -> Tensor:
        x = x[:, None]
        for layer, stride in zip((self.first, self.second), self.strides, strict=True):
            # zeros behind the end, as a lone utterance has
            x = x * inside_frames(lengths, x.shape[2])[:, None, :, None]
            x = layer(x).relu()
            lengths = -(-lengths // stride)
        x = self.project(x.transpose(1, 2).flatten(2))
        if self.speaker is not None and ivectors is not None:
            x = x + self.speaker(ivectors)[:, None]
        y: Tensor = self.dropout(x)
        return y


class _Block(nn.Module):
    """Half a feed-forward module, attention, convolution, the other half, layer norm."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.first = _feed_forward(config)
        self.attention = _Attention(config)
        self.convolution = _Convolution(config)
        self.second = _feed_forward(config)
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, x: Tensor, inside: Tensor, positions: Tensor) -> Tensor:
        x = x + 0.5 * self.first(x)
        x = x + self.attention(x, inside, positions)
        x = x + self.convolution(x, inside)
        y: Tensor = self.norm(x + 0.5 * self.second(x))
        return y


def _feed_forward(config: ConformerConfig) -> nn.Module:
    wide = config.dim * config.expansion
    return nn.Sequential(
        nn.LayerNorm(config.dim),
        nn.Linear(config.dim, wide),
        nn.SiLU(),
        nn.Dropout(config.dropout),
        nn.Linear(wide, config.dim),
        nn.Dropout(config.dropout),
    )


class _Attention(nn.Module):
    """Multi-head self-attention with relative positions."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        dim, self.heads = config.dim, config.heads
        self.norm = nn.LayerNorm(dim)
        self.inward = nn.Linear(dim, 3 * dim)
        self.position = nn.Linear(dim, dim, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(self.heads, 1, dim // self.heads))
        self.position_bias = nn.Parameter(torch.zeros(self.heads, 1, dim // self.heads))
        self.outward = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, inside: Tensor, positions: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, heads, T, dim / heads]
            for part in self.inward(self.norm(x)).chunk(3, dim=2)
        )
        distance = self.position(positions).unflatten(1, (self.heads, -1)).transpose(0, 1)
        by_distance = (query + self.position_bias) @ distance.transpose(1, 2)
        bias = _shifted(by_distance) / math.sqrt(query.shape[3])
        # an empty utterance looks at its first frame of padding, for a softmax of nothing is NaN
        seen = inside | (torch.arange(x.shape[1], device=x.device) == 0)
        bias = bias.masked_fill(~seen[:, None, None], -math.inf)
        y = F.scaled_dot_product_attention(
            query + self.content_bias, key, value, attn_mask=bias.to(query.dtype)
        )
        result: Tensor = self.dropout(self.outward(y.transpose(1, 2).flatten(2)))
        return result


def _shifted(scores: Tensor) -> Tensor:
    """From [.., T queries, 2T − 1 distances T−1 … −(T−1)] to [.., T queries, T keys].

    Query i and key j are i − j apart, which is column T − 1 − (i − j): each row begins one column
    further left, a view with another stride.
    """
    frames = scores.shape[-2]
    padded = F.pad(scores, (1, 0)).flatten(-2)[..., frames:]
    return padded.unflatten(-1, (frames, 2 * frames - 1))[..., :frames]


class _Convolution(nn.Module):
    """Gated pointwise, depthwise over time, pointwise."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        dim = config.dim
        self.norm = nn.LayerNorm(dim)
        self.gate = nn.Linear(dim, 2 * dim)
        self.depthwise = nn.Conv1d(dim, dim, config.kernel, padding=config.kernel // 2, groups=dim)
        self.inner_norm = nn.LayerNorm(dim)
        self.outward = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        x = F.glu(self.gate(self.norm(x)), dim=2) * inside[:, :, None]
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        y: Tensor = self.dropout(self.outward(F.silu(self.inner_norm(x))))
        return y
