"""Listening: a uvicorn server with time limits of its own that stops once all is answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from asr.errors import AsrError
from asr.server.config import ServerConfig
from asr.server.service import Service

logger = logging.getLogger("asr.server")

BACKLOG = 512
"""Connections that wait to be taken."""
KEEP_ALIVE_SECONDS = 15
MOST_FLUSH_SECONDS = 5
"""After all is answered, the longest that answers may take to be sent off."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server(uvicorn.Server):
    """A server that, told to stop, answers what it has accepted first.

    Args:
        app: made by `create_app`.
        certificate: a PEM file, and ``key`` another, for https.
    """

    def __init__(
        self, app: FastAPI, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        self.service: Service = app.state.service
        config = self.service.config
        super().__init__(uvicorn.Config(
            app,
            http=_guarded(config),
            ws=_guarded_stream(config),
            lifespan="off",
            backlog=BACKLOG,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(config.trusted_proxy),
            forwarded_allow_ips=config.trusted_proxy or None,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            ws_max_size=config.frame_bytes,
            ws_ping_interval=None,  # who sends nothing is given up; who sends much cannot answer
            ws_per_message_deflate=False,  # a small message may hold a large one
            ssl_certfile=certificate,
            ssl_keyfile=key,
        ))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, drain, then close what is idle."""
        for server in self.servers:
            server.close()
        answered = await self.service.drain(lambda: self.force_exit)
        patience = MOST_FLUSH_SECONDS if answered else 0
        self.config.timeout_graceful_shutdown = patience
        await super().shutdown(sockets)
        self.service.pool.close(patience)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop it, and a second one at once; the process then ends well."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: Any) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds an address; port 0 takes any that is free.

    It refuses connections until :func:`serve` listens: a client that tries to connect, such as a
    readiness probe, is told at once that nobody answers yet.

    Raises:
        AsrError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    address = socket.socket(family)
    try:
        address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            address.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        address.bind((host.strip("[]"), port))
    except (OSError, OverflowError) as error:
        address.close()
        raise _unavailable(host, port, error) from error
    return address


def _unavailable(host: str, port: int, error: Exception) -> AsrError:
    reason = getattr(error, "strerror", None) or str(error)
    return AsrError(f"cannot listen on {host}, port {port}: {reason}; choose others with --host"
                    " and --port")


def serve(server: Server, address: socket.socket, started: Callable[[str], None]) -> None:
    """Listen, and serve until a signal comes.

    Args:
        server: made for the application.
        address: from `reserve`.
        started: told the address once clients may connect.

    Raises:
        AsrError: another process listens there since.
    """
    host, port = address.getsockname()[:2]
    try:
        address.listen(BACKLOG)
    except OSError as error:
        raise _unavailable(host, port, error) from error
    scheme = "https" if server.config.ssl_certfile else "http"
    started(f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}")
    server.run(sockets=[address])


def _guarded(config: ServerConfig) -> type[H11Protocol]:
    """HTTP that gives up connections whose header does not come, or that are too many."""

    class GuardedProtocol(H11Protocol):
        _header_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if len(self.connections) > config.connections:
                transport.abort()
            else:
                self._expect_header()

        def data_received(self, data: bytes) -> None:
            if self._header_timer is None and self.cycle.response_complete:
                self._expect_header()
            super().data_received(data)
            if self._header_timer is not None and self.cycle is not self._last_cycle:
                self._header_timer.cancel()
                self._header_timer = None

        def connection_lost(self, exc: Exception | None) -> None:
            if self._header_timer is not None:
                self._header_timer.cancel()
            super().connection_lost(exc)

        def timeout_keep_alive_handler(self) -> None:
            super().timeout_keep_alive_handler()
            self.loop.call_later(config.idle_seconds, self.transport.abort)

        def handle_websocket_upgrade(self, event: Any) -> None:
            if self._header_timer is not None:
                self._header_timer.cancel()
            super().handle_websocket_upgrade(event)

        def _expect_header(self) -> None:
            """From the first byte on, however slowly more of them come."""
            self._last_cycle = self.cycle
            self._header_timer = self.loop.call_later(config.header_seconds, self.transport.abort)

    return GuardedProtocol


def _guarded_stream(config: ServerConfig) -> type[WebSocketsSansIOProtocol]:
    """WebSockets whose end does not wait for a client that takes nothing any more."""

    class GuardedStream(WebSocketsSansIOProtocol):
        async def run_asgi(self) -> None:
            try:
                await super().run_asgi()
            finally:
                self.loop.call_later(config.idle_seconds, self.transport.abort)

    return GuardedStream
