"""Whisper's decoder in torch: how likely texts are, given what its encoder heard.

A. Radford et al., "Robust speech recognition via large-scale weak supervision", 2022;
openai/whisper, whisper/model.py ``TextDecoder``. It does not search here: it judges texts that
another recogniser found, all in one pass. Their tokens form a tree in which a beginning that they
share is there once; each token attends to those before it in its own text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from asr.acoustic.precision import quantised
from asr.encoders.whisper import with_weights


@dataclass(frozen=True, slots=True)
class DecoderSize:
    """Size of a decoder.

    Attributes:
        dim: width of the states, the encoder's, too.
        heads: of attention.
        layers: blocks.
        inner: width of the blocks' feed-forward part.
        tokens: that it knows.
        positions: tokens of a text at most.
    """

    dim: int
    heads: int
    layers: int
    inner: int
    tokens: int
    positions: int = 448


class TokenTree:
    """Sequences of tokens as a tree.

    Args:
        sequences: of tokens, at least one each; all begin with the same one.

    Attributes:
        tokens: int64 [N], of each node.
        depths: int64 [N], place in its sequence.
        sees: bool [N, N], the nodes that each attends to: itself and those before it.
        paths: nodes of each sequence.
    """

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        children: dict[tuple[int, int], int] = {}
        tokens: list[int] = []
        parents: list[int] = []
        self.paths: list[list[int]] = []
        for sequence in sequences:
            node, path = -1, []
            for token in sequence:
                below = children.setdefault((node, token), len(tokens))
                if below == len(tokens):
                    tokens.append(token)
                    parents.append(node)
                node = below
                path.append(node)
            self.paths.append(path)
        sees = np.eye(len(tokens), dtype=bool)
        depths = np.zeros(len(tokens), np.int64)
        for node, parent in enumerate(parents):
            if parent >= 0:
                sees[node] |= sees[parent]
                depths[node] = depths[parent] + 1
        self.tokens = torch.tensor(tokens)
        self.depths, self.sees = torch.from_numpy(depths), torch.from_numpy(sees)


class WhisperDecoder(nn.Module):
    """The decoder.

    Args:
        size: its size.
    """

    def __init__(self, size: DecoderSize) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Embedding(size.tokens, size.dim)
        self.positions = nn.Embedding(size.positions, size.dim)
        self.blocks = nn.ModuleList(
            _Block(size.dim, size.heads, size.inner) for _ in range(size.layers)
        )
        self.norm = nn.LayerNorm(size.dim)

    @classmethod
    def of_weights(
        cls,
        weights: Mapping[str, Tensor],
        size: DecoderSize,
        device: torch.device | str = "cpu",
    ) -> WhisperDecoder:
        """With weights by the names of this module's state.

        Raises:
            ModelError: weights that are missing, or of other shapes.
        """
        return with_weights(cls(size), weights, "decoder", device)

    def in_int8(self) -> WhisperDecoder:
        """The same in int8 arithmetic (:mod:`asr.acoustic.precision`)."""
        return quantised(self)

    @torch.inference_mode()
    def log_probabilities(
        self, states: Tensor, sequences: Sequence[Sequence[int]], given: int, first: int = 0
    ) -> NDArray[np.float64]:
        """How likely sequences of tokens are, given speech and their beginning.

        Args:
            states: float32 [T, dim], the encoder's.
            sequences: of tokens, all with the same beginning.
            given: tokens of that beginning, at least one.
            first: tokens below it are impossible behind that.

        Returns:
            float64 [len(sequences)], natural logs.

        Raises:
            ValueError: an impossible token, or more than the decoder has positions for.
        """
        if any(len(sequence) > self.size.positions for sequence in sequences):
            raise ValueError(f"texts of more than {self.size.positions} tokens")
        if any(token < first for sequence in sequences for token in sequence[given:]):
            raise ValueError("a token that is impossible in a text")
        tree = TokenTree(sequences)
        device = self.embedding.weight.device
        x = self.embedding(tree.tokens.to(device)) + self.positions(tree.depths.to(device))
        sees = tree.sees.to(device)
        for block in self.blocks:
            x = block(x, states, sees)
        logits = F.linear(self.norm(x), self.embedding.weight[first:]).float()
        logps = logits.log_softmax(dim=1).cpu().numpy()
        return np.array([
            sum(
                float(logps[before, token - first])
                for before, token in zip(path[given - 1 : -1], sequence[given:], strict=True)
            )
            for path, sequence in zip(tree.paths, sequences, strict=True)
        ])  # fmt: skip


class _Block(nn.Module):
    """Attention to the text, attention to the sound, and feed-forward, each behind a norm."""

    def __init__(self, dim: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attn_norm = nn.LayerNorm(dim)
        self.attn = _Attention(dim, heads)
        self.cross_norm = nn.LayerNorm(dim)
        self.cross = _Attention(dim, heads)
        self.mlp_norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, inner)
        self.down = nn.Linear(inner, dim)

    def forward(self, x: Tensor, states: Tensor, sees: Tensor) -> Tensor:
        y = self.attn_norm(x)
        x = x + self.attn(y, y, sees)
        x = x + self.cross(self.cross_norm(x), states, None)
        result: Tensor = x + self.down(F.gelu(self.up(self.mlp_norm(x))))
        return result


class _Attention(nn.Module):
    """What of ``over``, float32 [K, dim], each row of ``x``, float32 [N, dim], asks for."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, over: Tensor, sees: Tensor | None) -> Tensor:
        query, key, value = (
            layer(y).unflatten(1, (self.heads, -1)).transpose(0, 1)
            for layer, y in ((self.query, x), (self.key, over), (self.value, over))
        )
        y = F.scaled_dot_product_attention(query[None], key[None], value[None], attn_mask=sees)[0]
        result: Tensor = self.out(y.transpose(0, 1).flatten(1))
        return result
