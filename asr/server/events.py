"""A transcription that is told while it is made: server-sent events."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from fastapi import Response

from asr.server.body import ClientGone
from asr.server.errors import ApiError
from asr.server.openai_forms import delta_event, done_event, error_event
from asr.server.uploads import Upload

EVENT_TYPE = "text/event-stream; charset=utf-8"


class EventResponse(Response):
    """Segments of an upload as OpenAI's events.

    Args:
        upload: which has begun.
        stack: what to close in the end.
        idle_seconds: how long the client may not take what it is sent.
    """

    def __init__(self, upload: Upload, stack: AsyncExitStack, idle_seconds: float) -> None:
        super().__init__(media_type=EVENT_TYPE, headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._upload = upload
        self._stack = stack
        self._idle = idle_seconds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send events until the sound ends, the client is gone, or something fails."""
        async def say(text: str, more: bool = True) -> None:
            message = {"type": "http.response.body", "body": text.encode(), "more_body": more}
            await asyncio.wait_for(send(message), self._idle)

        async with self._stack:
            await send({"type": "http.response.start", "status": self.status_code,
                        "headers": self.raw_headers})
            try:
                first = True
                async for segment in self._upload.segments():
                    if segment.text:
                        await say(delta_event(segment, first))
                        first = False
                await say(done_event(self._upload.result), more=False)
            except ApiError as error:
                await say(error_event(error.as_dict()), more=False)
            except (ClientGone, TimeoutError):
                return
