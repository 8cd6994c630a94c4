"""What the LlamaIndex and LangChain packages may import, beside the names of :mod:`s3_retriever` itself.

These names stay where they are when modules move.
"""

from s3_retriever.checks import (
    FLAG,
    PATH,
    Uncopyable,
    check,
    check_settings,
    choice,
    each,
    instance,
    optional,
    whole,
)
from s3_retriever.config import MODES, SCORINGS
from s3_retriever.disk import check_sealed, hash_json, new_file, only_writer, refuse_links, write_json
from s3_retriever.documents import as_ids, content_id, refuse_single
from s3_retriever.host.generation import Generator, Piece, Sampling, check_head
from s3_retriever.json_form import parse_json
from s3_retriever.locks import ThreadLock
from s3_retriever.search.filters import OPERATORS

__all__ = [
    "FLAG",
    "MODES",
    "OPERATORS",
    "PATH",
    "SCORINGS",
    "Generator",
    "Piece",
    "Sampling",
    "ThreadLock",
    "Uncopyable",
    "as_ids",
    "check",
    "check_head",
    "check_sealed",
    "check_settings",
    "choice",
    "content_id",
    "each",
    "hash_json",
    "instance",
    "new_file",
    "only_writer",
    "optional",
    "parse_json",
    "refuse_links",
    "refuse_single",
    "whole",
    "write_json",
]
