"""Several processes that train one network, each on its share of every batch.

Gradients are sums over frames; they are added up over the processes in one exchange a step and
divided by the frames of all, so that a step is the same however a batch is shared out.
``torchrun`` starts the processes and tells each its place in environment variables.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from asr.errors import AsrError, UsageError

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others, who may be evaluating or writing a checkpoint."""
LOST = (
    "another process of the training is gone (see its message, if it left one): run the same "
    "command again; it goes on from the last checkpoint"
)


class World:
    """The processes of a training; one alone unless ``torchrun`` started more.

    Attributes:
        rank: this process, from 0; process 0 writes the files.
        size: how many there are.
        device: where this process computes.
    """

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def add_up(self, tensor: Tensor) -> None:
        """Replace a tensor on ``device`` by its sum over all processes.

        Raises:
            AsrError: another process is gone.
        """
        if self.size > 1:
            with _loss_explained():
                dist.all_reduce(tensor)

    def add_up_all(self, tensors: Sequence[Tensor]) -> None:
        """As :meth:`add_up` for many tensors of one type, in one exchange."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self.add_up(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def from_first(self, data: bytes | None) -> bytes:
        """The bytes that process 0 gives, in every process."""
        if self.size == 1:
            assert data is not None
            return data
        length = torch.tensor([len(data or b"")], dtype=torch.int64, device=self.device)
        with _loss_explained():
            dist.broadcast(length, 0)
            size = int(length)
            content = torch.empty(size, dtype=torch.uint8, device=self.device)
            if self.rank == 0 and data:
                content.copy_(torch.frombuffer(bytearray(data), dtype=torch.uint8))
            if size:
                dist.broadcast(content, 0)
        return content.cpu().numpy().tobytes()

    def json_from_first(self, value: Any) -> Any:
        """The JSON value that process 0 gives, in every process."""
        if self.size == 1:
            return value
        return json.loads(self.from_first(json.dumps(value).encode() if self.rank == 0 else None))

    def json_of_all(self, value: Any) -> list[Any]:
        """The JSON values of all processes, by rank, in every process."""
        if self.size == 1:
            return [value]
        data = json.dumps(value).encode()
        sizes = torch.zeros(self.size, dtype=torch.int64, device=self.device)
        sizes[self.rank] = len(data)
        self.add_up(sizes)
        table = torch.zeros(self.size, int(sizes.max()), dtype=torch.int32, device=self.device)
        table[self.rank, : len(data)] = torch.tensor(list(data), dtype=torch.int32)
        self.add_up(table)
        rows = table.cpu().tolist()
        return [json.loads(bytes(row[:n])) for row, n in zip(rows, sizes.tolist(), strict=True)]


def is_first_process() -> bool:
    """Whether this is the one process, or of those of torchrun the one that writes."""
    return os.environ.get("RANK", "0") == "0"


@contextlib.contextmanager
def joined_world(device: torch.device | str = "cpu") -> Iterator[World]:
    """The processes that ``torchrun`` started, or this one alone.

    Gloo connects them on CPUs, NCCL on GPUs (one a process, by LOCAL_RANK where ``device`` is just
    "cuda"). A process group that exists already is used and left as it is.

    Raises:
        UsageError: the environment is not torchrun's, or lacks this GPU.
        AsrError: the processes do not find each other.
    """
    device = torch.device(device)
    if dist.is_available() and dist.is_initialized():
        yield World(dist.get_rank(), dist.get_world_size(), _own(device))
        return
    try:
        size, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    except ValueError:
        raise UsageError("WORLD_SIZE and RANK are no numbers: start with torchrun") from None
    if size == 1:
        yield World(0, 1, device)
        return
    device = _own(device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise AsrError(
            f"the {size} processes of the training did not find each other ({error}): start all "
            "of them with torchrun, with one --rdzv-endpoint that every node reaches"
        ) from error
    with _aborts_explained():
        try:
            yield World(rank, size, device)
        except BaseException:
            with contextlib.suppress(RuntimeError):  # the others may be gone: what failed is told
                dist.destroy_process_group()
            raise
        dist.destroy_process_group()


def _own(device: torch.device) -> torch.device:
    """This process's GPU where only "cuda" was said."""
    if device.type != "cuda" or device.index is not None:
        return device
    number = int(os.environ.get("LOCAL_RANK", "0"))
    if number >= torch.cuda.device_count():
        raise UsageError(
            f"there are {torch.cuda.device_count()} GPUs here, too few for process {number}: start "
            "no more processes a node than it has GPUs"
        )
    return torch.device("cuda", number)


@contextlib.contextmanager
def _loss_explained() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise AsrError(LOST) from error


@contextlib.contextmanager
def _aborts_explained() -> Iterator[None]:
    """Say what an abort means, and exit with 1 as for any other error.

    Gloo's own thread now and then finds a connection that its other threads have closed since, and
    throws where nobody can catch: the process is aborted, and Python never hears of the lost peer.
    """
    libc = ctypes.CDLL(None)
    libc.signal.restype, libc.signal.argtypes = ctypes.c_void_p, (ctypes.c_int, ctypes.c_void_p)

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def aborted(_: int) -> None:  # on the thread that aborts; nothing is in a state to be closed
        os.write(2, f"asr: error: torch was aborted, most likely as {LOST}\n".encode())
        os._exit(1)

    before = libc.signal(signal.SIGABRT, ctypes.cast(aborted, ctypes.c_void_p))
    try:
        yield
    finally:
        libc.signal(signal.SIGABRT, before)
