"""A job that may be interrupted: what its runs wrote is kept beside the index until it is committed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from s3_retriever.cluster.config import Failure
from s3_retriever.cluster.records import SegmentRecord
from s3_retriever.disk import hash_values
from s3_retriever.errors import CheckpointError
from s3_retriever.json_form import parse_json
from s3_retriever.saved import JOBS
from s3_retriever.store import Place

_NAME = "job.json"


@dataclass(frozen=True)
class Scanned:
    """What one write task was handed.

    Attributes:
        records: Of the segments.
        ids: Of their documents, by the name of the segment, in order.
        failures: Documents that are in none.
    """

    records: Sequence[SegmentRecord]
    ids: dict[str, list[str]]
    failures: Sequence[Failure]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "records": [record.to_json() for record in self.records],
            "ids": self.ids,
            "failures": [[one.id, one.reason] for one in self.failures],
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Scanned:
        """Read what :meth:`to_json` returned."""
        records = [SegmentRecord(**json.loads(record)) for record in values["records"]]
        return cls(records, values["ids"], [Failure(*one) for one in values["failures"]])


class Job:
    """The runs that share one checkpoint of Ray Data.

    Args:
        place: Where the index lies.
        key: What tells this job from others with the same place: its checkpoint, and what it does.
    """

    def __init__(self, place: Place, *key: str) -> None:
        self._place = place
        self._folder = f"{JOBS}/{hash_values(*key)[:16]}"

    def name(self) -> str:
        """Return the name under which this job is committed; its first run chooses it."""
        path = f"{self._folder}/{_NAME}"
        try:
            return str(parse_json(self._place.read(path))["name"])
        except FileNotFoundError:
            name = secrets.token_hex(16)
            self._place.write(path, json.dumps({"name": name}).encode())
            return name

    def keep(self, scanned: Scanned) -> None:
        """Write down what a write task was handed."""
        data = json.dumps(scanned.to_json()).encode()
        self._place.write(f"{self._folder}/{hash_values(data)[:32]}.json", data)

    def kept(self) -> Iterator[Scanned]:
        """Yield what all runs wrote down.

        Raises:
            CheckpointError: It is damaged.
        """
        for path in self._place.files(self._folder):
            if path.rpartition("/")[2] != _NAME:
                try:
                    yield Scanned.from_json(parse_json(self._place.read(path)))
                except (ValueError, KeyError, TypeError) as error:
                    msg = f"{self._place.name}/{path} is damaged; delete {JOBS}/ and the job's checkpoint"
                    raise CheckpointError(msg) from error

    def forget(self) -> None:
        """Remove all that was written down."""
        self._place.remove(self._folder)
