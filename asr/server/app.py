"""The application: routes, and what every request passes before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.exceptions import HTTPException
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig

from asr import __version__
from asr.server import metrics, openai_api, page, search_api, subtitles, vosk_api
from asr.server.body import ClientGone
from asr.server.config import ServerConfig
from asr.server.errors import ApiError
from asr.server.front import Front
from asr.server.service import Service

if TYPE_CHECKING:
    from asr.recognizer import Model
    from asr.search import Index

_NO_TELEMETRY: TelemetryConfig = {
    "tracing": False, "metrics": False, "logs": False, "auto_configure": False,
}
"""What is counted is told to those who ask `/metrics`, and to nobody else."""
_GONE = 499
"""nginx's number for a client that left; nobody reads it but the metrics."""


def create_app(
    model: Model,
    config: ServerConfig | None = None,
    *,
    local: bool = True,
    index: Index | None = None,
) -> FastAPI:
    """The application that serves a model.

    Args:
        model: shared by all requests.
        config: the limits.
        local: it listens on a loopback address, and answers to such names only.
        index: of the catalogue that `/search` searches.

    Returns:
        An ASGI application; ``state.service`` is its :class:`~asr.server.service.Service`.
    """
    service = Service(model, config or ServerConfig(), local=local, index=index)
    app = FastAPI(title="Malsori", version=__version__, openapi_url=None, telemetry=_NO_TELEMETRY)
    app.state.service = service
    app.add_middleware(Front, service=service)
    app.add_exception_handler(ApiError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(404, _answer_http_error)
    app.add_exception_handler(405, _answer_http_error)
    app.add_exception_handler(ClientGone, _answer_nobody)
    _add_routes(app, service)
    page.add_routes(app)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post("/v1/audio/transcriptions", response_model=None)
    async def transcriptions(request: Request) -> Response:
        return await openai_api.transcribe(service, request)

    @app.post("/v1/subtitles", response_model=None)
    async def subtitle_file(request: Request) -> Response:
        return await subtitles.convert(service, request)

    @app.get("/search", response_model=None)
    async def search_by_text(request: Request) -> Response:
        return await search_api.by_text(service, request)

    @app.post("/search", response_model=None)
    async def search_by_voice(request: Request) -> Response:
        return await search_api.by_voice(service, request)

    @app.get("/v1/models")
    async def models() -> dict[str, object]:
        model = {"id": service.model.name, "object": "model", "created": 0, "owned_by": "malsori"}
        return {"object": "list", "data": [model]}

    @app.websocket("/")
    async def live(websocket: WebSocket) -> None:
        try:
            await vosk_api.recognise_live(service, websocket)
        except ApiError as error:
            response = JSONResponse(error.as_dict(), error.status, error.headers)
            await websocket.send_denial_response(response)

    @app.get("/healthz", response_model=None)
    async def health() -> Response:
        stopping = service.stopping.is_set()
        form = {
            "status": "stopping" if stopping else "ok",
            "model": service.model.name,
            "language": service.model.language,
            "sample_rate": service.model.sample_rate,
            "version": __version__,
            "keys": bool(service.config.api_keys),
            "catalog": service.catalogue is not None,
        }
        return JSONResponse(form, 503 if stopping else 200)

    @app.get("/metrics", response_model=None)
    async def prometheus() -> Response:
        return Response(service.metrics.text(), media_type=metrics.CONTENT_TYPE)


async def _answer_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.as_dict(), error.status, error.headers)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 500)
    message = f"{request.method} {request.url.path}: {getattr(error, 'detail', 'failed')}"
    return await _answer_error(request, ApiError(status, message))


async def _answer_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=_GONE)
