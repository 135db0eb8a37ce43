"""What every network of an acoustic model is: features in, scores of pdfs out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asr.errors import ModelError


class AcousticNetwork(nn.Module):
    """A network that scores pdfs.

    Attributes:
        feature_dim: width of its features.
        ivector_dim: width of its i-vectors; 0 where it takes none.
        num_pdfs: width of its output.
        subsampling: frames of features per frame of output.
    """

    feature_dim: int
    ivector_dim: int
    num_pdfs: int
    subsampling: int

    def forward(
        self, feats: Tensor, ivectors: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores of whole utterances.

        Args:
            feats: float32 [B, T, feature_dim].
            ivectors: float32 [B, ivector_dim]; None if the network takes none.
            lengths: int64 [B], frames of each utterance; None = all T.

        Returns:
            float32 [B, ceil(T / subsampling), num_pdfs], 0 behind an utterance's end; and int64
            [B], how many are an utterance's own.
        """
        raise NotImplementedError

    def normalise_input(self, mean: Tensor, deviation: Tensor) -> None:
        """Let the network subtract ``mean`` from its features and divide by ``deviation``.

        Args:
            mean, deviation: float [feature_dim], of the training set's features.

        Raises:
            ModelError: it was not made to be trained.
        """
        raise ModelError("this network does not normalise its input: train one that does")


def inside_frames(lengths: Tensor, frames: int) -> Tensor:
    """bool [B, frames]: within each utterance."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]
