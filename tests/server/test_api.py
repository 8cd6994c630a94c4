"""The API over a real socket: what it answers, and what its client makes of that."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from server.conftest import CONFIG, DOCUMENTS, running, wait_for

from s3_retriever import AllOf, Client, Compare, Document, Host, Not, S3Retriever, SpanConfig, errors

QUESTIONS = ["Where does the keeper store the oil?", "When is bread baked?", "red \ud83d?"]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"token_budget": 40, "top_k": 2, "unit_scores": True},
    {"explain": True, "spans": SpanConfig(context=4, bias_tokens=8)},
    {"mode": "bm25", "where": {"year": [1931, 2024]}},
    {"mode": "s3", "scoring": "paper", "explain": True},
    {"where": AllOf([Compare("tags", "any", ["sea"]), Not(Compare("year", "gt", 2000))])},
    {"where": {"year": "never"}},
]


@pytest.mark.long
async def test_a_client_gives_the_spans_of_the_retriever(
    saved: Path, client: Client, tiny_host: Host
) -> None:
    local = S3Retriever.load(saved, host=tiny_host)
    for options in OPTIONS:
        expected = local.retrieve_batch(QUESTIONS, **options)
        assert client.retrieve_batch(QUESTIONS, **options) == expected
        assert client.retrieve(QUESTIONS[0], **options) == expected[0]
        assert await client.aretrieve_batch(QUESTIONS, **options) == expected
        assert await client.aretrieve(QUESTIONS[1], **options) == expected[1]
    await client.aclose()
    assert client.document_ids == local.document_ids
    assert len(client) == len(local)
    assert [client.document(one.id) for one in DOCUMENTS] == [local.document(one.id) for one in DOCUMENTS]
    assert client.retrieve_batch([]) == []


def test_spans_say_where_they_are(url: str) -> None:
    asked = {"question": "Where is the oil?", "token_budget": 1024, "explain": True, "titles": True}
    found = httpx.post(f"{url}/search", json=asked).json()
    texts = {one.id: one.text for one in DOCUMENTS}
    assert found["question"] == asked["question"]
    assert found["spans"]
    for span in found["spans"]:
        assert texts[span["doc_id"]][span["start"] : span["end"]] == span["text"]
        assert span["id"] == f"{span['doc_id']}:{span['start']}-{span['end']}"
        assert span["explanation"]["s3"] + span["explanation"]["bm25"] == pytest.approx(1)
    assert {span["title"] for span in found["spans"] if span["doc_id"] == "town/harbour.txt"} == {
        "The harbour"
    }
    link = {"q": "Where is the oil?", "token_budget": "1024", "explain": "true", "titles": "true"}
    assert httpx.get(f"{url}/search", params=link).json() == found


async def test_a_key_that_no_document_has_is_said_in_the_answer(url: str, client: Client) -> None:
    said = "no document has the key 'yaer' in its metadata; the nearest is 'year'"
    for asked, expected in (({"yaer": 1931}, [said]), ({"year": 1931}, []), (None, [])):
        body = {"where": asked, "mode": "bm25"}
        assert httpx.post(f"{url}/search", json={"question": "oil", **body}).json()["warnings"] == expected
        several = httpx.post(f"{url}/search", json={"questions": ["oil", "bread"], **body}).json()
        assert several["warnings"] == expected
    with pytest.warns(errors.UnknownKeyWarning, match=said) as caught:
        assert client.retrieve("oil", mode="bm25", where={"yaer": 1931}) == []
    assert __file__ in {one.filename for one in caught}  # the others are of the server, in this process
    with pytest.warns(errors.UnknownKeyWarning, match=said):
        assert await client.aretrieve("oil", mode="bm25", where={"yaer": 1931}) == []
    await client.aclose()


def test_documents_are_added_replaced_deleted_and_saved(url: str, saved: Path, tiny_host: Host) -> None:
    new = {"id": "a/../b?c#d", "text": "Cats sleep on the pier.", "metadata": {"n": 1}}
    with httpx.Client(base_url=url) as http:
        added = http.post("/documents", json={"documents": [new]})
        assert added.status_code == 201
        assert added.json()["ids"] == [new["id"]]
        twice = http.post("/documents", json={"documents": [new]})
        assert twice.status_code == 409
        assert twice.json()["error"]["type"] == "DuplicateDocumentError"
        found = http.get("/document", params={"id": new["id"], "start": "5", "end": "10"}).json()
        assert found["text"] == "sleep"
        assert (found["start"], found["end"], found["length"]) == (5, 10, 23)
        put = http.put("/documents", json={"documents": [{**new, "text": "Dogs."}], "delete": ["bakery"]})
        assert put.json()["version"] != added.json()["version"]
        assert http.get("/document", params={"id": "bakery"}).status_code == 404
        assert http.delete("/documents", params={"id": new["id"]}).json()["deleted"] == [new["id"]]
        assert http.delete("/documents", params={"id": new["id"]}).status_code == 404
        asked = http.post("/search", json={"question": "bread", "mode": "bm25"})
        assert asked.json()["spans"] == []
    assert S3Retriever.load(saved, host=tiny_host).document_ids == (DOCUMENTS[0].id, DOCUMENTS[2].id)


def test_lists_go_on_where_they_ended(url: str) -> None:
    with httpx.Client(base_url=url) as http:
        first = http.get("/documents", params={"limit": "2"}).json()
        assert [one["id"] for one in first["documents"]] == [DOCUMENTS[0].id, DOCUMENTS[1].id]
        assert first["total"] == 3
        rest = http.get("/documents", params={"after": first["next"]}).json()
        assert [one["id"] for one in rest["documents"]] == [DOCUMENTS[2].id]
        assert rest["next"] is None
        town = http.get("/documents", params={"prefix": "town/"}).json()["documents"]
        assert [(one["id"], one["title"]) for one in town] == [("town/harbour.txt", "The harbour")]


def test_what_somebody_else_saved_is_searched_without_a_restart(
    saved: Path, client: Client, tiny_host: Host, tiny_artifact: Any
) -> None:
    other = S3Retriever.load(saved, host=tiny_host)
    other.update([Document("pier", "Cats sleep on the pier.")], delete=["bakery"])
    other.save(saved)
    wait_for(lambda: "pier" in client)
    assert client.retrieve("cats", mode="bm25") == other.retrieve("cats", mode="bm25")
    client.add(["A text of its own."])
    assert "bakery" not in client
    with pytest.raises(errors.IndexChangedError):
        other.save(saved)
    # Another index in the same place.
    config = replace(CONFIG, spans=SpanConfig(context=3))
    fresh = S3Retriever.from_documents(
        [{"id": "x", "text": "Cats."}], host=tiny_host, artifact=tiny_artifact, config=config
    )
    fresh.save(saved)
    wait_for(lambda: client.document_ids == ("x",))
    assert client.retrieve("cats") == fresh.retrieve("cats")


MISTAKES: list[tuple[Any, int, str]] = [
    ({}, 422, "question"),
    ([], 422, "object"),
    ({"question": " "}, 422, "question"),
    ({"question": 7}, 422, "7"),
    ({"questions": "one"}, 422, "list"),
    ({"questions": []}, 422, "1 to"),
    ({"question": "a", "questions": ["b"]}, 422, "either"),
    ({"question": "a", "token_budget": 0}, 422, "token_budget"),
    ({"question": "a", "token_budget": 10**9}, 422, "token_budget"),
    ({"question": "a", "token_budget": True}, 422, "token_budget"),
    ({"question": "a" * 9000}, 422, "characters"),
    ({"question": "a", "mode": "keywords"}, 422, "keywords"),
    ({"question": "a", "explain": 1}, 422, "explain must be true or false, not 1"),
    ({"question": "a", "titles": None}, 422, "titles must be true or false, not null"),
    ({"question": "a", "mode": True}, 422, "not true"),
    ({"question": "a", "k": 3}, 422, "'k'"),
    ({"question": "a", "where": {}}, 422, "empty"),
    ({"question": "a", "where": "x"}, 422, "where"),
    ({"question": "a", "filter": {"key": "a"}}, 422, "filter"),
    ({"question": "a", "filter": {"key": "a", "op": "near", "value": 1}}, 422, "near"),
    ({"question": "a", "filter": {"not": None}}, 422, "filter"),
    ({"question": "a", "spans": {"context": -1}}, 422, "context"),
    ({"question": "a", "spans": [1]}, 422, "spans"),
    ({"question": "a", "spans": {"contxt": 1}}, 422, "contxt"),
    ({"question": "a", "top_k": 0}, 422, "top_k must be a whole number, 1 or more, or null, not 0"),
]


def _nested(filters: Any) -> str:
    text = ""
    while "not" in filters:
        text, filters = text + '{"not": ', filters["not"]
    return text + json.dumps(filters) + "}" * text.count("{")


def test_mistakes_are_one_error_in_json(url: str) -> None:
    with httpx.Client(base_url=url) as http:
        for body, status, part in MISTAKES:
            answer = http.post("/search", json=body)
            assert (answer.status_code, part in answer.json()["error"]["message"]) == (status, True), body
        for content, kind, status in (
            (b"{", "application/json", 400),
            (b"[" * 100_000, "application/json", 400),
            (b'{"question": "a"}', "text/plain", 415),
            (b"\xff", "application/json", 400),
        ):
            answer = http.post("/search", content=content, headers={"content-type": kind})
            assert answer.status_code == status
            assert answer.json()["error"]["message"]
        deep: Any = {"key": "a", "op": "eq", "value": 1}
        for depth in range(1, 1200):
            deep = {"not": deep}
            if depth % 100 == 0:
                content = f'{{"question": "a", "filter": {_nested(deep)}}}'
                answer = http.post("/search", content=content, headers={"content-type": "application/json"})
                assert answer.status_code == 200 if depth == 100 else answer.status_code in (200, 400, 422)
        assert http.get("/nothing").json()["error"]["type"] == "NotFound"
        refused = http.patch("/documents")
        assert refused.status_code == 405
        assert {one.strip() for one in refused.headers["allow"].split(",")} >= {
            "GET",
            "POST",
            "PUT",
            "DELETE",
        }
        assert http.head("/documents").status_code == 200
        assert http.get("/search", params={"q": "a", "top_k": "many"}).status_code == 422
        assert http.get("/document").status_code == 422
        assert http.get("/documents", params={"limit": "-1"}).status_code == 422
        for method, path, parameter in (
            ("GET", "/search", "k"),
            ("GET", "/documents", "limits"),
            ("GET", "/document", "begin"),
            ("DELETE", "/documents", "ids"),
        ):
            answer = http.request(method, path, params={parameter: "1"})
            assert answer.status_code == 422
            assert f"unknown field '{parameter}'" in answer.json()["error"]["message"]
        for path in ("/search", "/documents", "/document", "/profile"):
            answer = http.post(path, json={"k": 1})
            assert answer.status_code == 422
            assert "unknown field 'k'" in answer.json()["error"]["message"]
        assert "empty" in http.put("/documents", json={}).json()["error"]["message"]
        for body in (
            {"documents": [{"id": "", "text": "a"}]},
            {"documents": [{"text": "a"}]},
            {"documents": {}},
        ):
            assert http.post("/documents", json=body).status_code == 422
        assert http.post("/search", json={"question": "still there?"}).status_code == 200


IN_PYTHON = re.compile(
    r"\b(None|True|False|NoneType|str|dict|int|tuple|Compare|AllOf|mapping|update\(\))\b|\{'|\(1,\)"
)


@pytest.mark.long
def test_messages_speak_of_json(url: str) -> None:
    odd: list[Any] = [None, True, -1, "", "x", [], [1], {}, {"a": None}]
    filters = [{"key": "year", "op": op, "value": value} for op in ("eq", "gt", "any") for value in odd]
    searches = [
        {"question": "oil", **{name: value}}
        for name in (
            "question",
            "token_budget",
            "mode",
            "explain",
            "top_k",
            "unique",
            "where",
            "filter",
            "spans",
        )
        for value in odd
    ]
    searches += [{"question": "oil", "filter": one} for one in filters]
    searches += [{"question": "oil", "filter": {name: value}} for name in ("all", "not") for value in odd]
    searches += [{"question": "oil", "spans": {"context": value}} for value in odd]
    searches += [{"questions": value} for value in odd]
    document = {"id": "new", "text": "Oil."}
    changes = [
        {"documents": [{**document, name: value}]}
        for name in ("id", "text", "title", "metadata", "pages", "source_hash")
        for value in odd
    ]
    changes += [{name: value} for name in ("documents", "delete") for value in odd]
    changes += [{"documents": [value]} for value in odd]
    profiles = [
        {"question": "oil", "doc_id": "bakery", name: value}
        for name in ("question", "doc_id", "mode", "bins")
        for value in odd
    ]
    refused = 0
    with httpx.Client(base_url=url, timeout=60) as http:
        for path, bodies in (("/search", searches), ("/profile", profiles), ("/documents", changes)):
            for body in bodies:
                method = "PUT" if path == "/documents" else "POST"
                answer = http.request(method, path, json=body)
                assert answer.status_code < 500, body
                if answer.status_code >= 400:
                    refused += 1
                    said = answer.json()["error"]["message"]
                    assert not IN_PYTHON.search(said), (body, said)
    assert refused > 100


def test_numbers_that_json_lacks_are_null(saved: Path, tiny_host: Host) -> None:
    other = S3Retriever.load(saved, host=tiny_host)
    other.add([Document("odd", "Owls hoot.", metadata={"x": float("nan"), "y": [float("inf")]})])
    other.save(saved)
    with running(saved, tiny_host) as url:
        answer = httpx.post(f"{url}/search", json={"question": "owls", "mode": "bm25"})
        assert json.loads(answer.content, parse_constant=pytest.fail)["spans"][0]["metadata"] == {
            "x": None,
            "y": [None],
        }


def test_a_folder_that_is_only_read_is_not_changed(saved: Path, tiny_host: Host) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in saved.rglob("*"))
    with running(saved, tiny_host, read_only=True) as url, Client(url) as client:
        for change in (lambda: client.add(["a"]), lambda: client.delete(["bakery"])):
            with pytest.raises(errors.ReadOnlyError, match="reading only"):
                change()
        assert client.retrieve("bread")
    assert sorted((path, path.stat().st_mtime_ns) for path in saved.rglob("*")) == before


def test_a_damaged_save_leaves_the_old_version(saved: Path, client: Client, url: str) -> None:
    manifest = saved / "index" / "manifest.json"
    good = manifest.read_bytes()
    manifest.write_bytes(good[:-20])
    wait_for(lambda: "manifest" in httpx.get(f"{url}/readyz").json()["stale"])
    assert client.retrieve("bread")
    assert "s3_retriever_index_stale 1.0" in httpx.get(f"{url}/metrics").text
    manifest.write_bytes(good)
    wait_for(lambda: not httpx.get(f"{url}/readyz").json()["stale"])
