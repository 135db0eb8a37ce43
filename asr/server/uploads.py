"""An upload on its way through the workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from fastapi import Request
from starlette.datastructures import FormData, UploadFile

from asr.errors import AsrError
from asr.graph.bias_words import BiasWord
from asr.result import Result, Segment
from asr.server.body import OVERHEAD_BYTES, BoundedBody, ClientGone, Receive, read_form
from asr.server.errors import ApiError
from asr.server.live import UploadRecognizer
from asr.server.service import Service

T = TypeVar("T")


@asynccontextmanager
async def received_form(
    service: Service, request: Request
) -> AsyncIterator[tuple[FormData, AsyncExitStack]]:
    """The form of an upload, and what to close once it is answered, for as long as the block runs.

    A place in the queue is taken before the body is read, so that what lies on disk is bounded.

    Raises:
        ApiError: there is no place, or the form cannot be read; also what the block raises, after
            the rest of the body has been read.
        ClientGone: nobody waits for the answer any more.
    """
    most = service.config.upload_bytes + OVERHEAD_BYTES
    body = BoundedBody(request.receive, most, service.config)
    try:
        async with AsyncExitStack() as stack:
            stack.enter_context(service.accepted())
            stack.enter_context(service.limits.request(request.state.client))
            stack.enter_context(service.pool.place())
            form = await read_form(request, body, most)
            stack.push_async_callback(form.close)
            yield form, stack
    except ApiError:
        await body.discard()
        raise


def sound_file(form: FormData) -> UploadFile:
    """The part ``file`` of a form.

    Raises:
        ApiError: 400, there is none.
    """
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise ApiError(400, "the form needs a part named file that is a file", param="file")
    return file


def file_name(file: UploadFile) -> str:
    """How messages name an upload: without folders, and not endless."""
    name = (file.filename or "").replace("\\", "/").rpartition("/")[2][:100]
    return name or "file"


class Upload:
    """One upload: begin it, take its segments, close it.

    Args:
        service: whose workers.
        file: the sound; it is not closed here.
        receive: of the request, whose body has been read.
        words: that the user expects.
        nbest: alternatives of each segment. With any, texts stay as they were said.

    Attributes:
        result: what was recognised, once all segments were taken.
    """

    def __init__(
        self,
        service: Service,
        file: UploadFile,
        receive: Receive,
        *,
        words: Sequence[BiasWord] = (),
        nbest: int = 0,
    ) -> None:
        self.result = Result((), 0.0)
        self._service = service
        self._file, self._name, self._words = file, file_name(file), words
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
        service, config = self._service, self._service.config

        def make() -> UploadRecognizer:
            model = service.model.add_words(self._words) if self._words else service.model
            return UploadRecognizer(
                model, self._file.file, self._name, config.sound_seconds,
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
            message = str(error).replace("<stream>", self._name)
            raise ApiError(400, message, code="invalid_file", param="file") from error


async def _disconnection(receive: Receive) -> None:
    """Returns when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
