"""A corpus of files: what would be documents, each with a hash, before anything is read for good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from s3_retriever.disk import hash_values
from s3_retriever.documents import Document
from s3_retriever.errors import InvalidInputError, UnreadableFileError
from s3_retriever.sources.files import (
    LINES,
    FileSettings,
    SourceFile,
    check_libraries,
    reader_of,
    to_document,
)
from s3_retriever.sources.folder import find_files
from s3_retriever.sources.jsonl import document_of, parse_object


@dataclass(frozen=True)
class Problem:
    """Something that could not be read.

    Attributes:
        path: The file, as the id of its document, or a folder; with the line where it is one.
        reason: Why, as part of a sentence.
    """

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class FileEntry:
    """A document that has not been read yet.

    Attributes:
        id: Its id.
        source_hash: Changes when what it is read from does, or the reader.
        file: Where it is.
        start: Where its line begins in the file, in bytes, where the file has a document a line.
    """

    id: str
    source_hash: str
    file: SourceFile
    start: int | None = None


@dataclass
class Corpus:
    """The documents that some files are: call :meth:`survey`, then :meth:`documents`, or ``sync`` with it.

    A file is a document, and its path below the folder its id, with slashes. Where several paths are given,
    the id begins with the path. JSON Lines of ``{_id, text}`` are a document a line. Its id is ``_id`` where
    the file is all that was given, else ``"{id of the file}#{_id}"``.

    Attributes:
        paths: Folders, files, patterns such as ``"manuals/**/*.pdf"``, and ``"-"`` for standard input.
        settings: What to read, and how.
        without: Folders to leave out.
        strict: Whether what cannot be read is an error.
        entries: The documents, by their ids, in order; filled by :meth:`survey`.
        problems: What could not be read so far.

    Examples:
        >>> folder = Path("manuals")
        >>> folder.mkdir()
        >>> _ = (folder / "ferry.txt").write_text("The ferry leaves at nine.")
        >>> _ = (folder / "empty.md").write_text("")
        >>> corpus = Corpus([str(folder)])
        >>> corpus.survey()
        >>> [(document.id, document.text) for document in corpus.documents()]
        [('ferry.txt', 'The ferry leaves at nine.')]
        >>> print(*corpus.problems)
        empty.md: it is empty
    """

    paths: Sequence[str]
    settings: FileSettings = field(default_factory=FileSettings)
    without: Sequence[Path] = ()
    strict: bool = False
    entries: dict[str, FileEntry] = field(default_factory=dict, init=False)
    problems: list[Problem] = field(default_factory=list, init=False)
    _unread: set[str] = field(default_factory=set, init=False)
    _lost_lines: bool = field(default=False, init=False)  # of a file whose documents are called by their _id

    def survey(self) -> None:
        """Look at all files again, and hash them.

        Raises:
            InvalidInputError: A path is not there, or two files have one id.
            MissingDependencyError: A library that reads some of the files is missing.
            UnreadableFileError: Something cannot be read, and the corpus is strict.
        """
        self.entries, self.problems, self._unread, self._lost_lines = {}, [], set(), False
        files = list(find_files(self.paths, self.settings, self.report, without=self.without))
        check_libraries(file.ending for file in files)
        alone = len(files) == 1 and not Path(self.paths[0]).is_dir()
        for file in files:
            self.look_at(file, alone=alone)

    def read(self, entry: FileEntry) -> Document:
        """Read a document; its hash is that of what was read, should it have changed since the survey.

        Raises:
            UnreadableFileError: It cannot be read.
            OSError: The same.
        """
        if entry.start is None:
            data = entry.file.read(self.settings)
            return to_document(entry.file, data, _hash(entry.file, data), self.settings)
        with entry.file.open() as file:
            file.seek(entry.start)
            raw = file.readline()
        found = hash_values(raw.strip())
        if found != entry.source_hash:
            msg = "it changed while it was read; do the same again"
            raise UnreadableFileError(msg)
        place = f"{entry.file.path}, byte {entry.start}"
        return document_of(parse_object(raw, place), place, entry.id, found)

    def look_at(self, file: SourceFile, *, alone: bool = False) -> None:
        """Look at one more file.

        Args:
            file: The file.
            alone: Whether it is all that there is, so that its lines keep their ids.

        Raises:
            InvalidInputError: One of its documents has the id of another.
            UnreadableFileError: It cannot be read, and the corpus is strict.
        """
        try:
            named = file.ending in LINES
            if (named and alone) or ((named or _is_nameless(file)) and _has_lines(file)):
                self._look_at_lines(file, "" if alone else f"{file.id}#")
            else:
                self._add(FileEntry(file.id, _hash(file, file.read(self.settings)), file))
        except (UnreadableFileError, OSError) as error:
            self.report(file.id, error)

    def documents(self) -> Iterator[Document]:
        """Read all documents, lazily; what cannot be read is added to the problems.

        Raises:
            UnreadableFileError: Something cannot be read, and the corpus is strict.
        """
        for entry in self:
            document = self.try_to_read(entry)
            if document is not None:
                yield document

    def try_to_read(self, entry: FileEntry) -> Document | None:
        """Read a document, or add it to the problems.

        Raises:
            UnreadableFileError: It cannot be read, and the corpus is strict.
        """
        try:
            return self.read(entry)
        except (UnreadableFileError, OSError) as error:
            self.report(entry.id, error)
            return None

    def report(self, path: str, error: Exception) -> None:
        """Keep what could not be read, and why.

        Raises:
            UnreadableFileError: The corpus is strict.
        """
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problem = Problem(path, reason.removeprefix(f"{path}: "))
        if self.strict:
            raise UnreadableFileError(str(problem)) from error
        self.problems.append(problem)
        self._unread.add(path)

    def keeps(self, doc_id: str) -> bool:
        """Whether a document is of something that is there but could not be read: it has to stay."""
        if self._lost_lines:
            return True
        return any(doc_id == path or doc_id.startswith((f"{path}#", f"{path}/")) for path in self._unread)

    def _look_at_lines(self, file: SourceFile, prefix: str) -> None:
        numbers: dict[str, int] = {}
        start = 0
        with file.open() as lines:
            for number, raw in enumerate(lines, 1):
                if line := raw.strip():
                    self._look_at_line(
                        FileEntry(prefix, hash_values(line), file, start), line, number, numbers
                    )
                start += len(raw)

    def _look_at_line(self, entry: FileEntry, raw: bytes, number: int, numbers: dict[str, int]) -> None:
        """Take a line; ``entry`` has the prefix of ids for its id, ``numbers`` the lines before by ids."""
        place = f"{entry.file.id}, line {number}"
        try:
            document = document_of(parse_object(raw, place), place)
            if document.id in numbers:
                first = numbers[document.id]
                msg = f"{place}: the id {document.id!r} is that of line {first}; give each its own"
                raise InvalidInputError(msg)
            numbers[document.id] = number
            self._add(replace(entry, id=entry.id + document.id))
        except InvalidInputError as error:
            self.report(place, error)
            self._unread.add(entry.file.id)
            self._lost_lines |= not entry.id

    def _add(self, entry: FileEntry) -> None:
        if entry.id in self.entries:
            other = self.entries[entry.id].file.path
            msg = f"{other} and {entry.file.path} both have a document {entry.id!r}; index them apart"
            raise InvalidInputError(msg)
        self.entries[entry.id] = entry

    def __iter__(self) -> Iterator[FileEntry]:
        return iter(self.entries.values())

    def __len__(self) -> int:
        return len(self.entries)


def _is_nameless(file: SourceFile) -> bool:
    """Whether a file is standard input or a pipe, whose name says nothing."""
    return file.data is not None and not file.ending


def _hash(file: SourceFile, data: bytes) -> str:
    return hash_values(reader_of(file.ending), data)


def _has_lines(file: SourceFile) -> bool:
    """Whether the first line that is not blank is a document."""
    with file.open() as lines:
        for raw in lines:
            if raw.strip():
                try:
                    fields = parse_object(raw, "")
                except InvalidInputError:
                    return False
                return isinstance(fields.get("_id"), str) and isinstance(fields.get("text"), str)
    return False
