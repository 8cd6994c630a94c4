"""Tools for agents, by the Model Context Protocol: search, read around a passage, list documents."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Iterator
from typing import Annotated, Any, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from pydantic import Field, ValidationError
from starlette.routing import BaseRoute
from typing_extensions import TypedDict

from s3_retriever import __version__
from s3_retriever.checks import whole
from s3_retriever.errors import S3RetrieverError
from s3_retriever.names import Mode
from s3_retriever.server.endpoints import LISTED, MOST_LISTED, document_json, document_list, span_json
from s3_retriever.server.requests import check_fields, check_json, or_null, search_request
from s3_retriever.server.served import Version
from s3_retriever.server.service import Service
from s3_retriever.wire import portable

PATH = "/mcp"
"""Where the tools are on an HTTP server."""

_AROUND = 1000  # characters
_LONGEST = 50_000  # characters that one call of read returns
_READS = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
_INSTRUCTIONS = (
    "Passages of an indexed corpus. Call search with a question in natural language; each passage comes with "
    "the id of its document and its place there, start and end, counted in characters. Call read with these "
    "to see what stands around it. Cite the id and, where there is one, the page."
)

_T = TypeVar("_T")


class Passages(TypedDict):
    """What a search found, best first, and what is odd about the filter."""

    passages: list[dict[str, Any]]
    version: str
    warnings: list[str]


class Excerpt(TypedDict):
    """Characters ``start`` to ``end`` of a document of ``length``, and the pages on which they stand."""

    id: str
    title: str
    metadata: dict[str, Any]
    text: str
    start: int
    end: int
    length: int
    pages: list[int]
    version: str


class Listing(TypedDict):
    """Some documents, and the id to go on after, if there are more."""

    documents: list[dict[str, Any]]
    next: str | None
    total: int
    version: str


class _Tools(MCPServer):
    """The protocol's server, whose errors name an argument and the way out in a line."""

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Any = None) -> Any:
        """Call a tool; arguments that it does not have are refused, too, and null is as if left out."""
        schemas = [tool.input_schema for tool in await self.list_tools() if tool.name == name]
        for schema in schemas:
            with _told():
                check_fields(name, arguments, tuple(schema["properties"]))
        arguments = {field: value for field, value in arguments.items() if value is not None}
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if type(error) is ToolError and isinstance(error.__cause__, ValidationError):  # no fault of ours
                raise ToolError("; ".join(map(_wrong, error.__cause__.errors()))) from error
            if isinstance(error.__cause__, ToolError):  # ours, which says all that there is to say
                raise error.__cause__ from error.__cause__.__cause__
            raise


def _wrong(found: Any) -> str:
    """Say what is wrong with an argument, as pydantic found it."""
    name = found["loc"][0]
    if found["type"] == "missing":
        return f"{name} is missing"
    return f"{name}: {found['msg'][:1].lower()}{found['msg'][1:]}, not {found['input']!r:.80}"


def make_tools(service: Service) -> MCPServer:
    """Return a server of the protocol whose tools ask a service, which has to be running."""
    server = _Tools("s3-retriever", instructions=_INSTRUCTIONS, version=__version__, log_level="WARNING")

    @server.tool(annotations=_READS, title="Search")
    async def search(
        question: Annotated[str, Field(description="What to look for, in natural language.")],
        token_budget: Annotated[int, Field(description="Most tokens that all passages have together.")] = 512,
        where: Annotated[
            dict[str, Any] | None,
            Field(description='Metadata that documents must have: {"year": 2024, "lang": ["de", "fr"]}.'),
        ] = None,
        filter: Annotated[  # noqa: A002 - the name that the API has
            dict[str, Any] | None,
            Field(
                description='A condition on metadata: {"key": "year", "op": "gte", "value": 2020}, or '
                '{"all": [...]}, {"any": [...]}, {"not": ...} of such.'
            ),
        ] = None,
        top_k: Annotated[int | None, Field(description="Most passages.")] = None,
        mode: Annotated[
            Mode, Field(description="Search by attention and words, or by one of them.")
        ] = "hybrid",
    ) -> Passages:
        """Find the passages that answer a question, best first, with their places and scores."""
        given = {"where": where, "filter": filter, "top_k": top_k}
        body = {"question": question, "token_budget": token_budget, "mode": mode, "titles": True}
        body |= {name: value for name, value in given.items() if value is not None}
        with _told():
            (answer,) = await service.search(search_request(body, service.settings))
        found = [span_json(*one) for one in zip(answer.spans, answer.titles, strict=True)]
        passages: Passages = portable(
            {"passages": found, "version": answer.version, "warnings": answer.warnings}
        )
        return passages

    @server.tool(annotations=_READS, title="Read")
    async def read(
        id: Annotated[str, Field(description="Of the document: doc_id of a passage.")],  # noqa: A002
        start: Annotated[int, Field(description="Its first character.")] = 0,
        end: Annotated[
            int | None, Field(description="One past its last character; left out: the end.")
        ] = None,
        around: Annotated[int, Field(description="Characters to add on either side.")] = _AROUND,
    ) -> Excerpt:
        """Read a document around a passage; at most 50,000 characters at a time."""

        def excerpt(version: Version) -> dict[str, Any]:
            for name, value in (("start", start), ("around", around)):
                check_json(name, value, whole())
            check_json("end", end, or_null(whole()))
            document = version.snapshot.document(version.snapshot.find(id))
            first = max(0, start - around)
            last = len(document.text) if end is None else end + around
            found = document_json(document, first, min(last, first + _LONGEST))
            pages = document.pages_of(found["start"], found["end"])
            found |= {"pages": list(pages), "version": version.id}
            return {name: found[name] for name in Excerpt.__annotations__}

        found: Excerpt = await _reading(service.read(excerpt))
        return found

    @server.tool(name="list", annotations=_READS, title="List")
    async def listing(
        prefix: Annotated[str, Field(description="Only ids that begin so, such as a folder.")] = "",
        # Of "null", a union of str and None would make None (findings/mcp-string-null-becomes-none.sh).
        after: Annotated[str, Field(description="Go on after this id: next of the last list.")] = "",
        limit: Annotated[int, Field(description="Most documents.")] = LISTED,
    ) -> Listing:
        """List documents: ids, titles, metadata, lengths in characters."""

        def some(version: Version) -> dict[str, Any]:
            check_json("limit", limit, whole(1, MOST_LISTED))
            return document_list(version, after or None, prefix, limit)

        found: Listing = await _reading(service.read(some))
        return found

    return server


def http_routes(server: MCPServer) -> list[BaseRoute]:
    """Return what an HTTP server needs to offer the tools under :data:`PATH`; see :func:`http_running`.

    Calls stand for themselves, so nothing is kept between them. Names and origins are the guard's business.
    """
    unguarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(
        streamable_http_path=PATH, stateless_http=True, json_response=True, transport_security=unguarded
    )
    return list(app.routes)


def http_running(server: MCPServer) -> contextlib.AbstractAsyncContextManager[None]:
    """Return what has to be entered while the routes are in use."""
    return server.session_manager.run()


async def serve_stdio(service: Service) -> None:
    """Offer the tools on standard input and output, until the input ends."""
    async with service.running():
        await make_tools(service).run_stdio_async()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Let the agent read what was wrong."""
    try:
        yield
    except S3RetrieverError as error:
        raise ToolError(str(error)) from error


async def _reading(found: Awaitable[_T]) -> Any:
    with _told():
        return portable(await found)
