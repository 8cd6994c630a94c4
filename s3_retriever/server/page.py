"""The page at ``/``: its files, and the density of a document, which it draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from s3_retriever.checks import choice, instance, whole
from s3_retriever.names import MODES, SCORINGS
from s3_retriever.retriever import S3Retriever
from s3_retriever.search.profile import Profile
from s3_retriever.server.endpoints import json_response, read_json
from s3_retriever.server.requests import check_fields, check_json, checked_question
from s3_retriever.server.served import Version
from s3_retriever.server.service import Service

_FOLDER = Path(__file__).parent / "static"
_FIELDS = ("question", "doc_id", "mode", "scoring", "bins")
BINS = 400
"""Parts of a document that a profile has unless others are asked for."""

MOST_BINS = 4000
"""Parts that may be asked for."""

_PEAKS = 8


def page_routes() -> list[BaseRoute]:
    """Return the routes of the page."""
    return [Route("/", _index, methods=["GET"]), Mount("/static", StaticFiles(directory=_FOLDER))]


def profile_route(service: Service) -> Route:
    """Return the route of what the page needs of a service beside the API."""

    async def profile(request: Request) -> Response:
        return await _profile(request, service)

    return Route("/profile", profile, methods=["POST"])


async def _index(_request: Request) -> Response:
    return FileResponse(_FOLDER / "index.html", media_type="text/html; charset=utf-8")


async def _profile(request: Request, service: Service) -> Response:
    """Give the density of a document for a question."""
    body = await read_json(request)
    check_fields("a profile", body, _FIELDS)
    doc_id, bins = body.get("doc_id"), body.get("bins", BINS)
    mode, scoring = body.get("mode", "hybrid"), body.get("scoring", "attention")
    check_json("doc_id", doc_id, instance(str, "the id of a document"))
    check_json("mode", mode, choice(MODES))
    check_json("scoring", scoring, choice(SCORINGS))
    check_json("bins", bins, whole(1, MOST_BINS))
    question = checked_question(body.get("question"), service.settings)

    def read(retriever: S3Retriever, version: Version) -> dict[str, Any]:
        profile = retriever.profile(question, doc_id, mode=mode, scoring=scoring)
        return {**profile_json(profile, bins), "version": version.id}

    return json_response(await service.with_reader(read))


def profile_json(profile: Profile, bins: int) -> dict[str, Any]:
    """Return a profile as the API gives it, in at most so many bins, with its highest peaks."""
    shown = profile.binned(bins)
    arrays = ("starts", "ends", "density", "s3", "bm25")
    values = {name: getattr(shown, name) for name in arrays}
    return {
        "doc_id": profile.doc_id,
        **{name: None if value is None else value.tolist() for name, value in values.items()},
        "ranges": profile.ranges,
        "peaks": [
            {
                "start": int(profile.starts[cell]),
                "end": int(profile.ends[cell]),
                "density": float(profile.density[cell]),
            }
            for cell in profile.peaks(_PEAKS)
        ],
    }
