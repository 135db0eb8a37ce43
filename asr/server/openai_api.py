"""OpenAI's transcription API: `POST /v1/audio/transcriptions`."""

from __future__ import annotations

from contextlib import AsyncExitStack

from fastapi import Request, Response

from asr.server.body import OVERHEAD_BYTES, BoundedBody, read_form
from asr.server.errors import ApiError
from asr.server.events import EventResponse
from asr.server.openai_forms import render
from asr.server.openai_request import parse_form
from asr.server.service import Service
from asr.server.uploads import Upload


async def transcribe(service: Service, request: Request) -> Response:
    """Answer `POST /v1/audio/transcriptions`.

    A place in the queue is taken before the body is read, so that what lies on disk is bounded.

    Raises:
        ApiError: it cannot be answered otherwise.
        ClientGone: nobody waits for the answer any more.
    """
    most = service.config.upload_bytes + OVERHEAD_BYTES
    body = BoundedBody(request.receive, most, service.config)
    try:
        return await _answer(service, request, body, most)
    except ApiError:
        await body.discard()
        raise


async def _answer(
    service: Service, request: Request, body: BoundedBody, most_bytes: int
) -> Response:
    async with AsyncExitStack() as stack:
        stack.enter_context(service.accepted())
        stack.enter_context(service.limits.request(request.state.client))
        stack.enter_context(service.pool.place())
        form = await read_form(request, body, most_bytes)
        stack.push_async_callback(form.close)
        asked = parse_form(form, service.config)
        upload = Upload(service, asked, request.receive)
        stack.push_async_callback(upload.close)
        await upload.begin()
        if asked.stream:
            return EventResponse(upload, stack.pop_all(), service.config.idle_seconds)
        async for _ in upload.segments():
            pass
    content, media_type = render(upload.result, asked.response_format, asked.granularities)
    return Response(content, media_type=media_type)
