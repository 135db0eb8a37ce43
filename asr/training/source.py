"""Where batches come from: the protocol of the trainer, and utterances held in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from asr.data.batching import BucketSampler
from asr.errors import DataError
from asr.training.batch import Batch, Example, collate


class BatchSource(Protocol):
    """A deterministic, resumable sequence of batches, epoch after epoch.

    All processes of a training run the same sequence of *global* batches; each is given its own
    share of every one.
    """

    def __iter__(self) -> Iterator[Batch | None]:
        """The rest of the present epoch; None where this process has no share of a batch.

        When the iterator is exhausted the source stands at the beginning of the next epoch.
        """
        ...

    def __len__(self) -> int:
        """Batches in the present epoch, those that were given out already included."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The place behind the batch given out last, as JSON; the same in every process."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from that place."""
        ...

    def shard(self, rank: int, size: int) -> None:
        """From now on give out share ``rank`` of ``size``."""
        ...


class MemoryBatches:
    """Batches of utterances of like length, shuffled anew in each epoch.

    Args:
        examples: the utterances; sorted by length here.
        max_frames: padded feature frames of a (global) batch at most: utterances × longest. A
            longer utterance is a batch of its own.
        seed: of the order.
        shuffle: False for evaluation: the batches always come in the same order.

    Raises:
        DataError: no utterances.
    """

    def __init__(
        self, examples: Sequence[Example], max_frames: int, seed: int = 0, shuffle: bool = True
    ) -> None:
        if not examples:
            raise DataError(
                "no utterances are left, to train on or to evaluate on: the reasons were given"
                " (with few texts, further sentences help: --phone-text)"
            )
        self._examples = examples
        self._lengths = np.array([example.frames for example in examples])
        self._max_frames = max_frames
        self._seed = seed
        self._shuffle = shuffle
        self._epoch = self._position = 0
        self._rank, self._size = 0, 1

    def _plan(self) -> list[list[int]]:
        """The batches of the present epoch as numbers of utterances."""
        order = np.arange(len(self._examples))
        random = np.random.default_rng([self._seed, self._epoch])
        if self._shuffle:
            random.shuffle(order)
        # equal lengths stay in random order, so batches differ between epochs
        order = order[np.argsort(self._lengths[order], kind="stable")]
        batches: list[list[int]] = [[]]
        for index in order.tolist():
            full = (len(batches[-1]) + 1) * self._lengths[index] > self._max_frames
            if batches[-1] and full:
                batches.append([])
            batches[-1].append(index)
        if self._shuffle:
            random.shuffle(batches)
        return batches

    def __len__(self) -> int:
        return len(self._plan())

    def __iter__(self) -> Iterator[Batch | None]:
        plan = self._plan()
        while self._position < len(plan):
            share = plan[self._position][self._rank :: self._size]
            self._position += 1
            yield collate([self._examples[index] for index in share]) if share else None
        self._epoch, self._position = self._epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Epoch and position."""
        return {"epoch": self._epoch, "position": self._position, "seed": self._seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there; the seed is the one that the sequence began with."""
        self._epoch, self._position = int(state["epoch"]), int(state["position"])
        self._seed = int(state["seed"])

    def shard(self, rank: int, size: int) -> None:
        """Give out every ``size``-th utterance of a batch, from ``rank`` on."""
        self._rank, self._size = rank, size


class LoadedBatches:
    """Batches that a :class:`asr.data.batching.BucketSampler` chooses, loaded while others train.

    Args:
        sampler: of one process (rank 0 of 1); the shares are made here.
        load: (number of an utterance, epoch) to an example; augmentation that depends on these two
            alone is resumed exactly. None leaves the utterance out.
        ahead: batches that a thread of its own loads in advance; 0 = none.
    """

    def __init__(
        self, sampler: BucketSampler, load: Callable[[int, int], Example | None], ahead: int = 2
    ) -> None:
        self._sampler, self._load, self._ahead = sampler, load, ahead
        self._rank, self._size = 0, 1

    def __len__(self) -> int:
        return len(self._sampler.batches(self._sampler.epoch))

    def __iter__(self) -> Iterator[Batch | None]:
        sampler = self._sampler
        epoch = sampler.epoch
        shares = [batch[self._rank :: self._size] for batch in sampler.batches(epoch)]
        # the place is that of what was given out, not of what was read ahead
        for batch in self._loaded(shares[sampler.position :], epoch):
            sampler.position += 1
            yield batch
        sampler.epoch, sampler.position = epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """The sampler's."""
        return self._sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there.

        Raises:
            DataError: it is of other utterances or another config.
        """
        self._sampler.load_state_dict(state)

    def shard(self, rank: int, size: int) -> None:
        """Give out every ``size``-th utterance of a batch, from ``rank`` on."""
        self._rank, self._size = rank, size

    def _loaded(self, shares: Sequence[Sequence[int]], epoch: int) -> Iterator[Batch | None]:
        if not self._ahead:
            for share in shares:
                yield self._batch(share, epoch)
            return
        with ThreadPoolExecutor(1, "batches") as thread:
            waiting: deque[Future[Batch | None]] = deque()
            try:
                for share in shares:
                    waiting.append(thread.submit(self._batch, share, epoch))
                    if len(waiting) > self._ahead:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _batch(self, share: Sequence[int], epoch: int) -> Batch | None:
        found = [self._load(index, epoch) for index in share]
        examples = [example for example in found if example is not None]
        return collate(examples) if examples else None
