"""The web page at `/`: files of ours, and nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI, Response

FOLDER = Path(__file__).parent / "page"
FILES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "search.js": "text/javascript; charset=utf-8",
    "sound.js": "text/javascript; charset=utf-8",
    "texts.js": "text/javascript; charset=utf-8",
    "view.js": "text/javascript; charset=utf-8",
    "worklet.js": "text/javascript; charset=utf-8",
}
"""All that is served; read when the service starts."""


def add_routes(app: FastAPI) -> None:
    """Serve the page."""
    contents = {name: (FOLDER / name).read_bytes() for name in FILES}

    def answer(name: str) -> Response:
        return Response(contents[name], media_type=FILES[name],
                        headers={"Cache-Control": "no-cache"})

    @app.get("/", response_model=None)
    async def index() -> Response:
        return answer("index.html")

    @app.get("/page/{name}", response_model=None)
    async def asset(name: str) -> Response:
        return answer(name) if name in FILES else Response(status_code=404)
