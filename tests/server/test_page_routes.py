"""What the page is made of, and the density that it draws, over a real socket."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from server.conftest import DOCUMENTS, running

from s3_retriever import Client, Document, Host, S3Retriever
from s3_retriever.errors import ReadOnlyError

QUESTION = "Where does the keeper store the oil?"
FOLDER = Path(__file__).parents[2] / "s3_retriever" / "server" / "static"


def test_the_page_loads_only_from_its_server(url: str) -> None:
    page = httpx.get(url)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>|<script(?![^>]*src=)", page.text)
    wanted = set(re.findall(r'(?:src|href)="(static/[^"]+)"', page.text))
    scripts = {f"static/{path.name}" for path in FOLDER.glob("*.js")}
    assert (
        {"static/page.js", "static/page.css"} <= wanted <= {f"static/{one.name}" for one in FOLDER.iterdir()}
    )
    for name in wanted | scripts:
        found = httpx.get(f"{url}/{name}")
        assert found.status_code == 200
        assert found.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", found.text), name
        assert "innerHTML" not in found.text
        for other in re.findall(r'from "\./([^"]+)"', found.text):
            assert f"static/{other}" in scripts
    for lost in ("static/../page.py", "static/%2e%2e/page.py", "static/", "static/lost.js"):
        assert httpx.get(f"{url}/{lost}").status_code in (404, 405)


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask for a profile, in ASCII: an id may hold half of a surrogate pair."""
    headers = {"content-type": "application/json"}
    found: dict[str, Any] = httpx.post(f"{url}/profile", content=json.dumps(body), headers=headers).json()
    return found


def test_a_profile_is_that_of_the_retriever(url: str, saved: Path, tiny_host: Host) -> None:
    local = S3Retriever.load(saved, host=tiny_host)
    for document in DOCUMENTS:
        for mode in ("hybrid", "s3", "bm25"):
            asked = {"question": QUESTION, "doc_id": document.id, "mode": mode}
            found = post(url, asked)
            expected = local.profile(QUESTION, document.id, mode=mode)
            assert found["doc_id"] == document.id
            assert found["starts"] == expected.starts.tolist()
            assert found["ends"] == expected.ends.tolist()
            for name in ("density", "s3", "bm25"):
                side = getattr(expected, name)
                assert found[name] == (None if side is None else pytest.approx(side.tolist()))
            best = found["peaks"][0]
            assert best["density"] == pytest.approx(float(expected.density.max()))
            assert best["start"] in found["starts"]
    found = post(url, {**asked, "bins": 3})
    assert len(found["density"]) == 3
    assert max(found["density"]) == pytest.approx(float(expected.density.max()))


def test_mistakes_of_a_profile_are_errors(url: str) -> None:
    good = {"question": QUESTION, "doc_id": "bakery"}
    for wrong, status in (
        ({**good, "doc_id": "lost"}, 404),
        ({**good, "doc_id": 7}, 422),
        ({**good, "mode": "words"}, 422),
        ({**good, "bins": 0}, 422),
        ({**good, "bins": 10**9}, 422),
        ({**good, "question": ""}, 422),
        ({**good, "question": "x" * 10_000}, 422),
        ({**good, "where": {}}, 422),
        ({"doc_id": "bakery"}, 422),
        ([], 422),
    ):
        found = httpx.post(f"{url}/profile", json=wrong)
        assert found.status_code == status, wrong
        assert found.json()["error"]["message"]


def test_the_page_comes_without_the_token_and_tells_nothing(saved: Path, tiny_host: Host) -> None:
    with running(saved, tiny_host, token="secret") as url:  # noqa: S106
        assert httpx.get(url).status_code == 200
        assert httpx.get(f"{url}/static/page.js").status_code == 200
        asked = {"question": QUESTION, "doc_id": "bakery"}
        assert httpx.post(f"{url}/profile", json=asked).status_code == 401
        with_token = httpx.post(f"{url}/profile", json=asked, headers={"authorization": "Bearer secret"})
        assert with_token.status_code == 200


def test_another_index_answers_beside_the_first_and_is_only_read(
    url: str, saved: Path, tiny_host: Host, tmp_path: Path
) -> None:
    assert httpx.get(f"{url}/readyz").json()["other"] is None
    assert httpx.get(f"{url}/other/readyz").status_code == 404
    other = S3Retriever.load(saved, host=tiny_host)
    other.update([Document("bakery", "The keeper hides the oil in the bakery.")], delete=["town/harbour.txt"])
    other.save(tmp_path / "elsewhere" / "index")
    with running(saved, tiny_host, other=tmp_path / "elsewhere" / "index", token="secret") as at:  # noqa: S106
        state = httpx.get(f"{at}/readyz").json()
        assert (state["name"], state["other"]) == (f"{tmp_path.name}/index", "elsewhere/index")
        assert httpx.post(f"{at}/other/search", json={"question": QUESTION}).status_code == 401
        first, second = Client(at, token="secret"), Client(f"{at}/other", token="secret")  # noqa: S106
        assert second.retrieve(QUESTION) == other.retrieve(QUESTION) != first.retrieve(QUESTION)
        assert second.document_ids == other.document_ids != first.document_ids
        with pytest.raises(ReadOnlyError):
            second.delete(["bakery"])
        headers = {"authorization": "Bearer secret"}
        asked = {"question": QUESTION, "doc_id": "bakery"}
        found = httpx.post(f"{at}/other/profile", json=asked, headers=headers).json()
        assert found["density"] == other.profile(QUESTION, "bakery").density.tolist()
