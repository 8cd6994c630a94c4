"""What the campaigns share: how large they are, a corpus that changes, kills.

``make test`` runs a sample of each; ``make trust`` runs them whole. Each prints what it counted.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from s3_retriever import Document, Host, Index, RetrieverConfig, S3Retriever, ScanConfig, Span
from s3_retriever.disk import new_folder
from s3_retriever.encode import Artifact

CONFIG = RetrieverConfig(ScanConfig(chunk_tokens=128, overlap_tokens=16, batch_tokens=512))
QUESTION = "Where does the keeper store the oil?"
SENTENCES = (
    "The keeper stores the oil in the cellar.",
    "Bread is baked at four in the morning.",
    "A ship came in and left again.",
    "The lamp needs oil.",
    "Nobody knows the baker's name.",
)
KEYS = [f"d{number}" for number in range(8)]
WHOLE = [".lock", "artifact", "index"]
"""The folder of a saved index without litter."""

_STEPS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "s3_retriever.exchange")


def size(name: str, sample: int) -> int:
    """How large a part of a campaign is: ``S3_TRUST_<name>``, else that of the sample."""
    return int(os.environ.get(f"S3_TRUST_{name}", sample))


@dataclass(frozen=True, repr=False)
class Maker:
    """Builds retrievers over the tiny host."""

    host: Host
    artifact: Artifact

    def __call__(self, documents: Iterable[Document] = ()) -> S3Retriever:
        return S3Retriever.from_documents(documents, host=self.host, artifact=self.artifact, config=CONFIG)

    def load(self, path: Path) -> S3Retriever:
        return S3Retriever.load(path, host=self.host)


def document(key: str, edition: int) -> Document:
    """A version of a document."""
    chosen = random.Random(f"{key} {edition}").choices(SENTENCES, k=1 + edition % 5)  # noqa: S311
    return Document(key, " ".join(chosen), f"Edition {edition}", {"edition": edition})


def says(retriever: S3Retriever) -> tuple[tuple[str, ...], list[Span]]:
    """What a retriever holds and finds."""
    return retriever.document_ids, retriever.retrieve(QUESTION, 40)


def holds(index: Index) -> list[tuple[str, list[bool]]]:
    """What an index is made of: its segments, named by all that is in them, and which documents are alive."""
    return [(part.segment.name, part.alive.tolist()) for part in index.snapshot.parts]


def change(retriever: S3Retriever, kind: str, rng: random.Random) -> None:
    """Add, update, delete or merge; where there is nothing to delete, or too much to add to, the other."""
    here = retriever.document_ids
    kind = {"add": "delete", "delete": "add"}.get(kind, kind) if _impossible(kind, len(here)) else kind
    if kind == "add":
        key = rng.choice([key for key in KEYS if key not in here])
        retriever.add([document(key, rng.randint(0, 99))])
    elif kind == "update":
        keys = rng.sample(KEYS, rng.randint(1, 3))
        retriever.update([document(key, rng.randint(0, 99)) for key in keys])
    elif kind == "delete":
        retriever.delete(rng.sample(here, rng.randint(1, 2)))
    elif kind == "merge":
        retriever.merge()


def _impossible(kind: str, held: int) -> bool:
    return (kind == "delete" and held < 2) or (kind == "add" and held == len(KEYS))


def overwrite(retriever: S3Retriever, path: Path) -> None:
    """What ``index --overwrite`` does once the documents are scanned."""
    with new_folder(path, follow=True) as new:
        retriever.save(new)


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Whether a child process that does something died before its step number ``step``.

    A step is an operation on the file system, or the sync of a file or folder.
    """
    child = os.fork()
    if not child:
        steps, fsync = itertools.count(), os.fsync

        def count(event: str = "open", _: object = None) -> None:
            if event in _STEPS and next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        def sync(descriptor: int) -> None:
            count()
            fsync(descriptor)

        os.fsync = sync
        sys.addaudithook(count)
        try:
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def litter(path: Path) -> list[str]:
    """What lies in and beside a saved index that is no part of it."""
    beside = [entry.name for entry in path.parent.iterdir() if entry.name.startswith(f".{path.name}-")]
    inside = [entry.name for entry in path.iterdir() if entry.name not in WHOLE]
    names = (path / "index" / name for name in (".", "segments"))
    dots = [entry.name for folder in names for entry in folder.glob(".*") if entry.name != ".lock"]
    return [*beside, *inside, *dots]


def files(path: Path) -> Iterator[Path]:
    """Yield the files in a folder, sorted, without locks."""
    return (file for file in sorted(path.rglob("*")) if file.is_file() and file.name != ".lock")
