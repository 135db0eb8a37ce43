"""The block of Whisper's encoder: self-attention and feed-forward, each behind a layer norm.

A. Radford et al., "Robust speech recognition via large-scale weak supervision", 2022;
openai/whisper, whisper/model.py ``ResidualAttentionBlock``.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from asr.acoustic.network import inside_frames


class TransformerBlock(nn.Module):
    """x ← x + attention(norm(x)); x ← x + feed-forward(norm(x)).

    Args:
        dim: width of the states.
        heads: of attention; they divide ``dim``.
        inner: width of the feed-forward part.
    """

    def __init__(self, dim: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.attn_norm = nn.LayerNorm(dim)
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.mlp_norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, inner)
        self.down = nn.Linear(inner, dim)

    def forward(self, x: Tensor, inside: Tensor | None = None, dropout: float = 0.0) -> Tensor:
        """States float32 [B, T, dim] to such.

        Args:
            inside: bool [B, T], frames that are an utterance's own, which alone are attended to;
                None: all.
            dropout: proportion of each part's output that is dropped.
        """
        x = x + F.dropout(self._attention(self.attn_norm(x), inside), dropout, dropout > 0)
        y = self.down(F.gelu(self.up(self.mlp_norm(x))))
        return x + F.dropout(y, dropout, dropout > 0)

    def _attention(self, x: Tensor, inside: Tensor | None) -> Tensor:
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mask = None if inside is None else inside[:, None, None, :]
        y = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        result: Tensor = self.out(y.transpose(1, 2).flatten(2))
        return result


def inside_mask(lengths: Tensor, frames: int) -> Tensor | None:
    """bool [B, frames], true within each utterance; None where all are as long as the batch."""
    if bool((lengths == frames).all()):
        return None
    return inside_frames(lengths.clamp(min=1), frames)  # attention needs one frame at least
