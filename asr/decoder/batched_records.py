"""What the batched search writes down, on its device: units and pauses, each with the one before.

Now and then, records that no living path leads to are thrown out. So memory follows what is alive,
not how long an utterance is.
"""

from __future__ import annotations

import torch
from torch import Tensor

FIRST_ROOM = 1 << 14


class UnitRecords:
    """Units and pauses on the paths of all utterances; a record's number holds a whole history.

    Args:
        device: where the records lie.
        room: how many there is room for at first.
    """

    def __init__(self, device: torch.device, room: int = FIRST_ROOM) -> None:
        self.made = 0
        self._worth = room
        self._columns = torch.empty(3, room, dtype=torch.int32, device=device)

    @property
    def num_bytes(self) -> int:
        """Memory taken."""
        return self._columns.numel() * self._columns.element_size()

    def add(self, previous: Tensor, unit: Tensor, start: Tensor | int) -> Tensor:
        """Write down units, int32 [N], that began in frame ``start``, each after a record or −1.

        Returns the new records' numbers, int32 [N].
        """
        begin, self.made = self.made, self.made + len(unit)
        if self.made > self._columns.shape[1]:
            self._resize(2 * self.made)
        self._columns[0, begin : self.made] = previous
        self._columns[1, begin : self.made] = unit
        self._columns[2, begin : self.made] = start
        return torch.arange(begin, self.made, dtype=torch.int32, device=unit.device)

    @property
    def crowded(self) -> bool:
        """Whether there are many more than were alive when :meth:`compact` last looked."""
        return self.made > self._worth

    def compact(self, alive: Tensor) -> Tensor:
        """Throw out what ``alive`` (int32 [N], records or −1) does not lead to.

        Returns ``alive`` in the new numbers.
        """
        kept = self._reachable(alive).nonzero()[:, 0]
        number = torch.full((self.made + 1,), -1, dtype=torch.int32, device=alive.device)
        number[kept] = torch.arange(len(kept), dtype=torch.int32, device=alive.device)
        columns = self._columns.index_select(1, kept)
        columns[0] = number[columns[0].long()]  # −1 finds the last place, which holds −1
        self.made = len(kept)
        self._worth = max(self._worth, 2 * self.made)
        self._columns[:, : self.made] = columns
        return number[alive.long()]

    def _resize(self, room: int) -> None:
        columns = self._columns.new_empty(3, room)
        columns[:, : self._columns.shape[1]] = self._columns
        self._columns = columns

    def _reachable(self, alive: Tensor) -> Tensor:
        """bool [made]: all that ``alive`` and the records before them are."""
        reached = torch.zeros(self.made, dtype=torch.bool, device=alive.device)
        front = alive
        while True:
            front = front[front >= 0].long().unique()
            front = front[~reached[front]]
            if not len(front):
                return reached
            reached[front] = True
            front = self._columns[0].index_select(0, front)

    def trace(self, last: Tensor) -> list[list[tuple[int, int]]]:
        """The (unit, start) pairs that lead to records int32 [N] (or −1), in order of time."""
        steps = []
        while bool((last >= 0).any()):
            row = self._columns.index_select(1, last.clamp(min=0)).masked_fill_(last < 0, -1)
            steps.append(row[1:])
            last = row[0]
        if not steps:
            return [[] for _ in range(len(last))]
        table = torch.stack(steps[::-1]).cpu().numpy()  # [steps, 2, N], the missing ones first
        lengths = (table[:, 1] >= 0).sum(axis=0)
        return [
            [(unit, start) for unit, start in table[len(table) - length :, :, lane].tolist()]
            for lane, length in enumerate(lengths.tolist())
        ]
