"""Features of sound that arrives in pieces: the same frames as of the whole at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from asr.errors import AudioError, UsageError
from asr.features.deltas import add_deltas, splice
from asr.features.fbank import MelExtractor
from asr.features.window import first_sample, num_frames, reflected_index


class FeatureStream:
    """One utterance's features, piece by piece; memory stays at a few frames of samples.

    >>> from asr.features import Fbank
    >>> stream = FeatureStream(Fbank())
    >>> pieces = [stream.accept(torch.zeros(300)) for _ in range(3)] + [stream.finish()]
    >>> [len(piece) for piece in pieces]
    [0, 2, 2, 0]
    """

    def __init__(self, extractor: MelExtractor) -> None:
        self._extractor = extractor
        self._samples: Tensor | None = None  # what frames to come still need
        self._start = 0  # position of its first sample in the utterance
        self._emitted = 0
        self._finished = False

    def accept(self, samples: Tensor) -> Tensor:
        """Take the next samples, float32 of shape (n,) in [-1, 1], and give the frames they end.

        Returns:
            (frames, dim) float32, possibly of no frames.

        Raises:
            AudioError: a sample that is not finite.
            UsageError: samples of another shape or type, or the stream has been finished.
        """
        if self._finished:
            raise UsageError("This feature stream is finished: start a new one.")
        if samples.dim() != 1 or samples.dtype != torch.float32:
            raise UsageError("A feature stream takes float32 samples of shape (n,).")
        if not bool(samples.isfinite().all()):
            raise AudioError("The audio holds samples that are not finite: repair or re-record it.")
        kept = samples.new_empty(0) if self._samples is None else self._samples
        self._samples = torch.cat([kept, samples])
        return self._emit(num_frames(self._total(), self._extractor.frame, flush=False))

    def finish(self) -> Tensor:
        """The last frames, which with ``snip_edges`` false reflect the end; (frames, dim)."""
        if self._finished:
            raise UsageError("This feature stream is finished: start a new one.")
        self._finished = True
        if self._samples is None:
            return torch.empty(0, self._extractor.dim)
        return self._emit(num_frames(self._total(), self._extractor.frame))

    def _total(self) -> int:
        return self._start + (0 if self._samples is None else len(self._samples))

    def _emit(self, ready: int) -> Tensor:
        assert self._samples is not None
        config = self._extractor.frame
        if ready <= self._emitted:
            return self._samples.new_empty(0, self._extractor.dim)
        start = first_sample(self._emitted, config)
        stop = first_sample(ready - 1, config) + config.window_size
        if start >= 0 and stop <= self._total():
            span = self._samples[start - self._start : stop - self._start]
        else:
            total = torch.tensor([self._total()], device=self._samples.device)
            span = self._samples[reflected_index(start, stop, total) - self._start]
        frames = span.unfold(0, config.window_size, config.window_shift)
        self._emitted = ready
        self._discard()
        return self._extractor.from_frames(frames.unsqueeze(0))[0]

    def _discard(self) -> None:
        """Forget samples before the next frame, but for a window that a reflected end may need."""
        assert self._samples is not None
        config = self._extractor.frame
        needed = first_sample(self._emitted, config) - config.window_size
        surplus = min(needed - self._start, len(self._samples))
        if surplus > 0:
            self._samples = self._samples[surplus:].clone()
            self._start += surplus


class ContextStream:
    """A transform with time context, such as deltas, on features that arrive in pieces.

    Frames come out ``right`` frames late, when what follows them is known.
    """

    def __init__(self, transform: Callable[[Tensor], Tensor], left: int, right: int) -> None:
        """
        Args:
            transform: (1, T, D) to (1, T, E); its frame t depends on frames t - left to t + right
                and repeats the first and last beyond the ends.
        """
        self._transform = transform
        self._left = left
        self._right = right
        self._frames: Tensor | None = None
        self._done = 0  # how many of the kept frames are already out

    def accept(self, features: Tensor) -> Tensor:
        """Take the next frames (T, D) and give those that are complete, (frames, E)."""
        kept = features[:0] if self._frames is None else self._frames
        self._frames = torch.cat([kept, features])
        return self._emit(len(self._frames) - self._right)

    def finish(self) -> Tensor:
        """The last frames (at most ``right``), and the stream can take another utterance.

        Raises:
            UsageError: nothing was accepted, so that the dimension is unknown.
        """
        if self._frames is None:
            raise UsageError("Nothing was given to this stream before it was finished.")
        last = self._emit(len(self._frames))
        self._frames, self._done = None, 0
        return last

    def _emit(self, end: int) -> Tensor:
        assert self._frames is not None
        if end <= self._done:
            return self._transform(self._frames[None, :0])[0]
        out = self._transform(self._frames.unsqueeze(0))[0, self._done : end]
        surplus = max(0, end - self._left)
        self._frames = self._frames[surplus:]
        self._done = end - surplus
        return out


def delta_stream(order: int = 2, window: int = 2) -> ContextStream:
    """`add_deltas` in pieces."""
    context = order * window
    return ContextStream(lambda x: add_deltas(x, order, window), context, context)


def splice_stream(left: int, right: int) -> ContextStream:
    """`splice` in pieces."""
    return ContextStream(lambda x: splice(x, left, right), left, right)
