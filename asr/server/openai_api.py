"""OpenAI's transcription API: `POST /v1/audio/transcriptions`."""

from __future__ import annotations

from fastapi import Request, Response

from asr.server.events import EventResponse
from asr.server.openai_forms import render
from asr.server.openai_request import parse_form
from asr.server.service import Service
from asr.server.uploads import Upload, received_form


async def transcribe(service: Service, request: Request) -> Response:
    """Answer `POST /v1/audio/transcriptions`.

    Raises:
        ApiError: it cannot be answered otherwise.
        ClientGone: nobody waits for the answer any more.
    """
    async with received_form(service, request) as (form, stack):
        asked = parse_form(form, service.config)
        upload = Upload(service, asked.file, request.receive, words=asked.words)
        stack.push_async_callback(upload.close)
        await upload.begin()
        if asked.stream:
            return EventResponse(upload, stack.pop_all(), service.config.idle_seconds)
        async for _ in upload.segments():
            pass
    content, media_type = render(upload.result, asked.response_format, asked.granularities)
    return Response(content, media_type=media_type)
