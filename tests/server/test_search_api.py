"""`/search`: a catalogue by text and by voice, its limits, and the page's box."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any

import pytest
from serving import ObedientModel, Running, form, until

from asr import Model
from asr.data_files import shipped
from asr.search import Catalog, Entry, Index, SearchResult, VoiceSearch, search
from asr.server.config import ServerConfig

SAMPLE = shipped("samples") / "synthetic-espeak-1.flac"
NAMES = ("서울역", "서울숲", "청량리역", "안녕하세요", "안녕히 가세요")


@pytest.fixture(scope="module")
def index() -> Index:
    return Index.build(Catalog([Entry(name) for name in NAMES]))


@pytest.fixture(scope="module")
def service(model: Model, index: Index) -> Iterator[Running]:
    service = Running(model, ServerConfig(), index=index)
    yield service
    service.stop()


def asked(service: Running, **query: str) -> SearchResult:
    answer = service.get(f"/search?{urllib.parse.urlencode(query)}")
    return SearchResult.from_dict(json.loads(answer))


def refused(service: Running, **query: str) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as error:
        service.get(f"/search?{urllib.parse.urlencode(query)}")
    return error.value.code, json.loads(error.value.read())["error"]["message"]


def by_voice(service: Running, sound: bytes, **fields: str) -> tuple[int, dict[str, Any]]:
    body, content_type = form(sound, fields)
    connection = HTTPConnection(service.host, service.port, timeout=60)
    connection.request("POST", "/search", body, {"Content-Type": content_type})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_by_text(service: Running, index: Index) -> None:
    found = asked(service, q="서울력 근처 맛집 찾아줘", top="2")
    assert found.hits[0].name == "서울역" and len(found.hits) <= 2
    wanted = search(index, "서울력 근처 맛집 찾아줘").hits[:2]
    assert [(hit.name, hit.intent) for hit in found.hits] == [(h.name, h.intent) for h in wanted]
    assert found.hits[0].score == pytest.approx(wanted[0].score, abs=1e-3)


def test_by_voice(service: Running, model: Model, index: Index) -> None:
    status, answer = by_voice(service, SAMPLE.read_bytes())
    assert status == 200
    found = SearchResult.from_dict(answer)
    wanted = VoiceSearch(model, index).search(SAMPLE)
    assert [hit.name for hit in found.hits] == [hit.name for hit in wanted.hits]
    assert found.hits[0].name == "안녕하세요" and found.hits[0].start is not None


def test_what_makes_no_sense_is_refused(service: Running) -> None:
    for query in ({}, {"q": "  "}, {"q": "가" * 501}):
        assert refused(service, **query)[0] == 400
    code, message = refused(service, q="가" * 450)
    assert code == 400 and "more than 400 syllables" in message
    for top in ("0", "101", "many", "1" * 5000):
        code, message = refused(service, q="서울역", top=top)
        assert code == 400 and "1 to 100" in message
    assert by_voice(service, b"no sound")[0] == 400
    assert by_voice(service, SAMPLE.read_bytes(), top="0")[0] == 400
    assert service.service.active == 0 and service.service.pool.admitted == 0


def test_a_search_counts_as_one_of_a_clients_requests(index: Index) -> None:
    model = ObedientModel()
    service = Running(model, ServerConfig(client_requests=1), index=index)
    try:
        model.gate.clear()
        with ThreadPoolExecutor(1) as pool:
            upload = pool.submit(service.post, SAMPLE.read_bytes())
            until(lambda: model.entered)
            assert refused(service, q="서울역")[0] == 429
            model.gate.set()
            assert upload.result()[0] == 200
        assert asked(service, q="서울역").hits[0].name == "서울역"
    finally:
        model.gate.set()
        service.stop()


def test_without_a_catalogue(model: Model) -> None:
    service = Running(model, ServerConfig())
    try:
        assert refused(service, q="서울역")[0] == 404
        assert by_voice(service, SAMPLE.read_bytes())[0] == 404
        assert json.loads(service.get("/healthz"))["catalog"] is False
    finally:
        service.stop()


def test_the_pages_box(service: Running) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    from test_page import FLAGS, chromium_path

    with playwright.sync_playwright() as tools:
        try:
            browser = tools.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        except playwright.Error as error:
            pytest.skip(f"no Chromium that starts: {str(error).splitlines()[0]}")
        page = browser.new_page(locale="ko-KR")
        page.goto(service.url)
        page.get_by_role("searchbox", name="찾을 말").fill("청량리역 가는 길")
        page.get_by_role("button", name="찾기").click()
        playwright.expect(page.locator("#hits li").first).to_contain_text("청량리역")
        playwright.expect(page.locator("#hits li").first).to_contain_text("가는 길")
        browser.close()
