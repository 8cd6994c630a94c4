"""Shards of an index on actors of Ray: called at once, waited for so long, started anew when they die."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray

from s3_retriever.cluster.causes import cause_of
from s3_retriever.config import RetrieverConfig
from s3_retriever.disk import hash_json
from s3_retriever.encode.artifact import Artifact
from s3_retriever.errors import InvalidInputError, ShardError, ShardStateError
from s3_retriever.index.layout import Layout
from s3_retriever.search.exchange import Facts
from s3_retriever.search.rank import Fuse
from s3_retriever.search.scoring import Scoring
from s3_retriever.search.shard import Shard
from s3_retriever.search.shards import ShardedIndex
from s3_retriever.search.workers import Workers
from s3_retriever.store import place_of
from s3_retriever.store.opening import opened_content, saved_parts, segment_folder
from s3_retriever.store.parts import Piece, cut, layout_in, open_pieces

_DIED = object()
_BUILDS_ON_STATE = ("cells", "explain", "ranges", "profile")
_RESTARTS = 100  # of one actor
_PAUSE = 0.2  # seconds between two looks at an actor that starts anew
_PATIENCE = 300.0  # seconds at least for an actor to start


class _ShardActor:
    """A shard in a process of its own, which opens its part whenever it starts."""

    def __init__(
        self, path: str, layout: Layout, pieces: Sequence[Piece], scoring: Scoring, fuse: Fuse, threads: int
    ) -> None:
        place = place_of(path)
        snapshot = open_pieces(lambda entry: segment_folder(place, entry), layout, pieces)
        self._shard = Shard(snapshot, scoring, fuse, Workers(threads))

    def process(self) -> int:
        """Return the number of the process."""
        return os.getpid()

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the shard."""
        return getattr(self._shard, method)(*arguments)


class RayShards:
    """Shards on actors.

    Attributes:
        actors: In the order of their documents.
        measured: Whether bytes are counted, as they are pickled.
        sent: Bytes that the calls took to each shard.
        received: Bytes that came back from each.
        calls: Times that shards were called, all of them at once being one.

    Args:
        actors: In the order of their documents.
        timeout: Seconds to wait for an answer.
        patience: Seconds to wait for an actor that starts, or is started anew.

    Raises:
        ShardError: One does not start.
    """

    def __init__(self, actors: Sequence[Any], timeout: float, patience: float) -> None:
        self.actors = list(actors)
        self._timeout = timeout
        self._patience = patience
        self.measured = False
        self.sent = [0] * len(self.actors)
        self.received = [0] * len(self.actors)
        self.calls = 0
        self._facts = [self._started(shard) for shard in range(len(self.actors))]

    def facts(self) -> Sequence[Facts]:
        """Return what each shard holds; it never changes."""
        return self._facts

    def each(self, method: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        """Call a method of some shards at once.

        Raises:
            ShardStateError: One died, and was started anew: the question has to be asked again.
            ShardError: One did not answer in time, or died and could not be started anew.
        """
        self.calls += 1
        refs = {shard: self.actors[shard].call.remote(method, *given) for shard, given in arguments.items()}
        if method == "forget":
            return dict.fromkeys(arguments)
        _, late = ray.wait(list(refs.values()), num_returns=len(refs), timeout=self._timeout)
        if late:
            number = next(shard for shard, ref in refs.items() if ref in late)
            msg = (
                f"{self._called(number)} did not answer within {self._timeout:g} s, so nothing is returned; "
                "look at its machine, or load the index with a longer timeout"
            )
            raise ShardError(msg)
        answers = {shard: self._answer(ref) for shard, ref in refs.items()}
        found = {shard: answer for shard, answer in answers.items() if answer is not _DIED}
        lost = {shard: arguments[shard] for shard in answers if shard not in found}
        for shard in lost:
            self._started(shard)
        if lost and method in _BUILDS_ON_STATE:
            msg = f"{self._called(min(lost))} died while it was asked, and was started anew"
            raise ShardStateError(msg)
        if self.measured:
            self._count(method, {shard: arguments[shard] for shard in found}, found)
        return found | (self.each(method, lost) if lost else {})

    def _answer(self, ref: Any) -> Any:
        """Return what a shard answered, ``_DIED`` if it died."""
        try:
            return ray.get(ref)
        except ray.exceptions.RayActorError:
            return _DIED
        except ray.exceptions.RayTaskError as error:
            raise cause_of(error) or error from error

    def _started(self, shard: int) -> Facts:
        """Wait until an actor answers."""
        deadline = time.monotonic() + self._patience
        while True:
            left = deadline - time.monotonic()
            try:
                facts: Facts = ray.get(self.actors[shard].call.remote("facts"), timeout=max(0.0, left))
            except ray.exceptions.ActorUnavailableError:
                time.sleep(min(_PAUSE, max(0.0, left)))
            except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError) as error:
                msg = f"{self._called(shard)} did not start within {self._patience:g} s: {error}"
                raise cause_of(error) or ShardError(msg) from error
            else:
                return facts

    def _called(self, shard: int) -> str:
        return f"shard {shard} of {len(self.actors)}"

    def _count(self, method: str, arguments: Mapping[int, tuple[Any, ...]], found: Mapping[int, Any]) -> None:
        for shard, given in arguments.items():
            self.sent[shard] += len(pickle.dumps((method, given), protocol=5))
            self.received[shard] += len(pickle.dumps(found[shard], protocol=5))

    def close(self) -> None:
        """End the actors."""
        for actor in self.actors:
            ray.kill(actor)


def begin_shards(
    path: str, n: int, *, timeout: float, threads: int = 1, scoring: Scoring | None = None, fuse: Fuse
) -> Callable[[], tuple[ShardedIndex, Artifact, RetrieverConfig]]:
    """Put an index on actors, each with a part of its documents; return what waits until they have started.

    Call it in a thread that stays: on Linux, a cluster that Ray begins here ends with the thread.

    Args:
        path: A folder that all machines see, or a URL.
        n: Actors, at most.
        timeout: Seconds to wait for an answer of one.
        threads: Of each.
        scoring: Constants; None: the artifact's.
        fuse: Joins the densities of S3 and BM25.

    Raises:
        IndexFormatError: The index is missing, truncated, altered or of another version.
        InvalidInputError: It computes BM25 by another library, which needs the whole corpus.
        ShardError: By what is returned: an actor did not start in time.
    """
    place = place_of(path)
    content = opened_content(place)
    artifact, config = saved_parts(place, content)
    if config.bm25 != "rank_bm25":
        msg = f"{path} computes BM25 by {config.bm25!r}, which needs the whole corpus; load it without shards"
        raise InvalidInputError(msg)
    layout = layout_in(content)
    scoring = scoring or Scoring.from_json(artifact.scoring)
    # No CPU is claimed: actors that hold the CPUs of a small cluster would leave none for anything else.
    remote = ray.remote(num_cpus=0, max_restarts=_RESTARTS, max_task_retries=0)(_ShardActor)
    actors = [
        remote.remote(place.name, layout, pieces, scoring, fuse, threads) for pieces in cut(place, content, n)
    ]

    def started() -> tuple[ShardedIndex, Artifact, RetrieverConfig]:
        shards = RayShards(actors, timeout, max(timeout, _PATIENCE))
        return ShardedIndex(shards, layout, content["header"], hash_json(content)), artifact, config

    return started
