"""An upload on its way through the workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from asr.errors import AsrError
from asr.result import Result, Segment
from asr.server.body import ClientGone, Receive
from asr.server.errors import ApiError
from asr.server.live import UploadRecognizer
from asr.server.openai_request import TranscriptionRequest
from asr.server.service import Service

T = TypeVar("T")


class Upload:
    """One upload: begin it, take its segments, close it.

    Args:
        service: whose workers.
        asked: what is asked for; its file is not closed here.
        receive: of the request, whose body has been read.
        nbest: alternatives of each segment. With any, texts stay as they were said.

    Attributes:
        result: what was recognised, once all segments were taken.
    """

    def __init__(
        self, service: Service, asked: TranscriptionRequest, receive: Receive, *, nbest: int = 0
    ) -> None:
        self.result = Result((), 0.0)
        self._service = service
        self._asked = asked
        self._nbest = nbest
        self._gone = asyncio.ensure_future(_disconnection(receive))
        self._recognizer: UploadRecognizer | None = None
        self._has_turn = False

    async def begin(self) -> None:
        """Wait for its turn, and make its recogniser.

        Raises:
            ApiError: 400, words that make no sense.
            ClientGone: the client went away.
        """
        await self._take_turn()
        asked, service = self._asked, self._service

        def make() -> UploadRecognizer:
            model = service.model.add_words(asked.words) if asked.words else service.model
            config = service.config
            return UploadRecognizer(
                model, asked.file.file, asked.name, config.sound_seconds,
                written=config.written and not self._nbest,
                punctuation=config.punctuation and not self._nbest, nbest=self._nbest,
            )  # fmt: skip

        self._recognizer = await self._run(make)

    async def segments(self) -> AsyncIterator[Segment]:
        """Segments as they become final.

        Raises:
            ApiError: 400, it is not sound that can be read.
            ClientGone: the client went away.
        """
        recognizer = self._recognizer
        assert recognizer is not None
        told = 0
        while (new := await self._run(recognizer.step)) is not None:
            told += len(new)
            for segment in new:
                yield segment
        self.result = await self._run(recognizer.finish)
        self._service.metrics.sound_seconds.labels("upload").inc(self.result.duration)
        for segment in self.result.segments[told:]:
            yield segment

    async def close(self) -> None:
        """Let the next upload begin, and remove what was written to disk for this one."""
        self._gone.cancel()
        if self._has_turn:
            self._service.pool.end_turn()
        if self._recognizer is not None:
            self._recognizer.close()

    async def _take_turn(self) -> None:
        turn = asyncio.ensure_future(self._service.pool.take_turn())
        try:
            await asyncio.wait({turn, self._gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._has_turn = turn.done() and not turn.cancelled()
            turn.cancel()
        if not self._has_turn:
            raise ClientGone

    async def _run(self, step: Callable[[], T]) -> T:
        """A step on a worker, unless nobody waits for it."""
        if self._gone.done():
            raise ClientGone
        try:
            return await self._service.pool.run_upload(step)
        except AsrError as error:
            message = str(error).replace("<stream>", self._asked.name)
            raise ApiError(400, message, code="invalid_file", param="file") from error


async def _disconnection(receive: Receive) -> None:
    """Returns when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
