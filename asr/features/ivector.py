"""i-vectors: one vector that tells an acoustic model who speaks and through what channel.

The statistics of an utterance under a background GMM (UBM) are explained by a low-dimensional
vector w: the mean of Gaussian g is M_g w. Its estimate is the most likely w under a Gaussian prior
(Dehak et al., 2011, "Front-end factor analysis"; Kaldi ivector/ivector-extractor.cc and
online2/online-ivector-feature.cc).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.errors import ModelError, UsageError
from asr.features.online_cmvn import OnlineCmvn, OnlineCmvnConfig

_PIECE = 2048  # frames worked on at once: bounds memory on long recordings


@dataclass(frozen=True, slots=True)
class IvectorConfig:
    """How statistics are gathered (Kaldi's OnlineIvectorExtractionConfig and OnlineCmvnOptions).

    Attributes:
        num_gselect: Gaussians kept a frame.
        min_post: posteriors below this are dropped.
        posterior_scale: a frame counts as this many independent ones.
        max_count: beyond this (scaled) count of frames, more of them change nothing but the mix;
            0 = no limit.
        splice_left, splice_right: frames of context before the projection.
        cmn_window: frames of the causal mean that is subtracted before posteriors are computed.
        global_frames: how many frames of the global mean fill a shorter window.
    """

    num_gselect: int = 5
    min_post: float = 0.025
    posterior_scale: float = 0.1
    max_count: float = 100.0
    splice_left: int = 3
    splice_right: int = 3
    cmn_window: int = 600
    global_frames: int = 200

    def __post_init__(self) -> None:
        if self.num_gselect < 1 or not 0 <= self.min_post < 0.5:
            raise UsageError("i-vectors need num_gselect >= 1 and 0 <= min_post < 0.5.")
        if not 0 < self.posterior_scale <= 1 or self.max_count < 0:
            raise UsageError("i-vectors need 0 < posterior_scale <= 1 and max_count >= 0.")
        if min(self.splice_left, self.splice_right) < 0:
            raise UsageError("i-vectors need splice_left >= 0 and splice_right >= 0.")
        if self.cmn_window < 1 or not 0 <= self.global_frames <= self.cmn_window:
            raise UsageError("i-vectors need cmn_window >= 1 and 0 <= global_frames <= cmn_window.")


@dataclass(frozen=True, slots=True, eq=False)
class IvectorParams:
    """The model. C coefficients, D projected features, G Gaussians, S dimensions of the i-vector.

    Attributes:
        gconsts: float32 [G], log-likelihood of each Gaussian at 0, log weight included.
        means_invvars: float32 [G, D], means over variances.
        inv_vars: float32 [G, D], inverse variances.
        projection: float32 [G, D, S], M: i-vector → mean of each Gaussian.
        sigma_inv: float32 [G, D, D], inverse covariances of the extractor.
        lda: float32 [D, C × (splice_left + 1 + splice_right) (+ 1)], with an offset column or not.
        global_cmvn: float64 [2, C + 1], sums, sums of squares and (in [0, C]) the count of frames.
        prior_offset: float32 [1], prior mean of the first dimension.
    """

    gconsts: NDArray[np.float32]
    means_invvars: NDArray[np.float32]
    inv_vars: NDArray[np.float32]
    projection: NDArray[np.float32]
    sigma_inv: NDArray[np.float32]
    lda: NDArray[np.float32]
    global_cmvn: NDArray[np.float64]
    prior_offset: NDArray[np.float32]

    @property
    def ivector_dim(self) -> int:
        """S."""
        return int(self.projection.shape[2])

    @property
    def feature_dim(self) -> int:
        """C."""
        return int(self.global_cmvn.shape[1]) - 1

    def validate(self, config: IvectorConfig) -> None:
        """Check that shapes fit each other and ``config``.

        Raises:
            ModelError: they do not, or values are not finite.
        """
        gaussians, dim = self.means_invvars.shape
        spliced = self.feature_dim * (config.splice_left + 1 + config.splice_right)
        sound = (
            self.gconsts.shape == (gaussians,)
            and self.inv_vars.shape == (gaussians, dim)
            and self.projection.shape[:2] == (gaussians, dim)
            and self.sigma_inv.shape == (gaussians, dim, dim)
            and self.lda.shape[0] == dim
            and self.lda.shape[1] in (spliced, spliced + 1)
            and self.global_cmvn.shape[0] == 2
            and self.global_cmvn[0, -1] > 0
            and self.prior_offset.shape == (1,)
        )
        if not sound or not all(np.isfinite(a).all() for a in self.to_tensors().values()):
            raise ModelError("the i-vector extractor's arrays do not fit together; import it again")

    def to_tensors(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by name, for a bundle."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[np.generic]]) -> IvectorParams:
        """Inverse of :meth:`to_tensors`; ModelError if an array is missing."""
        missing = [item.name for item in fields(cls) if item.name not in tensors]
        if missing:
            raise ModelError(f"the i-vector extractor lacks {', '.join(missing)}; import it again")
        return cls(**{item.name: np.asarray(tensors[item.name]) for item in fields(cls)})


class IvectorExtractor:
    """Estimates i-vectors; immutable, so threads may share it.

    Args:
        params: the model.
        config: how statistics are gathered.
        device: where to compute.

    Attributes:
        params, config: as given.

    Raises:
        ModelError: arrays that do not fit together.
    """

    def __init__(
        self,
        params: IvectorParams,
        config: IvectorConfig | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        self.params, self.config = params, config or IvectorConfig()
        params.validate(self.config)
        self.ivector_dim = params.ivector_dim
        self.feature_dim = params.feature_dim
        self.device = torch.device(device)
        self.prior_offset = float(params.prior_offset[0])
        self._gconsts = self._tensor(params.gconsts)
        # log N(x) = gconst + [means / vars, -1 / (2 vars)] · [x, x²]
        self._gaussians = self._tensor(np.hstack([params.means_invvars, -0.5 * params.inv_vars])).T
        spliced = self.feature_dim * (self.config.splice_left + 1 + self.config.splice_right)
        self._lda = self._tensor(params.lda[:, :spliced]).T.contiguous()
        offset = params.lda[:, spliced:].sum(axis=1)
        self._lda_offset = self._tensor(offset)
        cmvn_config = OnlineCmvnConfig(
            self.config.cmn_window,
            speaker_frames=self.config.cmn_window,
            global_frames=self.config.global_frames,
        )
        self.cmvn = OnlineCmvn(cmvn_config, self._tensor(params.global_cmvn, torch.float64))
        projection = self._tensor(params.projection)
        weighted = self._tensor(params.sigma_inv) @ projection
        self._linear = weighted  # [G, D, S]: Σ⁻¹ M
        rows, columns = np.tril_indices(self.ivector_dim)
        self._tril = torch.from_numpy(rows), torch.from_numpy(columns)
        full = projection.transpose(1, 2) @ weighted
        self._quadratic = full[:, self._tril[0], self._tril[1]]  # [G, S (S + 1) / 2]: Mᵀ Σ⁻¹ M

    def _tensor(self, array: NDArray[np.generic], dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.from_numpy(np.array(array)).to(self.device, dtype)

    def extract(self, mfcc: Tensor) -> Tensor:
        """The i-vector of a whole utterance.

        Args:
            mfcc: float32 [T, C], at 16-bit sample scale, not normalised.

        Returns:
            float32 [S], the prior mean subtracted; zeros for T = 0.

        Raises:
            UsageError: features of another dimension.
        """
        stream = self.stream()
        stream.accept(mfcc)
        stream.finish()
        return stream.ivector()

    def extract_online(self, mfcc: Tensor, period: int = 10) -> Tensor:
        """The i-vectors a causal recogniser would have: float32 [ceil(T / period), S].

        Row i is estimated from frames 0 … i × period (and, as context of the projection,
        ``splice_right`` more), as Kaldi's ivector-extract-online2 does for training.
        """
        if period < 1:
            raise UsageError("The period of online i-vectors must be at least 1 frame.")
        stream = self.stream()
        pieces = [*stream.project(mfcc), stream.project_rest()]
        raw, normalised = (torch.cat(features) for features in zip(*pieces, strict=True))
        rows = []
        done = 0
        for time in range(0, len(mfcc), period):
            stream.count(raw[done : time + 1], normalised[done : time + 1])
            done = time + 1
            rows.append(stream.ivector())
        return torch.stack(rows) if rows else torch.zeros(0, self.ivector_dim, device=self.device)

    def stream(self) -> IvectorStream:
        """The statistics of one utterance that arrives in pieces."""
        return IvectorStream(self)

    def project(self, spliced: Tensor) -> Tensor:
        """LDA: [T, C × context] → [T, D]."""
        return torch.addmm(self._lda_offset, spliced, self._lda)

    def posteriors(self, features: Tensor) -> Tensor:
        """Pruned and scaled posteriors [T, G] of projected features [T, D].

        As Kaldi's VectorToPosteriorEntry (hmm/posterior.cc).
        """
        powers = torch.cat([features, features.square()], dim=1)
        likes = torch.addmm(self._gconsts, powers, self._gaussians)
        count = min(self.config.num_gselect, likes.shape[1])
        best, gaussians = likes.topk(count, dim=1)
        weight = (best - best[:, :1]).exp_()
        weight[:, 1:] *= weight[:, 1:] > self.config.min_post
        kept = weight >= self.config.min_post * weight.sum(dim=1, keepdim=True)
        kept[:, 0] = True
        weight *= kept
        weight *= self.config.posterior_scale / weight.sum(dim=1, keepdim=True)
        return torch.zeros_like(likes).scatter_(1, gaussians, weight)

    def terms(self, counts: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
        """(packed quadratic [S (S + 1) / 2], linear [S]) terms of statistics [G], [G, D]."""
        used = counts.nonzero()[:, 0]
        if 2 * len(used) > len(counts):  # picking rows would cost more than it saves
            linear = sums.reshape(1, -1) @ self._linear.flatten(0, 1)
            return counts @ self._quadratic, linear[0]
        linear = sums[used].reshape(1, -1) @ self._linear[used].flatten(0, 1)
        return counts[used] @ self._quadratic[used], linear[0]

    def solve(self, quadratic: Tensor, linear: Tensor, count: float) -> Tensor:
        """The most likely i-vector of float64 terms; ``count`` frames (scaled) made them."""
        if count <= 0:
            return torch.zeros(self.ivector_dim, device=self.device)
        limit = self.config.max_count
        prior_scale = max(count, limit) / limit if limit > 0 else 1.0
        matrix = torch.zeros(
            self.ivector_dim, self.ivector_dim, dtype=torch.float64, device=self.device
        )
        matrix[self._tril[0], self._tril[1]] = quadratic
        matrix.diagonal().add_(prior_scale)
        right = linear.clone()
        right[0] += self.prior_offset * prior_scale
        # the lower half is all that the factorisation reads
        ivector = torch.cholesky_solve(right[:, None], torch.linalg.cholesky(matrix))[:, 0]
        ivector[0] -= self.prior_offset
        return ivector.float()


class IvectorStream:
    """Statistics of one utterance; its features arrive in pieces of any size.

    The i-vector may be asked for at any time and uses all frames whose context has arrived, as
    Kaldi's greedy online extraction does.
    """

    def __init__(self, extractor: IvectorExtractor) -> None:
        self._extractor = extractor
        self._cmvn = extractor.cmvn.stream()
        size, device = extractor.ivector_dim, extractor.device
        empty = torch.zeros(0, extractor.feature_dim, device=device)
        self._raw = _Splicer(extractor.config, empty)
        self._normalised = _Splicer(extractor.config, empty)
        self._quadratic = torch.zeros(size * (size + 1) // 2, dtype=torch.float64, device=device)
        self._linear = torch.zeros(size, dtype=torch.float64, device=device)
        self._total = 0.0

    def accept(self, mfcc: Tensor) -> None:
        """Take the next frames, float32 [n, C].

        Raises:
            UsageError: features of another dimension.
        """
        for raw, normalised in self.project(mfcc):
            self.count(raw, normalised)

    def finish(self) -> None:
        """The utterance is over: count the frames that still waited for context."""
        self.count(*self.project_rest())

    @torch.no_grad()
    def ivector(self) -> Tensor:
        """The estimate from all frames so far: float32 [S]."""
        return self._extractor.solve(self._quadratic, self._linear, self._total)

    @torch.no_grad()
    def project(self, mfcc: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Projected frames [m, D], as they are and normalised, of those whose context is there."""
        dim = self._extractor.feature_dim
        if mfcc.dim() != 2 or mfcc.shape[1] != dim:
            raise UsageError(f"The i-vector extractor takes [frames, {dim}], not {[*mfcc.shape]}.")
        for piece in mfcc.to(self._extractor.device, torch.float32).split(_PIECE):
            normalised = self._normalised.accept(self._cmvn.accept(piece))
            yield self._project_both(self._raw.accept(piece), normalised)

    @torch.no_grad()
    def project_rest(self) -> tuple[Tensor, Tensor]:
        """As :meth:`project`, of the frames that waited when the utterance ended."""
        return self._project_both(self._raw.finish(), self._normalised.finish())

    @torch.no_grad()
    def count(self, raw: Tensor, normalised: Tensor) -> None:
        """Add projected frames to the statistics."""
        if not len(raw):
            return
        extractor = self._extractor
        posteriors = extractor.posteriors(normalised)
        counts = posteriors.sum(dim=0)
        quadratic, linear = extractor.terms(counts, posteriors.T @ raw)
        self._quadratic += quadratic
        self._linear += linear
        self._total += float(counts.sum(dtype=torch.float64))

    def _project_both(self, raw: Tensor, normalised: Tensor) -> tuple[Tensor, Tensor]:
        return self._extractor.project(raw), self._extractor.project(normalised)


class _Splicer:
    """Joins each frame with its neighbours; the first and the last frame stand in at the ends."""

    def __init__(self, config: IvectorConfig, empty: Tensor) -> None:
        self._left, self._right = config.splice_left, config.splice_right
        self._waiting = empty  # context of the frames to come, and frames that still lack theirs
        self._last = empty  # the newest frame

    def accept(self, frames: Tensor) -> Tensor:
        """[n, C] → [m, C × context] of the frames that are complete now."""
        if len(frames) and not len(self._last):
            self._waiting = frames[:1].expand(self._left, -1)
        if len(frames):
            self._last = frames[-1:].clone()
        joined = torch.cat([self._waiting, frames])
        context = self._left + self._right
        self._waiting = joined[max(0, len(joined) - context) :].clone()
        return _windows(joined, context + 1)

    def finish(self) -> Tensor:
        """The frames that waited for their right context."""
        return self.accept(self._last.repeat(self._right, 1))


def _windows(frames: Tensor, width: int) -> Tensor:
    """[n, C] → [n − width + 1, width × C]."""
    count = max(0, len(frames) - width + 1)
    return torch.cat([frames[i : i + count] for i in range(width)], dim=1)
