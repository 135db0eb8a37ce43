"""What all routes share: the model, the workers, the limits, the metrics, and how it all stops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from asr.search import Index, VoiceSearch
from asr.server.config import ServerConfig
from asr.server.errors import ApiError
from asr.server.jobs import WorkPool
from asr.server.limits import ClientLimits
from asr.server.metrics import Metrics
from asr.server.security import Gate

if TYPE_CHECKING:
    from asr.recognizer import Model

logger = logging.getLogger("asr.server")


class Service:
    """One model served to many.

    Args:
        model: shared by all streams.
        config: the limits.
        local: it listens on a loopback address.
        index: of the catalogue that `/search` searches; None: there is none.

    Attributes:
        catalogue: what `/search` searches.
        stopping: set when nothing new is accepted any more.
        active: requests and streams that were accepted and are not answered yet.
    """

    def __init__(
        self,
        model: Model,
        config: ServerConfig,
        *,
        local: bool = True,
        index: Index | None = None,
    ) -> None:
        self.model = model
        self.catalogue = None if index is None else VoiceSearch(model, index)
        self.config = config
        self.gate = Gate(config, local)
        self.limits = ClientLimits(config)
        self.pool = WorkPool(config.jobs, config.queue)
        self.metrics = Metrics()
        self.stopping = asyncio.Event()
        self.active = 0
        gauge = self.metrics.gauge
        gauge("malsori_streams", "Live streams", lambda: self.limits.streams)
        gauge("malsori_uploads_running", "Uploads being recognised", lambda: self.pool.running)
        gauge("malsori_uploads_waiting", "Uploads being received or waiting for their turn",
              lambda: self.pool.admitted - self.pool.running)

    @contextmanager
    def accepted(self) -> Iterator[None]:
        """What happens within is finished before the service stops.

        Raises:
            ApiError: 503, it is stopping.
        """
        if self.stopping.is_set():
            raise ApiError(503, "the service is stopping", code="stopping", retry_after=5)
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    @contextmanager
    def live_stream(self, client: str) -> Iterator[None]:
        """Hold a place for a live stream, for which a worker is kept from uploads.

        Raises:
            ApiError: 429 or 503, there is none.
        """
        try:
            with self.limits.stream(client):
                self.pool.keep_one_for_live(True)
                yield
        finally:
            self.pool.keep_one_for_live(self.limits.streams > 0)

    async def drain(self, hurried: Callable[[], bool] = lambda: False) -> bool:
        """Accept nothing more, and wait until all is answered or the grace is over.

        Args:
            hurried: asked again and again; true where nobody wants to wait any longer.

        Returns:
            Whether everything was answered.
        """
        self.stopping.set()
        loop = asyncio.get_running_loop()
        end = loop.time() + self.config.grace_seconds
        while self.active and loop.time() < end and not hurried():
            await asyncio.sleep(0.02)
        if self.active:
            logger.warning("stopping with %d requests unanswered", self.active)
        return not self.active
