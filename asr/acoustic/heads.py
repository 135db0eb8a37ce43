"""Networks that end in one or two linear heads: scores of pdfs, and log-posteriors beside them."""

from __future__ import annotations

from torch import Tensor, nn

from asr.acoustic.network import AcousticNetwork, inside_frames
from asr.acoustic.trainable import OUTPUT, XENT


class TwoHeaded(AcousticNetwork):
    """A network whose last layers are ``outputs``.

    Attributes:
        head_names: "output", and "output-xent" where there is a head for cross-entropy.
        outputs: the linear layer of each head.
    """

    head_names: tuple[str, ...]
    outputs: nn.ModuleList

    def forward(
        self, feats: Tensor, ivectors: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The first head; see :meth:`heads`."""
        heads, output_lengths = self.heads(feats, ivectors, lengths)
        return heads[OUTPUT], output_lengths

    def heads(
        self, feats: Tensor, ivectors: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """All heads of whole utterances.

        Args:
            feats: float32 [B, T, feature_dim].
            ivectors: float32 [B, ivector_dim]; None if the network takes none.
            lengths: int64 [B], frames of each utterance; None = all T.

        Returns:
            (float32 [B, ceil(T / subsampling), num_pdfs] by head, output lengths int64 [B]);
            ``output-xent`` holds log-posteriors; 0 behind an utterance's end.

        Raises:
            UsageError: shapes that do not fit the network.
        """
        raise NotImplementedError

    def no_frames(self, feats: Tensor) -> dict[str, Tensor]:
        """All heads of utterances without a frame."""
        return dict.fromkeys(self.head_names, feats.new_zeros(len(feats), 0, self.num_pdfs))

    def scored(self, x: Tensor, output_lengths: Tensor) -> dict[str, Tensor]:
        """All heads of the last layer's output, [B, N, width]."""
        outside = ~inside_frames(output_lengths, x.shape[1])[:, :, None]
        found = {}
        for name, layer in zip(self.head_names, self.outputs, strict=True):
            y = layer(x).float()
            if name == XENT:
                y = y.log_softmax(dim=2)
            found[name] = y.masked_fill(outside, 0.0)
        return found


def head_names(xent: bool) -> tuple[str, ...]:
    """Of a network with or without the head for cross-entropy."""
    return (OUTPUT, XENT) if xent else (OUTPUT,)
