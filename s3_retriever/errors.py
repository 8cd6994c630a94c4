"""Every exception this package raises on purpose.

Each class also subclasses the built-in that fits, so ``except ValueError`` and
``except S3RetrieverError`` both work.
"""


class S3RetrieverError(Exception):
    """Base class of all errors raised by this package."""


class InvalidInputError(S3RetrieverError, ValueError):
    """A value given by the caller cannot be used; the message names it and the way out."""


class InvalidDocumentError(InvalidInputError):
    """A document is malformed: no text, a wrong type, an id that is empty or not a string."""


class DuplicateDocumentError(InvalidInputError):
    """A document id is already in the index, or occurs twice in one call."""


class UnknownDocumentError(S3RetrieverError, KeyError):
    """A document id is not in the index."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class HostNotFoundError(S3RetrieverError, FileNotFoundError):
    """The host's weights are neither on this machine nor to be had from where it looked."""


class UnsupportedHostError(InvalidInputError):
    """The model or tokenizer cannot serve as a host (encoder only, slow tokenizer, unknown family)."""


class ArtifactError(InvalidInputError):
    """An artifact is missing, damaged, of another version, or belongs to another host."""


class CheckpointError(InvalidInputError):
    """What an interrupted run left is damaged, or belongs to a run with other settings or data."""


class IndexFormatError(S3RetrieverError, ValueError):
    """An index on disk is missing a file, truncated, altered, or of another version."""


class IndexBusyError(S3RetrieverError, BlockingIOError):
    """Somebody else, another process or thread, is saving to the same folder."""


class MissingDependencyError(S3RetrieverError, ImportError):
    """An optional package is needed; the message names the extra that installs it."""
