"""Live recognition over a WebSocket, for clients that were written for vosk-server."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import WebSocket
from fastapi.websockets import WebSocketDisconnect

from asr.errors import AsrError
from asr.result import Segment
from asr.server.live import Heard, PcmStream
from asr.server.security import PROTOCOL
from asr.server.service import Service
from asr.server.vosk_messages import (
    StreamConfig,
    error_message,
    grammar_text,
    parse_command,
    partial_message,
    result_message,
)

if TYPE_CHECKING:
    from asr.recognizer import Model

logger = logging.getLogger("asr.server")

T = TypeVar("T")

STEP_SECONDS = 1.0
"""Sound that a worker is given at once: a message may hold minutes of it."""
SAMPLE_BYTES = 2
MOST_LATE = 100
"""Messages that had come when the service was told to stop, and are answered still."""


class Ending(Enum):
    """Why a stream ends; values are WebSocket close codes."""

    DONE = 1000
    STOPPING = 1012
    IDLE = 4408
    TOO_LONG = 4413
    WRONG = 1008
    FAILED = 1011
    GONE = 1006


async def recognise_live(service: Service, websocket: WebSocket) -> None:
    """Serve one stream from its handshake to its end.

    Raises:
        ApiError: it is refused, before the handshake.
    """
    with service.accepted(), service.live_stream(websocket.state.client):
        offered = websocket.scope.get("subprotocols", [])
        await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        ending = await LiveSession(service, websocket).run()
        service.metrics.streams_ended.labels(ending.name.lower()).inc()


class LiveSession:
    """One WebSocket: messages are taken one at a time, and each is answered before the next.

    So a client that sends faster than is recognised is held back by TCP, and one stream never has
    more than one step among the workers.
    """

    def __init__(self, service: Service, websocket: WebSocket) -> None:
        self._service = service
        self._websocket = websocket
        self._config = StreamConfig(service.model.sample_rate)
        self._recognizer: PcmStream | None = None
        self._stopping = asyncio.ensure_future(service.stopping.wait())
        self._late = 0
        self._heard_seconds = 0.0

    async def run(self) -> Ending:
        """Serve until it ends, one way or another; then close the connection."""
        try:
            ending, said = await self._serve()
        except (WebSocketDisconnect, OSError, TimeoutError):
            ending, said = Ending.GONE, ""
        except Exception:  # a fault of ours ends one stream, never the service
            logger.exception("a live stream failed")
            ending, said = Ending.FAILED, "internal error"
        finally:
            self._stopping.cancel()
        self._count_sound()
        if ending is not Ending.GONE:
            try:
                if said:
                    await self._send(error_message(said))
                await self._within(self._websocket.close(ending.value, said[:100]))
            except (WebSocketDisconnect, OSError, TimeoutError, RuntimeError):
                pass  # it went away in the meantime
        return ending

    async def _serve(self) -> tuple[Ending, str]:
        while True:
            message = await self._receive()
            if isinstance(message, Ending):
                await self._finish()
                return message, ""
            try:
                if await self._handle(message):
                    return Ending.DONE, ""
            except AsrError as error:
                return Ending.WRONG, str(error)
            if self._heard_seconds + self._seconds > self._service.config.stream_seconds:
                await self._finish()
                return Ending.TOO_LONG, ""

    async def _receive(self) -> str | bytes | Ending:
        """The next message, or why none is waited for any longer."""
        receiving = asyncio.ensure_future(self._websocket.receive())
        try:
            await asyncio.wait(
                {receiving, self._stopping},
                timeout=self._service.config.idle_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            if not receiving.done():
                receiving.cancel()
        late = self._stopping.done()
        if late and (not receiving.done() or self._late >= MOST_LATE):
            return Ending.STOPPING
        if not receiving.done():
            return Ending.IDLE
        self._late += late
        message = receiving.result()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text: str | None = message.get("text")
        return message["bytes"] if text is None else text

    async def _handle(self, message: str | bytes) -> bool:
        """Answer a message; True where it was the last."""
        began = time.perf_counter()
        if isinstance(message, bytes):
            await self._tell(await self._hear(message))
        else:
            command = parse_command(message, self._config, self._service.config.phrases)
            if command.config is not None:
                if self._recognizer is None:  # later ones change nothing, as in vosk-server
                    self._config = command.config
                return False
            await self._finish()
            if command.name == "eof":
                return True
        self._service.metrics.step_seconds.observe(time.perf_counter() - began)
        return False

    async def _hear(self, message: bytes) -> Heard:
        """Recognise sound in pieces, between which other streams have their turn."""
        final: tuple[Segment, ...] = ()
        partial = ""
        size = max(1, round(STEP_SECONDS * self._config.sample_rate)) * SAMPLE_BYTES
        for begin in range(0, max(1, len(message)), size):
            heard = await self._step(self._accept, message[begin : begin + size])
            final, partial = final + heard.final, heard.partial
        return Heard(final, partial)

    async def _tell(self, heard: Heard) -> None:
        if heard.final:
            await self._send(result_message(heard.final, self._config))
        else:
            await self._send(partial_message(heard.partial))

    async def _finish(self) -> None:
        """Recognise what is left and send the result, which may be empty; then begin anew."""
        heard = Heard(())
        if self._recognizer is not None:
            heard = await self._step(self._recognizer.finish)
            self._count_sound()
            self._heard_seconds += self._seconds  # times go on, as in Vosk
            self._recognizer = None
        await self._send(result_message(heard.final, self._config))

    async def _step(self, step: Callable[..., T], *arguments: bytes) -> T:
        return await self._service.pool.run_live(lambda: step(*arguments))

    def _accept(self, pcm: bytes) -> Heard:
        """On a worker: the recogniser is begun with the first sound."""
        if self._recognizer is None:
            config, told = self._config, self._service.config
            free = not config.phrases  # phrases come out as their list writes them
            self._recognizer = PcmStream(
                _adapted(self._service.model, config),
                config.sample_rate,
                config.alternatives,
                self._heard_seconds,
                written=told.written and free,
                punctuation=told.punctuation and free,
            )
        return self._recognizer.accept(pcm)

    @property
    def _seconds(self) -> float:
        return 0.0 if self._recognizer is None else self._recognizer.seconds

    def _count_sound(self) -> None:
        self._service.metrics.sound_seconds.labels("live").inc(self._seconds)

    async def _send(self, text: str) -> None:
        await self._within(self._websocket.send_text(text))

    async def _within(self, sending: Any) -> None:
        """A client that takes nothing for a while is given up."""
        await asyncio.wait_for(sending, self._service.config.idle_seconds)


def _adapted(model: Model, config: StreamConfig) -> Model:
    """The model for the phrases of a client.

    Raises:
        AsrError: a phrase that cannot be read aloud.
    """
    if not config.phrases:
        return model
    from asr.graph.grammar import parse_grammar

    return model.with_grammar(parse_grammar(grammar_text(config.phrases), source="phrase_list"))
