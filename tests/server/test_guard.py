"""Who may ask a server, and how much: tokens, names, origins, limits."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from server.conftest import running

from s3_retriever import Client, Host, ServerError
from s3_retriever.errors import InvalidInputError
from s3_retriever.server.settings import ServerSettings

TOKEN = "a token of some length"  # noqa: S105
ASKED = {"question": "bread", "mode": "bm25"}


def raw(url: str, path: str, headers: str = "", *, method: str = "GET", body: str = "") -> bytes:
    """Send a request as it is, which clients would tidy up; return what comes back."""
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=10) as connection:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"
        connection.sendall((head + body).encode())
        if body:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_a_token_is_needed_where_there_is_one(saved: Path, tiny_host: Host) -> None:
    with running(saved, tiny_host, token=TOKEN) as url, httpx.Client(base_url=url) as http:
        for given in (
            None,
            "",
            "Bearer",
            f"Basic {TOKEN}",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
        ):
            headers = {} if given is None else {"authorization": given}
            for method, path in (
                ("POST", "/search"),
                ("GET", "/documents"),
                ("GET", "/metrics"),
                ("PUT", "/documents"),
                ("HEAD", "/documents"),
                ("GET", "/nothing"),
            ):
                assert http.request(method, path, headers=headers).status_code == 401, (given, path)
        for path in (
            "//documents",
            "/static/../documents",
            "/healthz/../documents",
            "/static/%2e%2e/documents",
        ):
            assert raw(url, path).split(b" ")[1] in (b"401", b"404")
            assert raw(url, path, f"Authorization: Bearer {TOKEN}\r\n").split(b" ")[1] == b"404"
        refused = http.post("/search", json=ASKED)
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["error"]["type"] == "Unauthorized"
        assert TOKEN not in refused.text
        assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200
        assert (
            http.post("/search", json=ASKED, headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
        )
        with pytest.raises(ServerError, match="token"):
            Client(url).retrieve("bread")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("S3_RETRIEVER_TOKEN", TOKEN)
            assert Client(url).retrieve("bread", mode="bm25")


def test_others_than_this_machine_need_a_token() -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org", ""):  # noqa: S104
        with pytest.raises(InvalidInputError, match="S3_RETRIEVER_TOKEN"):
            ServerSettings(host=host)
        assert ServerSettings(host=host, token=TOKEN).host == host
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert ServerSettings(host=host).token is None
    for token in ("", " ", "a\n", "café"):
        with pytest.raises(InvalidInputError, match="token"):
            ServerSettings(token=token)


def test_a_name_that_was_made_to_point_here_is_refused(url: str) -> None:
    port = urlsplit(url).port
    for name in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "",
        "[::1",
        "localhost@evil",
    ):
        answer = httpx.post(f"{url}/search", json=ASKED, headers={"host": name})
        assert answer.status_code == 421, name
        assert "error" in answer.json()
    for name in ("localhost", f"localhost:{port}", "127.0.0.1", f"[::1]:{port}", "LOCALHOST"):
        assert httpx.post(f"{url}/search", json=ASKED, headers={"host": name}).status_code == 200, name


def test_pages_of_others_may_not_ask_unless_named(saved: Path, tiny_host: Host, url: str) -> None:
    own = {"origin": url}
    assert httpx.post(f"{url}/search", json=ASKED, headers=own).status_code == 200
    for origin in ("https://evil.example", "null", "http://localhost:1", "x"):
        answer = httpx.post(f"{url}/search", json=ASKED, headers={"origin": origin})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    page = "https://wiki.example"
    with running(saved, tiny_host, token=TOKEN, cors_origins=(page,), read_only=True) as other:
        asking = {"origin": page, "access-control-request-method": "POST"}
        asking["access-control-request-headers"] = "authorization,content-type"
        allowed = httpx.options(f"{other}/search", headers=asking)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == page
        refused = httpx.options(f"{other}/search", headers={**asking, "origin": "https://evil.example"})
        assert "access-control-allow-origin" not in refused.headers
        wrong = httpx.post(f"{other}/search", json=ASKED, headers={"origin": page})
        assert (wrong.status_code, wrong.headers["access-control-allow-origin"]) == (401, page)


def test_bodies_have_a_limit(saved: Path, tiny_host: Host) -> None:
    with running(saved, tiny_host, max_body=1000) as url:
        assert httpx.post(f"{url}/search", json={"question": "a " * 400, "mode": "bm25"}).status_code == 200
        big = httpx.post(f"{url}/search", json={"question": "a" * 1000})
        assert big.status_code == 413
        assert big.json()["error"]["type"] == "TooLarge"
        pieces = (b"x" * 100 for _ in range(20))  # its length is not said
        assert httpx.post(f"{url}/search", content=pieces).status_code == 413
        raw(url, "/search", "Content-Length: 500\r\n", method="POST", body="{")  # less comes than was said
        assert httpx.get(f"{url}/healthz").status_code == 200


def test_answers_are_never_taken_for_pages(url: str) -> None:
    hostile = "<script>alert(1)</script>"
    for answer in (
        httpx.get(f"{url}/document", params={"id": hostile}),
        httpx.get(f"{url}/{hostile}"),
        httpx.get(f"{url}/search", params={"q": hostile, hostile: "1"}),
        httpx.get(f"{url}/documents", params={"after": hostile}),
    ):
        assert answer.status_code in (404, 422)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert "error" in answer.json()
