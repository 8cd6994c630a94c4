"""The description of the API: what it says is what the server does."""

from __future__ import annotations

from dataclasses import fields
from html.parser import HTMLParser
from typing import Any

import httpx
import jsonschema
import pytest
from server.conftest import DOCUMENTS

from s3_retriever import Document, Span, SpanConfig
from s3_retriever.documents import Copy
from s3_retriever.search.answer import SearchOptions


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))


def test_answers_have_the_shape_that_is_described(url: str) -> None:
    with httpx.Client(base_url=url) as http:
        described = http.get("/openapi.json").json()
        new = {"documents": [{"id": "pier", "text": "Cats sleep.", "metadata": {"n": 1}}]}
        calls: list[tuple[str, str, dict[str, Any]]] = [
            ("post", "/search", {"json": {"question": "oil", "explain": True, "titles": True}}),
            ("post", "/search", {"json": {"questions": ["oil", "bread"], "where": {"year": [1931]}}}),
            ("get", "/search", {"params": {"q": "oil", "where": '{"year": 1931}', "mode": "bm25"}}),
            ("post", "/documents", {"json": new}),
            ("put", "/documents", {"json": new}),
            ("get", "/documents", {"params": {"limit": "1"}}),
            ("get", "/document", {"params": {"id": "bakery", "end": "5"}}),
            ("post", "/document", {"json": {"id": DOCUMENTS[0].id, "start": 3}}),
            ("delete", "/documents", {"params": {"id": "pier"}}),
            ("post", "/profile", {"json": {"question": "oil", "doc_id": DOCUMENTS[0].id}}),
            ("get", "/ids", {}),
            ("get", "/healthz", {}),
            ("get", "/readyz", {}),
        ]
        for method, path, how in calls:
            answer = http.request(method, path, **how)
            operation = described["paths"][path][method]
            (status,) = (one for one in operation["responses"] if one != "default")
            assert answer.status_code == int(status), answer.text
            schema = operation["responses"][status]["content"]["application/json"]["schema"]
            whole = {**schema, "components": described["components"]}
            jsonschema.validate(answer.json(), whole, cls=jsonschema.Draft202012Validator)
            if "json" in how:
                body = operation["requestBody"]["content"]["application/json"]["schema"]
                jsonschema.validate(how["json"], {**body, "components": described["components"]})
            given = set(how.get("params", {}))
            assert given <= {one["name"] for one in operation.get("parameters", ())}
        undescribed = {"/docs", "/openapi.json", "/mcp"}
        for path in described["paths"]:
            assert http.patch(path).status_code == 405, path
        assert not undescribed & set(described["paths"])
        wrong = http.post("/search", json={"question": ""}).json()
        error = {"$ref": "#/components/schemas/Error", "components": described["components"]}
        jsonschema.validate(wrong, error)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({}, error)


def test_all_that_a_search_takes_and_a_span_has_is_described(url: str) -> None:
    described = httpx.get(f"{url}/openapi.json").json()
    schemas = described["components"]["schemas"]
    options = {one.name for one in fields(SearchOptions)} | {"filter", "titles"}
    assert set(schemas["Search"]["properties"]) == options | {"question", "questions"}
    link = {one["name"] for one in described["paths"]["/search"]["get"]["parameters"]}
    assert link == options | {"q"}
    assert set(schemas["Search"]["properties"]["spans"]["properties"]) == {
        one.name for one in fields(SpanConfig)
    }
    assert set(schemas["Span"]["properties"]) == {one.name for one in fields(Span)} | {"id", "title"}
    assert set(schemas["Span"]["properties"]["also_in"]["items"]["properties"]) == {
        one.name for one in fields(Copy)
    }
    assert set(schemas["Document"]["properties"]) == {one.name for one in fields(Document)}
    unknown = httpx.post(f"{url}/search", json={"k": 1}).json()["error"]["message"]
    assert set(unknown.partition("takes ")[2].split(", ")) == options | {"question", "questions"}


def test_the_page_for_people_needs_nothing_from_elsewhere(url: str) -> None:
    answer = httpx.get(f"{url}/docs")
    assert answer.headers["content-type"].startswith("text/html")
    tags = Tags()
    tags.feed(answer.text)
    assert {tag for tag, _ in tags.seen} <= {
        "html", "meta", "title", "h1", "h2", "h3", "p", "a", "code", "pre",
    }  # fmt: skip
    assert [attributes["href"] for tag, attributes in tags.seen if tag == "a"] == ["openapi.json"]
    assert "POST /search" in answer.text
    assert "&quot;token_budget&quot;" in answer.text


def test_counts_and_times_are_told(url: str) -> None:
    with httpx.Client(base_url=url) as http:
        http.post("/search", json={"questions": ["oil", "bread"]})
        http.post("/search", json={"question": ""})
        http.get("/nothing/<b>")
        lines = dict(line.rsplit(" ", 1) for line in http.get("/metrics").text.splitlines() if line[0] != "#")
    assert lines["s3_retriever_questions_total"] == "2.0"
    assert lines['s3_retriever_requests_total{method="POST",route="/search",status="200"}'] == "1.0"
    assert lines['s3_retriever_requests_total{method="POST",route="/search",status="422"}'] == "1.0"
    assert lines['s3_retriever_requests_total{method="GET",route="other",status="404"}'] == "1.0"
    assert lines["s3_retriever_documents"] == str(float(len(DOCUMENTS)))
    assert lines["s3_retriever_waiting_questions"] == "0.0"
    assert float(lines["s3_retriever_search_seconds_sum"]) > 0
