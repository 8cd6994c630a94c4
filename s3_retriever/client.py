"""A client of a served index, which answers as the retriever itself does."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypedDict
from weakref import WeakKeyDictionary

from s3_retriever.checks import (
    Uncopyable,
    as_questions,
    check,
    check_library,
    number,
    optional,
    pip_install,
    whole,
)
from s3_retriever.documents import Document, Span, Spans, as_documents, as_ids
from s3_retriever.errors import ServerError, UnknownDocumentError
from s3_retriever.index.documents import with_json_metadata
from s3_retriever.json_form import parse_json
from s3_retriever.names import TOKEN_VARIABLE, Mode, ScoringName
from s3_retriever.search.answer import SearchOptions
from s3_retriever.search.filters import Filter, warn_the_caller
from s3_retriever.search.spans import SpanConfig
from s3_retriever.wire import (
    encode,
    error_from_json,
    filter_to_json,
    from_json,
    is_token,
    to_json,
)

if TYPE_CHECKING:
    import httpx
    from typing_extensions import Self, Unpack

_BUSY = 503
_SECONDS = 1.0  # before a busy server is asked again, where it does not say itself


class _Options(TypedDict, total=False):
    """What a call may say beside question and budget, as in ``S3Retriever.retrieve``."""

    mode: Mode
    scoring: ScoringName
    explain: bool
    unit_scores: bool
    where: Filter | Mapping[str, Any] | None
    top_k: int | None
    spans: SpanConfig | None
    unique: bool


class Client(Uncopyable):
    """Asks a server that ``s3-retriever serve`` started; spans equal those of the retriever itself.

    Threads and event loops may share it. Both integrations take it where they take a retriever.

    Args:
        url: Where the server is, "http://127.0.0.1:8080".
        token: The server's; None: what the environment variable ``S3_RETRIEVER_TOKEN`` says, if anything.
        timeout: Seconds to wait for an answer.
        retries: How often to ask again where the server is busy.

    Attributes:
        url: As given.

    Raises:
        InvalidInputError: A value cannot be used.
        MissingDependencyError: httpx is not installed.
    """

    instead = "threads may share it; in another process make one with the same address"

    def __init__(
        self, url: str, *, token: str | None = None, timeout: float = 60.0, retries: int = 2
    ) -> None:
        check("url", url, _is_url)
        token = token or os.environ.get(TOKEN_VARIABLE) or None
        check("token", token, optional(is_token))
        check("timeout", timeout, number(above=0))
        check("retries", retries, whole())
        check_library("clients", "httpx", "httpx", pip_install("client"))
        import httpx

        self.url = url
        self._retries = retries
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        self._settings: dict[str, Any] = {"base_url": url, "headers": headers, "timeout": timeout}
        self._http = httpx.Client(**self._settings)
        self._of_loops: WeakKeyDictionary[Any, httpx.AsyncClient] = WeakKeyDictionary()

    def retrieve(self, question: str, token_budget: int = 512, **options: Unpack[_Options]) -> list[Span]:
        """Return the spans that answer a question, best first; see ``S3Retriever.retrieve``.

        Raises:
            InvalidInputError: As there, or beyond the server's limits.
            ServerError: The server cannot be reached, refuses the caller, or failed.
            ServerBusyError: It has too much to do, also when asked again.
        """
        return self.retrieve_batch([question], token_budget, **options)[0]

    def retrieve_batch(
        self, questions: Iterable[str], token_budget: int = 512, **options: Unpack[_Options]
    ) -> list[list[Span]]:
        """Return the spans for each of several questions, all from one version of the index.

        Raises:
            S3RetrieverError: As for one question.
        """
        body = _search(questions, token_budget, options)
        return _spans(self._ask("POST", "/search", body)) if body["questions"] else []

    async def aretrieve(
        self, question: str, token_budget: int = 512, **options: Unpack[_Options]
    ) -> list[Span]:
        """Do as :meth:`retrieve`."""
        return (await self.aretrieve_batch([question], token_budget, **options))[0]

    async def aretrieve_batch(
        self, questions: Iterable[str], token_budget: int = 512, **options: Unpack[_Options]
    ) -> list[list[Span]]:
        """Do as :meth:`retrieve_batch`."""
        body = _search(questions, token_budget, options)
        return _spans(await self._aask("POST", "/search", body)) if body["questions"] else []

    def add(
        self, documents: Iterable[Any], *, threads: int | None = None, show_progress: bool = False
    ) -> list[str]:
        """Add documents, which the server saves; see ``S3Retriever.add``. Return their ids.

        How many threads scan is the server's business, and it shows no progress.

        Raises:
            DuplicateDocumentError: An id is taken, or occurs twice.
            ReadOnlyError: The server only reads.
            S3RetrieverError: As ``S3Retriever.add`` and :meth:`retrieve`.
        """
        return _ids(self._ask("POST", "/documents", {"documents": _documents(documents)}))

    def update(
        self,
        documents: Iterable[Any],
        *,
        delete: Iterable[str] = (),
        threads: int | None = None,
        show_progress: bool = False,
    ) -> list[str]:
        """Add or replace documents and delete others, in one step; see ``S3Retriever.update``."""
        body = {"documents": _documents(documents), "delete": as_ids(delete)}
        return _ids(self._ask("PUT", "/documents", body))

    def delete(self, doc_ids: Iterable[str]) -> None:
        """Delete documents; all of them or, on error, none.

        Raises:
            UnknownDocumentError: There is no such document.
        """
        self._ask("PUT", "/documents", {"delete": as_ids(doc_ids)})

    def document(self, doc_id: str) -> Document:
        """Return a document as it was given.

        Raises:
            UnknownDocumentError: There is no such document.
        """
        found = self._ask("POST", "/document", {"id": doc_id})
        return from_json(Document, found)

    @property
    def document_ids(self) -> tuple[str, ...]:
        """Ids of all documents, in order of addition."""
        return tuple(_ids(self._ask("GET", "/ids")))

    def __len__(self) -> int:
        return int(self._ask("GET", "/readyz")["documents"])

    def __contains__(self, doc_id: object) -> bool:
        try:
            return isinstance(doc_id, str) and bool(self._ask("POST", "/document", {"id": doc_id, "end": 0}))
        except UnknownDocumentError:
            return False

    def close(self) -> None:
        """Let the connections go; those of event loops go with :meth:`aclose`."""
        self._http.close()

    async def aclose(self) -> None:
        """Let the connections of the running event loop go."""
        of_loop = self._of_loops.pop(asyncio.get_running_loop(), None)
        if of_loop is not None:
            await of_loop.aclose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        import httpx

        content = None if body is None else encode(body)
        for pause in self._pauses():
            try:
                response = self._http.request(method, path, content=content)
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error
            if response.status_code != _BUSY or pause is None:
                break
            time.sleep(_pause(response, pause))
        return _value(response)

    async def _aask(self, method: str, path: str, body: Any = None) -> Any:
        import httpx

        loop = asyncio.get_running_loop()
        if loop not in self._of_loops:
            self._of_loops[loop] = httpx.AsyncClient(**self._settings)
        content = None if body is None else encode(body)
        for pause in self._pauses():
            try:
                response = await self._of_loops[loop].request(method, path, content=content)
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error
            if response.status_code != _BUSY or pause is None:
                break
            await asyncio.sleep(_pause(response, pause))
        return _value(response)

    def _pauses(self) -> Iterator[float | None]:
        """Yield, for each try, the seconds to wait after it; None after the last one."""
        yield from (_SECONDS * 2**i for i in range(self._retries))
        yield None

    def _unreachable(self, error: Exception) -> ServerError:
        reason = f"{type(error).__name__}: {error}"
        return ServerError(f"no answer from {self.url} ({reason}); is 's3-retriever serve' running there?")


def _search(questions: Iterable[str], token_budget: int, options: _Options) -> dict[str, Any]:
    """Return the body of a search, checked as a retriever checks it."""
    unknown = options.keys() - _Options.__annotations__.keys()
    if unknown:
        msg = f"retrieve() got an unexpected keyword argument {min(unknown)!r}"
        raise TypeError(msg)
    asked = as_questions(questions)
    checked = SearchOptions(token_budget=token_budget, **options)
    body = {name: value for name, value in vars(checked).items() if value is not None}
    where = body.pop("where", None)
    if where is not None:
        body["filter"] = filter_to_json(where)
    return {"questions": asked, **body}


def _spans(found: Any) -> list[list[Span]]:
    for said in found.get("warnings", ()):
        warn_the_caller(said)
    return [Spans(from_json(Span, span) for span in answer["spans"]) for answer in found["answers"]]


def _documents(documents: Iterable[Any]) -> list[Any]:
    return [to_json(with_json_metadata(document)) for document in as_documents(documents)]


def _ids(found: Any) -> list[str]:
    return list(found["ids"])


def _value(response: httpx.Response) -> Any:
    if response.is_success:
        try:
            return parse_json(response.content)
        except ValueError as error:
            msg = f"{response.url} answered with something else than JSON: {response.content[:80]!r}"
            raise ServerError(msg) from error
    raise error_from_json(response.status_code, response.content)


def _pause(response: httpx.Response, otherwise: float) -> float:
    said = response.headers.get("retry-after", "")
    return float(said) if said.isdecimal() else otherwise


def _is_url(value: object) -> str:
    fits = isinstance(value, str) and value.startswith(("http://", "https://"))
    return "" if fits else "an address that begins with http:// or https://"
