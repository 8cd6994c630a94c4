"""docs/format.md is enough to read an index: the reader here is written from that page alone.

It uses nothing of this package but the ranges of characters, and of NumPy only how numbers lie in bytes. The
package's own objects are what it is compared with.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import struct
from collections import defaultdict
from collections.abc import Callable
from itertools import accumulate, dropwhile, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_terms import plain_terms

from s3_retriever import Document, Host, RetrieverConfig, S3Retriever, ScanConfig
from s3_retriever.encode import Artifact
from s3_retriever.index import Index, Layout, SegmentBuilder
from s3_retriever.index.words import words

CELL, BLOCK = 32, 65_536
UNSIGNED = (
    "feature_counts",
    "token_gaps",
    "token_ids",
    "term_lengths",
    "term_gap_bytes",
    "cell_lengths",
    "context_term_lengths",
    "context_term_gap_bytes",
    "context_cell_lengths",
    "unit_gaps",
)
TYPES = {
    "U8": "u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
    "I32": "<i4",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "I8": "i1",
}

TEXT = "A retriever returns the spans of a text that answer a question."
CODE = (
    "```python\nclass Pier:\n    def open(self):\n        return self.gate.open()\n\n\nprint(Pier())\n```\n"
)
TABLE = "Pier\tFerry\tDepth\n" + "".join(
    f"{i}\tRed {i}\t{i * i}\n" + "\n* * *\n\n" * (i == 9) for i in range(20)
)
DOCUMENTS = [
    Document(
        "fox",
        "The quick brown fox 🦊 jumps. " * 12 + "Its tag is XR-500, see No. 7.",
        "A fox",
        {"year": 1997, "tags": ["fox", "dog"]},
    ),
    Document("empty", "", metadata={"year": 1997.0}),
    Document("cities", "東京都 und Straßen: the lodger's cities, the city. " * 9, "In two cities"),
    Document(
        "ferries.md",
        f"# The boats\n\n{TEXT} {TEXT}\n\n## Spare parts\n\n{TEXT}\n\n# Prices\n\n{TEXT}\n\n"
        f"{TABLE}\n{TEXT}\n\n{CODE}",
    ),
    Document("gone", "This one is deleted again.", metadata={"year": 3, "gone": True}),
    Document("lone \ud83e", f"{TEXT} \udd8a\n{TEXT}", "", {"Ärger": None, "year": True}),
]
LATER = [Document("late", f"{TEXT} {TEXT}", "", {"tags": []}, pages=(0, 7, 7, 60), source_hash="0f")]

# fmt: off
FRAGMENTS = (
    "getUserById", "URLs", "HTTPServers2", "x86_64", "snake_case_name", "a1b2c3d4e5", "iPhone", "CoV",
    "__init__", "A", "1", "Straßen", "İstanbul", "ıŞık", "naïve", "nai\u0308ve", "café", "Æther", "œuvre",
    "ẞ", "Ǆ", "ПРИВЕТ", "ёлка", "Й", "ΛΌΓΟΣ", "קָמָץ", "مُحَمَّد",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "کتاب", "هـــذا", "ﷺ", "東京都", "カﾞ", "\u304b\u3099",
    "한국어", "\u1112\u1161\u11ab", "ภาษาไทย", "น้ำ", "မြန်မာ", "ភាសាខ្មែរ", "हिन्दी", "தமிழ்", "№", "㎏", "㏒",
    "５０", "Ⅷ", "ﬁne", "½", "x²", "™", "①", "⒈", "1,234,567", "12,34,567", "1 234", "3.14", "3,14", "1.2.3",
    "v1.2.3", "10,20,30", "1'000", "1’000.50", "1,234.5", "0,123", "1.234,56", "12\u202f345", "1\xa0234",
    "2023 100", "7 1234", "١٢٣٫٤٥", "١٬٢٣٤", "lodger's", "dogs’", "IT'S", "cities", "shoes", "bees", "bus",
    "class", "ties", "trans-\nport", "trans-  \r\n   port", "trans\xad\nport", "trans\xad \nport", "so\xadft",
    "zero\u200bwidth", "\ufeffbom", "e\u0301\u0327", "q\u0323\u0307", "a-\n1", "1-\n2", "co-op", "🦊",
    "2012-02-29", "2012/2/9", "29/02/2012", "2012-02-29T12:00", "1-2-2012-3", "2012-02/29", "2012/02/29/a",
)
GLUE = (
    "", " ", "\n", ".", ",", "'", "’", "_", "-", "-\n", " \n", "\u200d", "\xa0", " 100", "1", "…", "\xad",
    "'s", "/",
)
# fmt: on


# The reader, from here ...


def read_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def read_arrays(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    (length,) = struct.unpack_from("<Q", data)
    arrays = {}
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            dtype = np.dtype(TYPES[entry["dtype"]])
            assert begin % dtype.itemsize == 0
            raw = data[8 + length + begin : 8 + length + end]
            arrays[name] = np.frombuffer(raw, dtype).reshape(entry["shape"])
    return arrays


def between(pointers: Any, number: int) -> slice:
    return slice(int(pointers[number]), int(pointers[number + 1]))


def digest(value: Any, more: bytes = b"") -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode() + more).hexdigest()


class ReadSegment:
    """One segment: documents, the tokens of each, postings, metadata by key."""

    def __init__(self, folder: Path, layout: dict[str, Any]) -> None:
        self.arrays = read_arrays((folder / "arrays.safetensors").read_bytes())
        for name in UNSIGNED:
            size = self.arrays[name].itemsize
            assert size == 1 or self.arrays[name].max() >= 256 ** (size // 2)
        lines, offsets = (folder / "documents.jsonl").read_bytes(), self.arrays["document_offsets"]
        n_documents = len(offsets) - 1
        self.documents = [json.loads(read_text(lines[between(offsets, i)])) for i in range(n_documents)]
        assert [one["id"] for one in self.documents] == json.loads(read_text(self.arrays["ids"].tobytes()))
        tokens = [between(self.arrays["token_pointers"], i) for i in range(n_documents)]
        self.starts = [list(accumulate(self.arrays["token_gaps"][own].tolist())) for own in tokens]
        self.token_ids = [self.arrays["token_ids"][own].tolist() for own in tokens]
        self.layout = layout
        self.tokens_at = self._tokens_at()
        self.lists = self._lists()

    def _tokens_at(self) -> dict[int, tuple[int, int]]:
        """Return for each position that has a token its document and its number there."""
        places, cells = {}, 0
        for document, starts in enumerate(self.starts):
            places |= {CELL * cells + token: (document, token) for token in range(len(starts))}
            cells += math.ceil(len(starts) / CELL)
        self.n_cells = cells
        return places

    def _lists(self) -> list[list[list[tuple[int, float]]]]:
        """Return for each block and feature of all taps the positions and the weights there."""
        counts, data = self.arrays["feature_counts"].tolist(), self.arrays["feature_lists"].tobytes()
        assert len(counts) == math.ceil(CELL * self.n_cells / BLOCK)
        at, lists = 0, []
        pairs = zip(self.layout["k"], self.layout["n_features"], strict=True)
        weakest = [0.42 / math.sqrt(k) for k, n_features in pairs for _ in range(n_features)]

        def read(width: int) -> int:
            nonlocal at
            value = int.from_bytes(data[at // 8 : (at + width) // 8 + 1], "little") >> at % 8
            at += width
            return value % (1 << width)

        for b, of_block in enumerate(counts):
            n_cells = min(BLOCK // CELL, self.n_cells - b * (BLOCK // CELL))
            lists.append(
                [self._list(n, n_cells, b * BLOCK, w, read) for n, w in zip(of_block, weakest, strict=True)]
            )
            read(-at % 8)
        assert data[at // 8 :] == bytes(8)
        return lists

    @staticmethod
    def _list(
        n: int, n_cells: int, first: int, weakest: float, read: Callable[[int], int]
    ) -> list[tuple[int, float]]:
        if not n:
            return []
        size = n_cells * CELL
        low = math.floor(math.log2(size / n))
        fields = [read(low + 4) for _ in range(n)]
        marks = [read(1) for _ in range(n + (size - 1) // 2**low)]
        highs = [mark - i for i, mark in enumerate(mark for mark, bit in enumerate(marks) if bit)]
        found = []
        for field, high in zip(fields, highs, strict=True):
            place, level = high * 2**low + field % 2**low, field // 2**low
            weight = weakest + 0.05 * (level + 0.5)
            found.append((first + place % n_cells * CELL + place // n_cells, weight))
        return sorted(found)

    def postings(self, tap: int, feature: int) -> list[tuple[int, float]]:
        """Return the positions of a feature, and its weights there."""
        column = sum(self.layout["n_features"][:tap]) + feature
        return [posting for block in self.lists for posting in block[column]]

    def context(self) -> list[set[str]]:
        """Return for each cell the terms that stand above it."""
        ends = defaultdict(list)
        for cell, terms in enumerate(self.terms("context_")):
            for term in terms:
                ends[term].append(cell)
        cells: list[set[str]] = [set() for _ in self.arrays["cell_lengths"]]
        for term, own in ends.items():
            for first, last in zip(own[::2], own[1::2], strict=True):
                for cell in cells[first : last + 1]:
                    cell.add(term)
        return cells

    def terms(self, of: str = "") -> list[list[str]]:
        """Return the terms of each cell, ascending, as often as they are there."""
        cells: list[list[str]] = [[] for _ in self.arrays[f"{of}cell_lengths"]]
        text, gaps = self.arrays[f"{of}term_text"].tobytes(), self.arrays[f"{of}term_cells"].tolist()
        offsets, pointers = (
            list(accumulate(self.arrays[of + name].tolist(), initial=0))
            for name in ("term_lengths", "term_gap_bytes")
        )
        for number in range(len(offsets) - 1):
            cell = gap = bits = 0
            for byte in gaps[between(pointers, number)]:
                gap += byte % 128 << bits
                bits += 7
                if byte < 128:
                    cell += gap
                    cells[cell].append(read_text(text[between(offsets, number)]))
                    gap = bits = 0
        assert [len(cell) for cell in cells] == self.arrays[f"{of}cell_lengths"].tolist()
        return cells

    def units(self) -> list[list[tuple[str, int, int, bool]]]:
        """Return of each document its units: text, kind, level, whether a block begins."""
        found = []
        columns = [self.arrays[name].tolist() for name in ("unit_gaps", "unit_kinds", "unit_levels")]
        for number, document in enumerate(self.documents):
            gaps, kinds, levels = (
                column[between(self.arrays["unit_pointers"], number)] for column in columns
            )
            borders = [*accumulate(gaps), len(document["text"])]
            texts = [document["text"][a:b] for a, b in pairwise(borders)]
            found.append(
                [
                    (text, kind % 128, level, kind >= 128)
                    for text, kind, level in zip(texts, kinds, levels, strict=True)
                ]
            )
        return found

    def metadata(self) -> list[dict[str, Any]]:
        """Return each document's metadata, from the columns."""
        rows: list[dict[str, Any]] = [{} for _ in self.documents]
        text = self.arrays["metadata_json"].tobytes()
        pointers = self.arrays["metadata_lines"]
        keys, *values = (json.loads(read_text(text[between(pointers, j)])) for j in range(len(pointers) - 1))
        for j, key in enumerate(keys):
            own = between(self.arrays["metadata_pointers"], j)
            codes = self.arrays["metadata_codes"][own].tolist()
            for document, code in zip(self.arrays["metadata_documents"][own].tolist(), codes, strict=True):
                rows[document][key] = values[j][code]
        return rows


class ReadIndex:
    """The index: its header, its segments, the numbers of deleted documents in each."""

    def __init__(self, folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        assert (manifest["format"], manifest["version"]) == ("s3-retriever index", 8)
        content = manifest["content"]
        assert manifest["sha256"] == digest(content)
        self.header = content["header"]
        self.segments, self.deleted = [], []
        for entry in content["segments"]:
            place = folder / "segments" / entry["name"]
            assert {path.name for path in place.iterdir()} == set(entry["files"])
            for name, expected in entry["files"].items():
                data = (place / name).read_bytes()
                assert (len(data), hashlib.sha256(data).hexdigest()) == (
                    expected["bytes"],
                    expected["sha256"],
                )
            self.segments.append(ReadSegment(place, content["layout"]))
            self.deleted.append(set(entry["deleted"]))

    def documents(self) -> list[dict[str, Any]]:
        return [
            document
            for segment, deleted in zip(self.segments, self.deleted, strict=True)
            for number, document in enumerate(segment.documents)
            if number not in deleted
        ]


def read_artifact(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]], str]:
    """Return the header, the tensors and the digest."""
    header = json.loads((folder / "artifact.json").read_bytes())
    assert (header["format"], header["version"]) == ("s3-retriever artifact", 2)
    assert header["sha256"] == digest({key: header[key] for key in header if key != "sha256"})
    data = (folder / "artifact.safetensors").read_bytes()
    assert hashlib.sha256(data).hexdigest() == header["tensors_sha256"]
    tensors = read_arrays(data)
    taps = [[place(tap), tap["k"]] for tap in header["taps"]]
    heads = [[place(head), place(head["tap"])] for head in header["query_heads"]]
    return header, tensors, digest([taps, heads, header["scoring"]], data)[:16]


def place(entry: dict[str, Any]) -> str:
    return f"{entry['layer']}.{entry['head']}"


# ... to here. What follows compares it with the package.


@pytest.fixture
def saved(tiny_artifact: Artifact, tiny_host: Host, tmp_path: Path) -> Path:
    """An index of two segments, one document of the first deleted."""
    config = RetrieverConfig(scan=ScanConfig(chunk_tokens=64, overlap_tokens=16, batch_tokens=128))
    retriever = S3Retriever.from_documents(DOCUMENTS, host=tiny_host, artifact=tiny_artifact, config=config)
    retriever.add(LATER)
    retriever.delete(["gone"])
    retriever.save(tmp_path / "my-index")
    return tmp_path / "my-index"


@pytest.fixture
def read(saved: Path) -> ReadIndex:
    return ReadIndex(saved / "index")


def test_documents(read: ReadIndex) -> None:
    wanted = [document for document in [*DOCUMENTS, *LATER] if document.id != "gone"]
    assert [Document(**document) for document in read.documents()] == wanted


def test_units(read: ReadIndex) -> None:
    units = {
        document["id"]: own
        for segment in read.segments
        for document, own in zip(segment.documents, segment.units(), strict=True)
    }
    assert units["empty"] == []
    assert units["late"] == [(f"{TEXT} ", 1, 0, True), (TEXT, 1, 0, False)]
    for document in [*DOCUMENTS, *LATER]:
        assert "".join(text for text, *_ in units[document.id]) == document.text


@pytest.mark.long
def test_tokens(read: ReadIndex, tiny_host: Host) -> None:
    for segment in read.segments:
        for document, starts, ids in zip(segment.documents, segment.starts, segment.token_ids, strict=True):
            tokens = tiny_host.encode(document["text"])
            assert starts == tokens.starts.tolist()
            assert ids == tokens.ids.tolist()


def test_postings(read: ReadIndex, saved: Path, tiny_artifact: Artifact, tiny_host: Host) -> None:
    """Each token's postings add up to its key, as the artifact encodes it."""
    index = Index.load(saved / "index")
    for segment, ours in zip(read.segments, index.snapshot.segments, strict=True):
        of_tokens: dict[tuple[int, int, int], dict[int, float]] = defaultdict(dict)
        counts = []
        for tap, n_features in enumerate(segment.layout["n_features"]):
            for feature in range(n_features):
                postings = segment.postings(tap, feature)
                assert postings == sorted(postings)
                counts.append(len(postings))
                for position, weight in postings:
                    document, token = segment.tokens_at[position]
                    of_tokens[document, tap, token][feature] = weight
        assert counts == ours.frequencies.tolist()
        for number, document in enumerate(segment.documents):
            ids = segment.token_ids[number]
            if not 0 < len(ids) <= 48:  # one chunk, so that the keys are those of one pass
                continue
            keys = tiny_host.keys([np.array(ids, np.int32)], tiny_artifact.taps)[0]
            for tap, codec in enumerate(tiny_artifact.codecs):
                weakest = 0.42 / math.sqrt(codec.sae.k)
                codes = codec.encode(keys[:, tap])
                for token, (features, weights) in enumerate(zip(codes.features, codes.weights, strict=True)):
                    wanted = {int(f): float(w) for f, w in zip(features, weights, strict=True)}
                    wanted = {f: min(w, weakest + 0.8) for f, w in wanted.items() if w >= weakest}
                    found = of_tokens[number, tap, token]
                    assert found == pytest.approx(wanted, abs=0.0251), (document["id"], tap, token)
    assert any(0 < len(ids) <= 48 for segment in read.segments for ids in segment.token_ids)


def test_the_example_of_the_page(tmp_path: Path) -> None:
    builder = SegmentBuilder(Layout(taps=("1.0",), n_features=(1,), k=(1,)))
    weights = np.zeros((32, 1))
    weights[3], weights[20] = 0.5, 9.0
    builder.begin(Document("a", "a" * 32))
    builder.add(np.arange(32), np.arange(32), [np.zeros((32, 1), np.uint16)], [weights])
    builder.end()
    index = Index(builder.layout, {})
    index.add(builder.build())
    index.save(tmp_path / "index")
    (segment,) = ReadIndex(tmp_path / "index").segments
    assert segment.arrays["feature_lists"].tobytes() == bytes.fromhex("13F405") + bytes(8)
    assert segment.postings(0, 0) == [(3, pytest.approx(0.495)), (20, pytest.approx(1.195))]


@pytest.mark.long
def test_postings_of_several_blocks(tmp_path: Path) -> None:
    """A document of 65,600 tokens goes on in a second block; the one after it begins there."""
    layout = Layout(taps=("1.0",), n_features=(8,), k=(1,))
    builder, lengths = SegmentBuilder(layout), (BLOCK + 64, 40)
    for number, length in enumerate(lengths):
        tokens = np.arange(length)
        builder.begin(Document(str(number), "a" * length))
        builder.add(tokens, tokens, [tokens[:, None] % 8], [np.full((length, 1), 2.0)])
        builder.end()
    index = Index(layout, {})
    index.add(builder.build())
    index.save(tmp_path / "index")
    (segment,) = ReadIndex(tmp_path / "index").segments
    assert len(segment.lists) == 2
    for feature in range(8):
        found = [(*segment.tokens_at[position], weight) for position, weight in segment.postings(0, feature)]
        wanted = [(i, t, 1.195) for i, length in enumerate(lengths) for t in range(feature, length, 8)]
        assert [(i, t, round(weight, 9)) for i, t, weight in found] == wanted


def test_terms(read: ReadIndex) -> None:
    for segment in read.segments:
        expected = []
        for document, starts in zip(segment.documents, segment.starts, strict=True):
            first, cells = len(expected), starts[::CELL]
            expected += [[] for _ in cells]
            for term, at in plain_terms(document["text"]) if cells else ():
                before = [number for number, start in enumerate(cells) if start <= at]
                expected[first + max(before, default=0)].append(term)
        assert segment.terms() == [sorted(cell) for cell in expected]
    (cities,) = (n for n, document in enumerate(read.segments[0].documents) if document["id"] == "cities")
    assert cities == 2
    found = {term for cell in read.segments[0].terms() for term in cell}
    assert found >= {"東京", "東", "京都", "und", "strassen", "lodger", "city", "retriever", "span"}
    assert found.isdisjoint({"cities", "lodgers", "s", "in", "two"})


def plain_designations(text: str) -> list[tuple[str, int]]:
    """Designations of the texts here, each with the offset of its end."""
    word, run = r"[^\W\d_]+\.?[ \xa0]?[#№]?[ \xa0]?", r"[^\W_]+(?:[-/._:][^\W_]+)*"
    found = []
    for match in re.finditer(rf"(?<![^\W_])(?:{word}(?=\d))?(?<![^\W_][-/._:]){run}", text):
        parts = re.findall(r"[^\W\d_]+|\d+", match[0])
        if any(map(str.isdigit, parts)) and len(parts) > 1:
            found.append(("@" + " ".join(part.casefold() for part in parts), match.end()))
    return found


def test_context(read: ReadIndex) -> None:
    """The rules, for each unit and cell: titles, file names, pages, headings, lines that open functions."""
    for segment in read.segments:
        expected = []
        for document, starts, units in zip(segment.documents, segment.starts, segment.units(), strict=True):
            names = [document["title"], document["id"] if document["id"].endswith(".md") else ""]
            cells = [{term for name in names for term, _ in plain_terms(name)} for _ in starts[::CELL]]
            for own in cells:
                own |= {*plain_names(names[0]), *plain_names(names[1].split("/")[-1])}
            borders = [*accumulate((len(text) for text, *_ in units), initial=0)]
            places = [*enumerate(pairwise([0, *starts[CELL::CELL], 10**9]))] if starts else []
            for number, (begin, end) in enumerate(pairwise([*document["pages"], len(document["text"])]), 1):
                for n, (first, after) in places:
                    if first < end and begin < min(end, after):
                        cells[n].add(f"\f{number}")
            for i, (text, kind, level, _) in enumerate(units):
                closing = {2: (2,), 7: (6, 7)}.get(kind, ())
                ends = [
                    j for j in range(i + 1, len(units)) if units[j][1] in closing and units[j][2] <= level
                ]
                end = borders[min([*ends, len(units)])]
                for n, (begin, after) in enumerate(pairwise([0, *starts[CELL::CELL], 10**9])):
                    if closing and begin < end and borders[i] < after:
                        cells[n] |= {("#" if kind == 2 else "") + term for term, _ in plain_terms(text)}
                        cells[n] |= {*plain_names(text)} if kind == 2 else set()
            behind = 0
            parts = [(kind, borders[i], borders[i + 1]) for i, (_, kind, *_) in enumerate(units) if kind != 9]
            firsts = [i for i in range(len(parts)) if parts[i][0] == 5 and (not i or parts[i - 1][0] != 5)]
            for first in firsts:
                row = next((j for j in range(first, len(parts)) if parts[j][0] != 5), len(parts) - 1)
                if parts[row][0] == 4:
                    last = next((j for j in range(row, len(parts)) if parts[j][0] != 4), len(parts)) - 1
                    inside = [n for n, (at, to) in places if at < parts[last][2] and parts[first][1] < to]
                    inside = [n for n in inside if n >= behind]
                    if len(inside) >= 4:
                        behind = inside[-1] + 1
                        for n in inside:
                            cells[n].add("|")
            for term, end in plain_designations(document["text"]) if starts else ():
                cells[max(n for n, (first, _) in places if first < end)].add(term)
            expected += cells
        assert segment.context() == expected
    found = set.union(*read.segments[0].context())
    assert found >= {
        "fox",
        "two",
        "city",
        "ferry",
        "md",
        "#boat",
        "#spare",
        "open",
        "pier",
        "|",
        "@xr 500",
        "@no 7",
    }


def plain_names(title: str) -> list[str]:
    """The page's rule for names; none here is of a script without spaces."""
    first_at: dict[int, str] = {}
    for term, offset in plain_terms(title):
        first_at.setdefault(offset, term)
    found = list(first_at.values())
    kept = [*dropwhile(lambda word: not any(map(str.isalpha, word)), found)]
    if len("".join(kept)) < 3:
        return []
    return ["=" + " ".join(own) for own in (found, kept) if len(own) <= 12]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2))
def test_what_is_a_term(seed: int) -> None:
    """The page's rules on words of many scripts, glued in any way, and on any of their characters."""
    draw = random.Random(seed)  # noqa: S311
    characters = sorted({*"".join([*FRAGMENTS, *GLUE]), *"\r\t\u034f"})
    for text in FRAGMENTS:
        assert list(words(text)) == plain_terms(text)
    for _ in range(1500):
        text = "".join(draw.choice(FRAGMENTS) + draw.choice(GLUE) for _ in range(draw.randint(2, 4)))
        assert list(words(text)) == plain_terms(text), text
        text = "".join(draw.choices(characters, k=draw.randint(2, 9)))
        found, wanted = ([term for term, _ in terms] for terms in (words(text), plain_terms(text)))
        assert found == wanted, text  # where the page leaves open which character a stray mark belongs to


@pytest.mark.long
def test_terms_far_apart(tmp_path: Path) -> None:
    """The example of the page, and a gap of three bytes: a word in the first and the last of many cells."""
    layout = Layout(taps=("1.0",), n_features=(1,), k=(1,))
    builder, n_cells = SegmentBuilder(layout), 20_000
    words_at = {2: "often often often", 202: "often", 0: "once", n_cells - 1: "once"}
    for cell in range(n_cells):
        builder.begin(Document(str(cell), words_at.get(cell, "")))
        builder.add(np.zeros(1), np.zeros(1), [np.zeros((1, 1), np.uint16)], [np.zeros((1, 1))])
        builder.end()
    index = Index(layout, {})
    index.add(builder.build())
    index.save(tmp_path / "index")
    (segment,) = ReadIndex(tmp_path / "index").segments
    assert segment.arrays["term_cells"].tolist()[:5] == [2, 0, 0, 200, 1]
    assert {cell: " ".join(terms) for cell, terms in enumerate(segment.terms()) if terms} == words_at


@pytest.mark.long
def test_metadata(read: ReadIndex) -> None:
    for segment in read.segments:
        assert segment.metadata() == [document["metadata"] for document in segment.documents]


@pytest.mark.long
def test_header(read: ReadIndex, saved: Path, tiny_host: Host) -> None:
    assert read.header["host"] == tiny_host.identity
    assert read.header["config"]["scan"]["chunk_tokens"] == 64
    assert read.header["artifact"] == read_artifact(saved / "artifact")[2]


@pytest.mark.parametrize("name", ["tiny", "fast"])
def test_artifact(name: str, tiny_artifact: Artifact, tmp_path: Path) -> None:
    artifact = tiny_artifact if name == "tiny" else Artifact.load(name)
    artifact.save(tmp_path / "artifact")
    header, tensors, found_digest = read_artifact(tmp_path / "artifact")
    assert (header["name"], found_digest) == (name, artifact.digest)
    assert header["host"] == artifact.host
    for entry, codec in zip(header["taps"], artifact.codecs, strict=True):
        tap = f"{entry['layer']}.{entry['head']}"
        assert (tap, entry["k"]) == (str(codec.tap), codec.sae.k)
        part = {
            key.removeprefix(f"{tap}/"): values
            for key, values in tensors.items()
            if key.startswith(f"{tap}/")
        }
        encoder = part["encoder"] * part["encoder_scale"].astype(np.float32)[:, None]
        decoder = part["decoder"].astype(np.float32)
        decoder /= np.linalg.norm(decoder, axis=1, keepdims=True)
        assert np.array_equal(part["mean"], codec.mean)
        assert np.allclose(encoder.T, codec.sae.W_enc, atol=1e-6)
        assert np.allclose(decoder, codec.sae.W_dec, atol=1e-6)
        assert np.array_equal(part["encoder_bias"].astype(np.float32), codec.sae.b_enc)
        assert np.array_equal(part["decoder_bias"], codec.sae.b_dec)
        assert ("root" in part) == (codec.sae.root is not None)
        if codec.sae.root is not None:
            assert np.array_equal(
                part["root"].astype(np.float32), codec.sae.root[np.triu_indices(codec.sae.dim)]
            )
    for number, (entry, query) in enumerate(zip(header["query_heads"], artifact.queries, strict=True)):
        assert (entry["layer"], entry["head"]) == (query.head.layer, query.head.head)
        assert (entry["tap"]["layer"], entry["tap"]["head"]) == (query.tap.layer, query.tap.head)
        assert np.array_equal(tensors["query_means"][number], query.mean)
        assert np.array_equal(tensors["query_maps"][number].astype(np.float32), query.map)
    assert np.array_equal(tensors["probe"], artifact.fingerprint.keys)
