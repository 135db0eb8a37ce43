"""Bodies of requests, read within limits of size and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import HTTPException
from starlette.datastructures import FormData

from asr.server.config import MEGABYTE, ServerConfig
from asr.server.errors import ApiError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

MOST_FIELDS = 2000
MOST_FIELD_BYTES = 100_000
OVERHEAD_BYTES = MOST_FIELD_BYTES
"""What a form may hold beside its file."""
LINGER_SECONDS = 5.0
"""A refused body is read on for so long: a client that only writes would not see the answer."""


class ClientGone(Exception):
    """The client closed the connection before its answer."""


class BoundedBody:
    """The ``receive`` of an ASGI request, which raises where a body is too large or too slow.

    Args:
        receive: the server's.
        most_bytes: the largest body.
        config: the times.
    """

    def __init__(self, receive: Receive, most_bytes: int, config: ServerConfig) -> None:
        self._receive = receive
        self._most = most_bytes
        self._idle = config.idle_seconds
        self._seconds = config.upload_seconds
        self._deadline = time.monotonic() + config.upload_seconds
        self._bytes = 0
        self.ended = False
        self._given_up = False

    async def __call__(self) -> Message:
        """The next message.

        Raises:
            ApiError: 413 or 408.
            ClientGone: the client went away.
        """
        left = self._deadline - time.monotonic()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, min(self._idle, left)))
        except TimeoutError:
            self._given_up = True
            raise ApiError(
                408,
                f"the body did not arrive: {self._idle:g} s without a byte, or more than"
                f" {self._seconds:g} s in all",
                code="timeout",
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._bytes += len(message.get("body", b""))
        self.ended = not message.get("more_body", False)
        if self._bytes > self._most:
            raise too_large(self._most)
        return message

    async def discard(self) -> None:
        """Read on and forget, for a while, so that the client comes to read its answer."""
        if self._given_up:
            return
        end = time.monotonic() + LINGER_SECONDS
        while not self.ended and (left := end - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(self._receive(), left)
            except TimeoutError:
                return
            self.ended = message["type"] == "http.disconnect" or not message.get("more_body", False)


def too_large(most_bytes: int) -> ApiError:
    """The answer to a body that is too large."""
    return ApiError(413, f"the body is larger than {most_bytes / MEGABYTE:g} MB, the most that is"
                    " taken", code="too_large")


async def read_form(request: Request, body: BoundedBody, most_bytes: int) -> FormData:
    """A multipart form, its file in a temporary file that closing the form removes.

    Args:
        request: with its header.
        body: where the rest comes from.
        most_bytes: the largest body, which a header may say to be larger.

    Raises:
        ApiError: it is too large, too slow, or no such form.
        ClientGone: the client went away.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(400, "the body must be multipart/form-data with a part named file",
                       param="file")
    check_length(request, most_bytes)
    try:
        return await Request(request.scope, body).form(
            max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD_BYTES
        )
    except HTTPException as error:
        raise ApiError(400, f"the form cannot be read: {error.detail}") from error
    except (ValueError, KeyError, UnicodeError) as error:
        raise ApiError(400, "the form cannot be read: it is not multipart/form-data") from error


def check_length(request: Request, most_bytes: int) -> None:
    """Refuse a body that its header says to be too large.

    Raises:
        ApiError: 413.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most_bytes:
        raise too_large(most_bytes)
