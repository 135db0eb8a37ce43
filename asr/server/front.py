"""What every request passes first: names, origins, keys, rates; and how answers are counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi.datastructures import Headers
from fastapi.responses import JSONResponse, Response

from asr.server.body import BoundedBody
from asr.server.errors import ApiError
from asr.server.service import Service

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

OPEN_TO_ALL = "/healthz"
"""Neither a key nor a name is needed: what looks after the process may know neither."""
PAGE_PATHS = ("/", "/page/")
SECURITY_HEADERS = [
    (b"content-security-policy",
     b"default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; media-src blob:;"
     b" object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"microphone=(self), camera=(), geolocation=()"),
]


class Front:
    """ASGI middleware before the routes.

    Args:
        app: the rest of the application.
        service: whose gate and limits are asked.
    """

    def __init__(self, app: Any, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with what is wrong."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send, self._service)
        try:
            self._check(scope)
            if scope["type"] == "http" and scope["method"] == "OPTIONS":
                await Response(status_code=204)(scope, receive, answer.send)
            else:
                await self._app(scope, receive, answer.send)
        except ApiError as error:
            if scope["type"] == "http":
                await BoundedBody(receive, 0, self._service.config).discard()
            response = JSONResponse(error.as_dict(), error.status, error.headers)
            await response(scope, receive, answer.send)
        except asyncio.CancelledError:
            if not self._service.stopping.is_set() or answer.begun:
                raise
            if scope["type"] == "http":  # there was no time left to finish it
                late = ApiError(503, "the service has stopped", code="stopping", retry_after=5)
                response = JSONResponse(late.as_dict(), late.status, late.headers)
                await response(scope, receive, answer.send)
        finally:
            answer.count()

    def _check(self, scope: Any) -> None:
        gate, limits = self._service.gate, self._service.limits
        path, live = scope["path"], scope["type"] == "websocket"
        if path == OPEN_TO_ALL:
            return
        headers = Headers(scope=scope)
        gate.check_host(headers)
        if not live and scope["method"] in ("GET", "HEAD") and _of_page(path):
            return
        gate.check_origin(headers)
        if not live and scope["method"] == "OPTIONS":
            return  # a browser asks whether a page may ask; it sends no key yet
        address = scope["client"][0] if scope.get("client") else ""
        client = gate.client(headers, address, scope.get("subprotocols", ()))
        scope.setdefault("state", {})["client"] = client
        limits.check_rate(client)


class _Answer:
    """Sends an answer on, with our headers, and remembers how it began."""

    def __init__(self, scope: Any, send: Send, service: Service) -> None:
        self._scope = scope
        self._send = send
        self._metrics = service.metrics
        self._stopping = service.stopping
        self._gate = service.gate
        self._began = time.perf_counter()
        self._status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self._status = message["status"]
            message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS]
            message["headers"] += self._gate.headers_for(Headers(scope=self._scope))
            if self._stopping.is_set():
                message["headers"].append((b"connection", b"close"))
        await self._send(message)

    @property
    def begun(self) -> bool:
        """Whether its header has been sent."""
        return self._status is not None

    def count(self) -> None:
        """Count the answer, under its route: paths that anybody may make up are no labels."""
        if self._status is None:
            return
        route = getattr(self._scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, str(self._status)).inc()
        self._metrics.request_seconds.labels(route).observe(time.perf_counter() - self._began)
        if self._status in (401, 403, 408, 413, 421, 429, 503):
            self._metrics.refused.labels(str(self._status)).inc()


def _of_page(path: str) -> bool:
    return path == PAGE_PATHS[0] or path.startswith(PAGE_PATHS[1])
