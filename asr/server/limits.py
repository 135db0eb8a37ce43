"""How much of the service one client may have."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from asr.server.config import ServerConfig
from asr.server.errors import ApiError

MOST_REMEMBERED = 10_000
"""Clients whose rate is remembered; beyond, those that have been quiet longest are forgotten."""


class RateLimiter:
    """A bucket of tokens for each client; each request takes one.

    Args:
        per_minute: tokens that a minute brings, and that a bucket holds.
        clock: seconds, never going back.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._capacity = float(per_minute)
        self._per_second = per_minute / 60.0
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, client: str) -> float:
        """Take a token; the seconds after which there will be one, 0 where it was taken."""
        now = self._clock()
        tokens, then = self._buckets.pop(client, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - then) * self._per_second)
        wait = 0.0 if tokens >= 1.0 else (1.0 - tokens) / self._per_second
        self._buckets[client] = (tokens - (wait == 0.0), now)  # last: seen most lately
        if len(self._buckets) > MOST_REMEMBERED:
            del self._buckets[next(iter(self._buckets))]
        return wait


class ClientLimits:
    """Counts what each client has in progress.

    Args:
        config: the limits.
        clock: seconds, never going back.
    """

    def __init__(self, config: ServerConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._rate = RateLimiter(config.client_rate, clock)
        self._requests: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    @property
    def streams(self) -> int:
        """Live streams of all clients."""
        return self._streams.total()

    def check_rate(self, client: str) -> None:
        """Count a request.

        Raises:
            ApiError: 429, too many within a minute.
        """
        wait = self._rate.take(client)
        if wait > 0:
            raise ApiError(429, f"more than {self._config.client_rate} requests a minute",
                           code="rate_limit_exceeded", retry_after=math.ceil(wait))

    @contextmanager
    def request(self, client: str) -> Iterator[None]:
        """Hold one of the client's uploads.

        Raises:
            ApiError: 429, it has as many as it may.
        """
        most = self._config.client_requests
        if self._requests[client] >= most:
            raise ApiError(429, f"more than {most} uploads of one client at once",
                           code="too_many_requests", retry_after=1)
        with _counted(self._requests, client):
            yield

    @contextmanager
    def stream(self, client: str) -> Iterator[None]:
        """Hold one of the client's live streams.

        Raises:
            ApiError: 429, it has as many as it may; 503, all clients together have.
        """
        if self.streams >= self._config.streams:
            raise ApiError(503, f"all {self._config.streams} live streams are taken",
                           code="overloaded", retry_after=5)
        most = self._config.client_streams
        if self._streams[client] >= most:
            raise ApiError(429, f"more than {most} live streams of one client",
                           code="too_many_streams", retry_after=5)
        with _counted(self._streams, client):
            yield


@contextmanager
def _counted(counter: Counter[str], client: str) -> Iterator[None]:
    counter[client] += 1
    try:
        yield
    finally:
        counter[client] -= 1
        if not counter[client]:
            del counter[client]
