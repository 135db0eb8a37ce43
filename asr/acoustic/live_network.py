"""The network under live streams, run once for those that have sound ready at the same moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.acoustic.encoder_front_end import EncoderFrontEnd
from asr.acoustic.nnet import Nnet
from asr.acoustic.scorer import AcousticScorer
from asr.gathering import GatherConfig, Gatherer

Scores = NDArray[np.float32]
Chunk = tuple[Tensor, Tensor | None]


class LiveNetwork:
    """Scores pieces of live streams. Streams in several threads share it.

    Pieces of one length are scored together, by the same sums as alone.

    Args:
        scorer: front end and network.
        config: how many streams at once; by default each alone.
    """

    def __init__(self, scorer: AcousticScorer, config: GatherConfig | None = None) -> None:
        self.scorer = scorer
        self.config = config = config or GatherConfig()
        self._alone = config.most == 1
        self._windows: Gatherer[Scores, Scores] = Gatherer(self._run_windows, config)
        self._chunks: Gatherer[Chunk, Scores] = Gatherer(self._run_chunks, config)

    def window(self, samples: NDArray[np.float32]) -> Scores:
        """Scores of a window by itself: float32 [N] samples to float32 [frames, pdfs]."""
        front_end = self.scorer.front_end
        if self._alone or not isinstance(front_end, EncoderFrontEnd):
            return self.scorer.scores(samples)
        return self._windows(len(samples), samples)

    def chunk(self, feats: Tensor, ivector: Tensor | None) -> Scores:
        """Scores of features with their context, which a time-delay network takes.

        Args:
            feats: float32 [T, D], as :meth:`asr.acoustic.nnet.Nnet.forward_context` takes them.
            ivector: float32 [I], or None.
        """
        if self._alone:
            return self._run_chunks([(feats, ivector)])[0]
        return self._chunks(len(feats), (feats, ivector))

    @torch.inference_mode()
    def _run_windows(self, windows: Sequence[Scores]) -> list[Scores]:
        front_end = self.scorer.front_end
        assert isinstance(front_end, EncoderFrontEnd)
        inputs = front_end.batch(windows)
        if inputs is None:  # too short to have any states
            return [self.scorer.scores(window) for window in windows]
        with self.scorer.arithmetic():
            scores, _ = self.scorer.network(inputs[0])
        return self._given(scores)

    @torch.inference_mode()
    def _run_chunks(self, chunks: Sequence[Chunk]) -> list[Scores]:
        network = self.scorer.network
        assert isinstance(network, Nnet)
        feats = torch.stack([feats for feats, _ in chunks])
        known = [ivector for _, ivector in chunks if ivector is not None]
        with self.scorer.arithmetic():
            scores = network.forward_context(feats, torch.stack(known) if known else None)
        return self._given(scores)

    def _given(self, scores: Tensor) -> list[Scores]:
        return list((scores * self.scorer.scale).float().cpu().numpy())
