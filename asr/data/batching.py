"""Batches of utterances of like length: shuffled, resumable, alike on any number of processes.

An epoch's batches are a pure function of the lengths, the config and the epoch's number. Each is
a global batch, of which every process takes its share, so 1 and 8 processes train on the same sets
of utterances step by step.

    sampler = BucketSampler(lengths, BatchConfig(max_frames=20_000), rank=0, world_size=2)
    for _ in range(epochs):
        for indices in sampler:        # this process's share of a batch
            ...
            state = sampler.state_dict()  # after this step
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from asr.errors import DataError, UsageError


@dataclass(frozen=True, slots=True)
class BatchConfig:
    """How batches are made up."""

    max_frames: int = 20_000
    """Frames of a global batch with padding: utterances times the longest one's frames."""
    max_utterances: int = 256
    seed: int = 0
    shuffle: bool = True
    """False: sorted by length, the longest first, which shows at once whether memory suffices."""
    jitter: float = 0.05
    """Lengths are taken for up to this share longer or shorter when sorting, so that utterances
    meet others in each epoch even where all are one pool."""
    pool: int = 32
    """Batches' worth of utterances that are sorted by length together: more means less padding and
    less chance in which utterances meet."""

    def __post_init__(self) -> None:
        if min(self.max_frames, self.max_utterances, self.pool) < 1 or self.seed < 0:
            raise UsageError(
                "a batch holds one frame and one utterance or more, a pool one batch,"
                " and a seed is not negative"
            )


class BucketSampler:
    """Iterates over batches of indices, from where it stands to the end of the epoch.

    Iterating again begins the next epoch. Where a batch has fewer utterances than there are
    processes, some get an empty share, and must still take part in the step.

    Args:
        lengths: frames of each utterance.
        config: how batches are made up.
        rank: which process this is.
        world_size: how many there are.

    Raises:
        DataError: there are no utterances, one without frames, or one longer than a batch.
        UsageError: a rank that is none.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray,
        config: BatchConfig | None = None,
        *,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.config = config or BatchConfig()
        if not 0 <= rank < world_size:
            raise UsageError(f"rank {rank} is not one of {world_size} processes, counted from 0")
        self._lengths = np.asarray(lengths, np.int64)
        self._rank, self._world = rank, world_size
        self._check_lengths()
        self.epoch = 0
        """The epoch that comes next or is under way, from 0."""
        self.position = 0
        """Batches of it that were handed out."""

    def __iter__(self) -> Iterator[list[int]]:
        batches = self.batches(self.epoch)
        while self.position < len(batches):
            batch = batches[self.position]
            self.position += 1
            yield self.share(batch)
        self.epoch, self.position = self.epoch + 1, 0

    def __len__(self) -> int:
        """Batches that are left of the epoch."""
        return len(self.batches(self.epoch)) - self.position

    def share(self, batch: Sequence[int]) -> list[int]:
        """This process's part of a global batch: every world_size-th, so that lengths are alike."""
        return [int(index) for index in batch[self._rank :: self._world]]

    def batches(self, epoch: int) -> list[list[int]]:
        """The global batches of an epoch: every utterance once.

        Within a batch utterances are sorted by length, the longest first.
        """
        if not self.config.shuffle:
            return self._packed(np.arange(len(self._lengths)))
        rng = np.random.Generator(np.random.PCG64([self.config.seed, epoch]))
        order = rng.permutation(len(self._lengths))
        batches: list[list[int]] = []
        for part in np.array_split(order, self._pools()):
            batches += self._packed(part, rng)
        return [batches[i] for i in rng.permutation(len(batches))]

    def state_dict(self, pending: int = 0) -> dict[str, Any]:
        """Where it stands, as plain JSON values.

        Args:
            pending: batches that were handed out and not trained on yet, as by a loader that
                reads ahead; they will be handed out again.
        """
        if not 0 <= pending <= self.position:
            raise UsageError(f"{pending} batches cannot be pending of {self.position} handed out")
        return {
            "epoch": self.epoch,
            "position": self.position - pending,
            "fingerprint": self._fingerprint(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, on any number of processes.

        Raises:
            DataError: the state is of other utterances or another config, or damaged.
        """
        try:
            epoch, position = int(state["epoch"]), int(state["position"])
            fingerprint = state["fingerprint"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"the state of the batches is damaged ({error}): start from another checkpoint"
            ) from error
        if fingerprint != self._fingerprint():
            raise DataError(
                "the checkpoint's batches were made of other utterances or with another"
                " config: use the data it began with, or begin anew"
            )
        if epoch < 0 or not 0 <= position <= len(self.batches(epoch)):
            raise DataError(
                f"the checkpoint stands at batch {position} of epoch {epoch}, which"
                " there is not: start from another checkpoint"
            )
        self.epoch, self.position = epoch, position

    def padding(self, epoch: int = 0) -> float:
        """Share of an epoch's frames that is padding."""
        padded = sum(len(b) * int(self._lengths[b].max()) for b in self.batches(epoch))
        return 1.0 - int(self._lengths.sum()) / padded

    def _packed(
        self, indices: np.ndarray, rng: np.random.Generator | None = None
    ) -> list[list[int]]:
        """Batches of utterances of like length, each as full as it may be."""
        config, lengths = self.config, self._lengths
        keys = lengths[indices].astype(np.float64)
        if rng is not None:
            keys *= rng.uniform(1 - config.jitter, 1 + config.jitter, len(keys))
        batches: list[list[int]] = []
        longest = 0
        for index in indices[np.argsort(-keys, kind="stable")].tolist():
            if batches and len(batches[-1]) < config.max_utterances:
                longest = max(longest, int(lengths[index]))
                if (len(batches[-1]) + 1) * longest <= config.max_frames:
                    batches[-1].append(index)
                    continue
            batches.append([index])
            longest = int(lengths[index])
        return [sorted(batch, key=lambda i: (-lengths[i], i)) for batch in batches]

    def _pools(self) -> int:
        """Into how many parts an epoch is divided before sorting."""
        mean = max(1.0, float(self._lengths.mean()))
        a_batch = min(self.config.max_utterances, max(1, int(self.config.max_frames / mean)))
        return max(1, round(len(self._lengths) / (a_batch * self.config.pool)))

    def _check_lengths(self) -> None:
        if self._lengths.ndim != 1 or not len(self._lengths):
            raise DataError("there is no utterance to make batches of: give data")
        if int(self._lengths.min()) < 1:
            worst = int(self._lengths.argmin())
            raise DataError(f"utterance {worst} has no frames: leave it out (`asr data fix`)")
        if int(self._lengths.max()) > self.config.max_frames:
            worst = int(self._lengths.argmax())
            raise DataError(
                f"utterance {worst} has {self._lengths[worst]} frames, more than a"
                f" batch may hold ({self.config.max_frames}): set max_frames"
                " higher, cut it, or leave it out"
            )

    def _fingerprint(self) -> str:
        """Of all that the batches depend on."""
        text = repr(sorted(asdict(self.config).items())).encode()
        return hashlib.sha256(text + self._lengths.tobytes()).hexdigest()[:16]
