"""Metadata by key instead of by document: what a filter reads, without touching a document.

Each key that a document of a segment has is a *column*: the distinct values of that key, and for each
document that has the key the number (*code*) of its value. A filter decides about the values; the decision
about the documents is then one NumPy lookup. Documents without the key take no space.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from s3_retriever.documents import Document
from s3_retriever.errors import IndexFormatError, InvalidDocumentError
from s3_retriever.index.documents import INDEX_AGAIN, ascends, file_of
from s3_retriever.json_form import parse_json
from s3_retriever.locks import cached_property

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

ARRAYS = {
    "metadata_json": np.uint8,
    "metadata_lines": np.int64,
    "metadata_pointers": np.int64,
    "metadata_documents": np.int32,
    "metadata_codes": np.int32,
}
"""The arrays that make up the columns of a segment, with their types."""


def value_key(value: object) -> Hashable:
    """Return what two metadata values share exactly when they count as equal.

    Numbers are equal by value (1 and 1.0), a bool is no number, a tuple is a list. All NaN share a key, so
    that they take one place; no filter may ask for it.

    Raises:
        TypeError: The value, or one inside it, is not of JSON.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, (int, float)):
        return value if value == value else (float,)
    if isinstance(value, (list, tuple)):
        return (list, *map(value_key, value))
    if isinstance(value, Mapping):
        return (dict, frozenset((name, value_key(inner)) for name, inner in value.items()))
    msg = f"{value!r:.80} is a {type(value).__name__}, which JSON does not have"
    raise TypeError(msg)


class Entry(NamedTuple):
    """One key of a document's metadata."""

    name: str
    value: Any
    key: Hashable


def entries(document: Document) -> list[Entry]:
    """Return the metadata of a document whose metadata is as JSON has it.

    Raises:
        InvalidDocumentError: It is nested too deeply to be compared.
    """
    try:
        return [Entry(name, value, value_key(value)) for name, value in document.metadata.items()]
    except RecursionError as error:
        msg = f"document {document.id!r}: its metadata is nested too deeply"
        raise InvalidDocumentError(msg) from error


class Column:
    """The values of one key; nothing in it ever changes.

    Attributes:
        values: The V distinct values; a document may have been deleted since.
        documents: int32 (N,), the documents that have the key, ascending.
        codes: int32 (N,), which value each of them has.
    """

    def __init__(self, values: Sequence[Any], documents: Array, codes: Array) -> None:
        self.values = values
        self.documents = documents
        self.codes = codes

    def at(self, codes: Any) -> Bools:
        """Return bool (V,), true at some codes."""
        chosen = np.zeros(len(self.values), np.bool_)
        chosen[codes] = True
        return chosen

    def equal(self, *values: object) -> Bools:
        """Return bool (V,): which values equal one of some."""
        return self.at([self._places[key] for key in map(value_key, values) if key in self._places])

    def holding(self, *values: object) -> Bools:
        """Return bool (V,): which values are lists with an element that equals one of some."""
        return self.at([code for key in map(value_key, values) for code in self._holders.get(key, [])])

    @cached_property
    def lists(self) -> Bools:
        """Which values are lists, bool (V,)."""
        return np.array([isinstance(value, list) for value in self.values], np.bool_)

    @cached_property
    def numbers(self) -> tuple[list[float], Array]:
        """The numbers among the values, ascending, and int64 codes of them; NaN has no order."""
        return self._ordered((int, float))

    @cached_property
    def texts(self) -> tuple[list[str], Array]:
        """The texts among the values, ascending by code points, and int64 codes of them."""
        return self._ordered((str,))

    @cached_property
    def _places(self) -> dict[Hashable, int]:
        return {value_key(value): code for code, value in enumerate(self.values)}

    @cached_property
    def _holders(self) -> dict[Hashable, list[int]]:
        holders: dict[Hashable, list[int]] = {}
        for code in np.flatnonzero(self.lists).tolist():
            for key in {value_key(element) for element in self.values[code]}:
                holders.setdefault(key, []).append(code)
        return holders

    def _ordered(self, kinds: tuple[type, ...]) -> tuple[list[Any], Array]:
        # Python's own order: converting to float64 would make large whole numbers equal that are not.
        codes = [code for code, value in enumerate(self.values) if type(value) in kinds and value == value]
        codes.sort(key=self.values.__getitem__)
        return [self.values[code] for code in codes], np.array(codes, np.int64)


class MetadataColumns:
    """All columns of a segment of D documents; a column is decoded when it is first asked for.

    Attributes:
        n_documents: D.
        arrays: By their names in :data:`ARRAYS`, maybe memory-mapped:

            - ``metadata_json``: UTF-8 of K + 1 lines of JSON: the K keys, then the values of each.
            - ``metadata_lines``: (K + 2,), where each line begins and ends.
            - ``metadata_pointers``: (K + 1,), where each key's entries begin and end.
            - ``metadata_documents``: each entry's document, ascending within a key.
            - ``metadata_codes``: the number of its value.

    Raises:
        IndexFormatError: The arrays contradict each other.
    """

    def __init__(self, n_documents: int, arrays: Mapping[str, Array]) -> None:
        self.n_documents = n_documents
        self.arrays = dict(arrays)
        self._decoded: dict[str, Column] = {}
        self._check()

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(int(values.nbytes) for values in self.arrays.values())

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys, ascending."""
        keys = self._line(0)
        distinct = set(filter(_is_text, keys))
        if not len(distinct) == len(keys) == len(self.arrays["metadata_lines"]) - 2:
            self._contradict("the keys")
        return tuple(keys)

    def column(self, key: str) -> Column | None:
        """Return a key's column, if one of the documents has the key.

        Raises:
            IndexFormatError: The column contradicts itself.
        """
        column = self._decoded.get(key)
        if column is None and key in self._numbers:
            # Two threads may decode a column at once; they come to the same.
            column = self._decoded[key] = self._decode(self._numbers[key])
        return column

    def __iter__(self) -> Iterator[tuple[str, Column]]:
        """Decode the columns one after the other, and keep none."""
        return ((key, self._decode(number)) for key, number in self._numbers.items())

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {key: number for number, key in enumerate(self.keys)}

    def _line(self, number: int) -> list[Any]:
        begin, end = self.arrays["metadata_lines"][number : number + 2].tolist()
        line = self.arrays["metadata_json"][begin:end].tobytes()
        try:
            values = parse_json(line.decode("utf-8", "surrogatepass"))
            for value in values if isinstance(values, list) else ():
                if isinstance(value, (list, dict)):
                    value_key(value)  # not nested too deeply to be compared
        except (ValueError, RecursionError) as error:
            self._contradict(f"line {number + 1} ({type(error).__name__}: {error})")
        if not isinstance(values, list):
            self._contradict(f"line {number + 1}, which is no list,")
        return values

    def _decode(self, number: int) -> Column:
        values = self._line(number + 1)
        begin, end = self.arrays["metadata_pointers"][number : number + 2].tolist()
        documents = self.arrays["metadata_documents"][begin:end]
        codes = self.arrays["metadata_codes"][begin:end]
        if not (_within(documents, self.n_documents) and _within(codes, len(values))):
            self._contradict(f"the column {self.keys[number]!r}")
        return Column(values, documents, codes)

    def _check(self) -> None:
        lines, pointers = self.arrays["metadata_lines"], self.arrays["metadata_pointers"]
        sound = (
            all(self.arrays[name].dtype == dtype for name, dtype in ARRAYS.items())
            and all(values.ndim == 1 for values in self.arrays.values())
            and len(lines) == len(pointers) + 1 >= 2
            and ascends(lines, len(self.arrays["metadata_json"]))
            and ascends(pointers, len(self.arrays["metadata_documents"]))
            and len(self.arrays["metadata_documents"]) == len(self.arrays["metadata_codes"])
        )
        if not sound:
            self._contradict("the columns")

    def _contradict(self, what: str) -> NoReturn:
        source = file_of(self.arrays["metadata_json"])
        msg = f"{what} of {source} and the metadata beside it contradict each other; {INDEX_AGAIN}"
        raise IndexFormatError(msg)


class _Growing:
    """A column that is being built."""

    def __init__(self) -> None:
        self.places: dict[Hashable, int] = {}
        self.values: list[Any] = []
        self.documents = array("i")
        self.codes = array("i")

    def place(self, value: object, key: Hashable) -> int:
        """Return the code of a value; a new value gets the next one."""
        code = self.places.setdefault(key, len(self.values))
        if code == len(self.values):
            self.values.append(value)
        return code


class MetadataBuilder:
    """Builds the columns of a segment, document by document."""

    def __init__(self) -> None:
        self._columns: dict[str, _Growing] = {}
        self._n_documents = 0

    def add(self, document: Sequence[Entry]) -> None:
        """Append a document with its metadata."""
        for name, value, key in document:
            column = self._columns.setdefault(name, _Growing())
            column.documents.append(self._n_documents)
            column.codes.append(column.place(value, key))
        self._n_documents += 1

    def extend(self, columns: MetadataColumns, alive: Bools) -> None:
        """Append the documents of a segment for which ``alive`` (bool (D,)) is true."""
        numbers = np.cumsum(alive) - 1 + self._n_documents
        for name, old in columns:
            live = alive[old.documents]
            if not live.any():
                continue
            column = self._columns.setdefault(name, _Growing())
            codes = old.codes[live]
            used, first = np.unique(codes, return_index=True)
            recoded = np.zeros(len(old.values), np.int32)
            for code in used[np.argsort(first)].tolist():  # by first appearance, as from scratch
                recoded[code] = column.place(old.values[code], value_key(old.values[code]))
            column.documents.frombytes(numbers[old.documents[live]].astype(np.int32).tobytes())
            column.codes.frombytes(recoded[codes].tobytes())
        self._n_documents += int(alive.sum())

    def build(self) -> MetadataColumns:
        """Return the columns."""
        names = sorted(self._columns)
        columns = [self._columns[name] for name in names]
        lines = [_to_line(names), *(_to_line(column.values) for column in columns)]
        documents = b"".join(column.documents.tobytes() for column in columns)
        codes = b"".join(column.codes.tobytes() for column in columns)
        arrays: dict[str, Array] = {
            "metadata_json": np.frombuffer(b"".join(lines), np.uint8),
            "metadata_lines": np.cumsum([0, *map(len, lines)], dtype=np.int64),
            "metadata_pointers": np.cumsum([0, *(len(column.codes) for column in columns)], dtype=np.int64),
            "metadata_documents": np.frombuffer(documents, np.int32),
            "metadata_codes": np.frombuffer(codes, np.int32),
        }
        return MetadataColumns(self._n_documents, arrays)


def _to_line(values: Sequence[Any]) -> bytes:
    return f"{json.dumps(values, ensure_ascii=False)}\n".encode("utf-8", "surrogatepass")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _within(numbers: Array, end: int) -> bool:
    return bool(not len(numbers) or (numbers.min() >= 0 and numbers.max() < end))
