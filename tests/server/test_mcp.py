"""The tools for agents, called by the protocol's own client over both transports."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client as Agent
from mcp import StdioServerParameters, stdio_client
from server.conftest import DOCUMENTS, running

from s3_retriever import Host, S3Retriever
from s3_retriever.encode import Artifact

TEXTS = {one.id: one.text for one in DOCUMENTS}


@contextlib.asynccontextmanager
async def connected(transport: str, saved: Path, host: Host, folder: Path) -> AsyncIterator[Agent]:
    """Give a client of a server that runs in this process, or in one of its own."""
    if transport == "http":
        with running(saved, host) as url:
            async with Agent(f"{url}/mcp") as agent:
                yield agent
        return
    arguments = ["-m", "s3_retriever", "mcp", str(saved), "--host", str(folder)]
    server = StdioServerParameters(command=sys.executable, args=arguments)
    async with Agent(stdio_client(server)) as agent:
        yield agent


def of(result: Any) -> dict[str, Any]:
    assert not result.is_error, result.content
    (content,) = result.content
    assert json.loads(content.text) == result.structured_content
    return result.structured_content


@pytest.mark.long
@pytest.mark.parametrize("transport", ["http", "stdio"])
async def test_an_agent_searches_reads_and_lists(
    transport: str, saved: Path, tiny_host: Host, tiny_folder: Path, tmp_path: Path
) -> None:
    if transport == "stdio":  # the host of the saved index is that in memory, which has another name on disk
        saved = _saved_with(tiny_folder, saved, tmp_path / "other")
    async with connected(transport, saved, tiny_host, tiny_folder) as agent:
        tools = {tool.name: tool for tool in (await agent.list_tools()).tools}
        assert set(tools) == {"search", "read", "list"}
        assert all(tool.annotations.read_only_hint for tool in tools.values())
        assert tools["search"].input_schema["required"] == ["question"]

        asked = {"question": "Where is the oil?", "token_budget": 90, "top_k": 2, "where": {"year": 1931}}
        passages = of(await agent.call_tool("search", asked))["passages"]
        assert 0 < len(passages) <= 2
        for one in passages:
            assert one["doc_id"] == "town/harbour.txt"
            assert one["title"] == "The harbour"
            assert TEXTS[one["doc_id"]][one["start"] : one["end"]] == one["text"]
            assert isinstance(one["score"], float)
        place = {"id": one["doc_id"], "start": one["start"], "end": one["end"]}
        found = of(await agent.call_tool("read", {**place, "around": 10}))
        first, last = max(0, one["start"] - 10), min(one["end"] + 10, len(TEXTS[one["doc_id"]]))
        assert (found["start"], found["end"]) == (first, last)
        assert found["text"] == TEXTS[one["doc_id"]][first:last]

        bread = of(await agent.call_tool("search", {"question": "bread", "mode": "bm25"}))["passages"][0]
        assert bread["pages"] == [1, 2, 3]
        third = of(await agent.call_tool("read", {"id": "bakery", "start": 310, "end": 320, "around": 5}))
        assert third["pages"] == [3]

        listed = of(await agent.call_tool("list", {"limit": 2}))
        assert [one["id"] for one in listed["documents"]] == list(TEXTS)[:2]
        rest = of(await agent.call_tool("list", {"after": listed["next"]}))
        ugly = rest["documents"][0]["id"]
        assert ugly == DOCUMENTS[2].id.replace("\ud83d", "\ufffd")  # as JSON can say it
        assert rest["next"] is None
        again = of(await agent.call_tool("list", {"after": None, "limit": 2}))
        assert again["documents"] == listed["documents"]

        for name, arguments, part in (
            ("search", {}, "question"),
            ("search", {"question": ""}, "question"),
            ("search", {"question": "a", "token_budget": 0}, "token_budget"),
            ("search", {"question": "a", "token_budget": "many"}, "token_budget"),
            ("search", {"question": "a", "mode": "keywords"}, "mode"),
            ("search", {"question": "a", "filter": {"key": "year", "op": "near"}}, "near"),
            ("read", {"id": "nothing"}, "nothing"),
            ("read", {"id": "bakery", "start": -1}, "start"),
            ("list", {"after": "nothing"}, "nothing"),
            ("list", {"after": "null"}, "no document has the id 'null'"),
            ("list", {"after": "[7]"}, "no document has the id '[7]'"),
            ("list", {"limit": 0}, "limit"),
            ("search", {"question": "a", "k": 3}, "unknown field 'k'; search takes question, token_budget"),
            ("search", {"question": "a", "k": None}, "unknown field 'k'"),
            ("read", {"doc_id": "bakery"}, "unknown field 'doc_id'; read takes id, start, end, around"),
            ("read", {}, "id is missing"),
            ("write", {}, "write"),
        ):
            wrong = await agent.call_tool(name, arguments)
            assert wrong.is_error, (name, arguments)
            assert part in wrong.content[0].text
            assert "pydantic" not in wrong.content[0].text
            assert name == "write" or "Error executing" not in wrong.content[0].text
            assert "\n" not in wrong.content[0].text
        odd = of(await agent.call_tool("search", {"question": "bread", "where": {"yaer": 1931}}))
        assert odd["passages"] == []
        assert "'year'" in odd["warnings"][0]
        assert of(await agent.call_tool("search", {"question": "bread", "mode": "bm25"}))["passages"]


def _saved_with(host: Path, saved: Path, folder: Path) -> Path:
    artifact = Artifact.load(saved / "artifact")
    S3Retriever.from_documents(DOCUMENTS, host=str(host), artifact=artifact).save(folder)
    return folder


async def test_both_handshakes_of_the_protocol_work(url: str) -> None:
    for mode in ("auto", "legacy"):
        async with Agent(f"{url}/mcp", mode=mode) as agent:
            assert agent.server_info.name == "s3-retriever"
            assert of(await agent.call_tool("search", {"question": "bread", "mode": "bm25"}))["passages"]


async def test_the_guard_stands_before_the_tools_too(saved: Path, tiny_host: Host) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"accept": "application/json, text/event-stream"}
    with running(saved, tiny_host, token="secret", max_body=1000) as url:  # noqa: S106
        assert httpx.post(f"{url}/mcp", json=message, headers=headers).status_code == 401
        headers["authorization"] = "Bearer secret"
        assert httpx.post(f"{url}/mcp", json=message, headers=headers).status_code == 200
        evil = {**headers, "host": "evil.example"}
        assert httpx.post(f"{url}/mcp", json=message, headers=evil).status_code == 421
        large = {**message, "params": {"x": "a" * 2000}}
        assert httpx.post(f"{url}/mcp", json=large, headers=headers).status_code == 413


@pytest.mark.slow
def test_nothing_but_the_protocol_is_on_standard_output(
    saved: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    other = _saved_with(tiny_folder, saved, tmp_path / "other")
    command = [sys.executable, "-m", "s3_retriever", "mcp", str(other), "--host", str(tiny_folder)]
    ended = subprocess.run(command, input="", capture_output=True, text=True, timeout=120, check=True)  # noqa: S603
    assert ended.stdout == ""
    assert "3 documents" in ended.stderr
