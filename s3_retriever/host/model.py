"""The host: a decoder whose pre-rotary key and query projections are read."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from s3_retriever.checks import Uncopyable
from s3_retriever.errors import ForkedProcessError, InvalidInputError, UnsupportedHostError
from s3_retriever.host.batches import PAD_MULTIPLE, Batch, joined_batch, padded_batch
from s3_retriever.host.families import window_of
from s3_retriever.host.loading import load_lean, load_model
from s3_retriever.host.projections import Projections
from s3_retriever.host.reading import Reading, read_model, row_of, take_lean
from s3_retriever.host.readings import Heads, Places
from s3_retriever.host.taps import QueryHead, Tap
from s3_retriever.host.tokens import Tokens
from s3_retriever.host.treated import input_device
from s3_retriever.host.weights import HostFiles, describe_model, resolve_host, resolve_recorded
from s3_retriever.locks import ThreadLock


class Projection(NamedTuple):
    """What was read from one row of a batch.

    Attributes:
        keys: float32 (n, T, d), one key per token and tap, before rotary embedding.
        queries: float32 (n, H, d), one query per token and query head, before rotary embedding.
        values: float32 (n, V, d), one value per token and tap whose values were asked for.
    """

    keys: npt.NDArray[np.float32]
    queries: npt.NDArray[np.float32]
    values: npt.NDArray[np.float32]


class Host(Uncopyable):
    """A language model, read but never modified.

    Safe to share between threads: on a CPU their passes run side by side, elsewhere they take turns. A pass
    of the same model elsewhere in the process (its owner generating text) is left alone, but not while the
    host is made, which watches every module. Use :meth:`load` rather than the constructor.

    Args:
        model: A ``transformers`` decoder, with or without its language-model head.
        tokenizer: Its fast tokenizer.
        name: How the host is called in messages, artifacts and indexes.
        revision: Which version of the weights this is, where known.

    Raises:
        UnsupportedHostError: The tokenizer is slow, or the model is no causal decoder that attends by
            softmax, or what is read of it is not what its attention gets.
    """

    instead = "threads may share it as it is; in another process use Host.load()"

    _whole: tuple[Any, Any] | None = None  # model and tokenizer, as far as they were given or asked for
    _files: HostFiles | None = None

    def __init__(self, *, model: Any, tokenizer: Any, name: str, revision: str = "") -> None:
        self._take(name, revision, read_model(name, model, tokenizer))
        self._whole = model, tokenizer

    def _take(self, name: str, revision: str, reading: Reading) -> None:
        self.name = name
        self.revision = revision
        self._reading = reading
        self._window = window_of(reading.config)
        self._process = os.getpid()
        self._loading = ThreadLock()

    @classmethod
    def load(cls, host: str | Path | tuple[Any, Any] | Host | None = None) -> Host:
        """Get a host from what a caller has.

        Args:
            host: A hub name, a folder, ``(model, tokenizer)`` already in memory (device and dtype stay
                as they are), a :class:`Host` (returned as is), or None for the default host.

        Raises:
            HostNotFoundError: The weights were not found.
            UnsupportedHostError: The model or tokenizer cannot serve.
            InvalidInputError: ``host`` is of another type.

        Examples:
            >>> host = Host.load()
            >>> host.n_layers, host.count_tokens("The ferry leaves at nine.")
            (30, 6)
        """
        if isinstance(host, Host):
            return host
        if isinstance(host, tuple) and len(host) == 2:
            model, tokenizer = host
            path = str(getattr(getattr(model, "config", None), "_name_or_path", "") or type(model).__name__)
            files = describe_model(path)
            return cls(model=model, tokenizer=tokenizer, name=files.name, revision=files.revision)
        if host is None or isinstance(host, (str, Path)):
            return cls._from_files(resolve_host(host))
        msg = f"host must be a name, a folder or (model, tokenizer), not {type(host).__name__}"
        raise InvalidInputError(msg)

    @classmethod
    def recorded(cls, name: object, wanted_by: str) -> Host:
        """Load the host that a file names, which may come from anybody.

        It must be the default host or in the hub's local cache; the hub is asked only for names in the
        environment variable ``S3_RETRIEVER_HOSTS``, separated by commas. A folder is never taken by its name.

        Args:
            name: As it stands there.
            wanted_by: What names it, for the message.

        Raises:
            HostNotFoundError: It is another one; names it and the way out.
            UnsupportedHostError: The model or tokenizer cannot serve.
        """
        return cls._from_files(resolve_recorded(name, wanted_by))

    @classmethod
    def _from_files(cls, files: HostFiles) -> Host:
        lean = load_lean(files)
        if lean is None:
            model, tokenizer = load_model(files)
            return cls(model=model, tokenizer=tokenizer, name=files.name, revision=files.revision)
        host = cls.__new__(cls)
        host._take(files.name, files.revision, take_lean(lean))
        host._files = files
        return host

    @property
    def model(self) -> Any:
        """The model of ``transformers``; that of a plain host is loaded when it is first asked for."""
        return self._loaded()[0]

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer. What is read here is tokenised by a private copy of it."""
        return self._loaded()[1]

    def _loaded(self) -> tuple[Any, Any]:
        with self._loading:
            if self._whole is None and self._files:
                whole = load_model(self._files)
                self._reading = read_model(self.name, *whole)  # what its owner changes is what is read
                self._whole = whole
            assert self._whole is not None  # noqa: S101
            return self._whole

    @property
    def n_layers(self) -> int:
        """Number of decoder layers."""
        return self._reading.projections.n_layers

    @property
    def attention_layers(self) -> list[int]:
        """The layers that have attention heads. Hybrids also have layers without."""
        return sorted(self._reading.projections.layers)

    @property
    def n_query_heads(self) -> int:
        """Query heads per layer; of the layer that has most."""
        return self._reading.projections.n_query_heads

    @property
    def n_key_heads(self) -> int:
        """Key heads per layer; of the layer that has most."""
        return self._reading.projections.n_key_heads

    @property
    def head_dim(self) -> int:
        """Dimension d of a key or query, where it is greatest; narrower ones are filled up with zeros."""
        return self._reading.projections.head_dim

    @property
    def value_dim(self) -> int:
        """Dimension of a value, likewise; 0 where values are not known."""
        return self._reading.projections.value_dim

    @property
    def places(self) -> Places:
        """Where queries, keys and values are read, and why nothing is read of the other layers."""
        return self._reading.projections.places

    def query_heads(self, layer: int) -> list[QueryHead]:
        """Return the query heads of a layer; none where it does not attend."""
        heads = self._reading.projections.layers.get(layer)
        return [QueryHead(layer, head) for head in range(heads.queries.n_heads)] if heads else []

    def taps(self, layer: int) -> list[Tap]:
        """Return the key heads of a layer; none where it does not attend."""
        heads = self._reading.projections.layers.get(layer)
        return [Tap(layer, head) for head in range(heads.keys.n_heads)] if heads else []

    def asked(self, head: QueryHead) -> Tap:
        """Return the key head that a query head attends to.

        Raises:
            InvalidInputError: The host has no such query head.
        """
        self._check_places("query head", [head])
        return Tap(head.layer, self._reading.projections.layers[head.layer].asks[head.head])

    @property
    def max_tokens(self) -> int:
        """The longest row the host takes, in tokens."""
        return self._window

    @property
    def on_cpu(self) -> bool:
        """Whether the host computes on a CPU."""
        return input_device(self._reading.decoder).type == "cpu"

    @property
    def identity(self) -> dict[str, str | int]:
        """What an artifact or index records about its host; JSON-able."""
        return {
            "name": self.name,
            "revision": self.revision,
            "model_type": str(self._reading.config.model_type),
            "hidden_size": int(self._reading.config.hidden_size),
            "n_layers": self.n_layers,
            "n_query_heads": self.n_query_heads,
            "n_key_heads": self.n_key_heads,
            "head_dim": self.head_dim,
            "vocab_size": int(self._reading.config.vocab_size),
        }

    def encode(self, text: str) -> Tokens:
        """Tokenise a text of any length; no special tokens are added."""
        return self._reading.tokenizer.encode(text)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens :meth:`encode` gives."""
        return self._reading.tokenizer.count(text)

    def surprise(self, word: str) -> float:
        """Return how rare a word is in the language, in [0, 1], as far as the vocabulary tells.

        Vocabularies of subwords are built from frequent to rare, so that the logarithm of a token's id is
        about that of its frequency's rank, and so, by Zipf's law, -log of its probability. Those of a word's
        tokens add up; 1 is that of the rarest token, and of most words that take several.
        """
        ids = np.maximum(self.encode(f" {word}").ids, 1)
        return min(1.0, float(np.log(ids).sum()) / math.log(self._reading.config.vocab_size))

    def keys(
        self, batch: Sequence[npt.NDArray[np.int32]], taps: Sequence[Tap]
    ) -> list[npt.NDArray[np.float32]]:
        """Return the keys of the taps, float32 (n, T, d) per row; see :meth:`project`."""
        return [row.keys for row in self.project(batch, taps=taps)]

    def queries(self, ids: npt.NDArray[np.int32], heads: Sequence[QueryHead]) -> npt.NDArray[np.float32]:
        """Return the queries of the heads at every token, float32 (n, H, d); see :meth:`project`."""
        return self.project([ids], heads=heads)[0].queries

    def project(
        self,
        batch: Sequence[npt.NDArray[np.int32]],
        *,
        taps: Sequence[Tap] = (),
        heads: Sequence[QueryHead] = (),
        values: Sequence[Tap] = (),
    ) -> list[Projection]:
        """Read projections, biases and the family's norms of them included, before rotary embedding.

        The forward pass ends as soon as the last one asked for is computed; it keeps no KV cache and
        makes no logits.

        Args:
            batch: Token ids of each row, int32 (n,), each n at most :attr:`max_tokens`.
            taps: Key heads to read.
            heads: Query heads to read.
            values: Key heads whose values to read.

        Returns:
            One :class:`Projection` per row, in order.

        Raises:
            InvalidInputError: A tap or head does not exist, or a row is longer than the host's window.
            UnsupportedHostError: Values are asked for, and it is not known where they are.
            ForkedProcessError: See :meth:`check_process`.
        """
        if values:
            self.require_values()
        self._check_places("tap", (*taps, *values))
        self._check_places("query head", heads)
        longest = max(map(len, batch), default=0)
        if longest > self.max_tokens:
            msg = (
                f"a row of {longest} tokens exceeds the host's window of {self.max_tokens}; cut it in chunks"
            )
            raise InvalidInputError(msg)
        reading = self._reading
        if reading.rows_apart and len(batch) > 1:
            apart = (self.project([ids], taps=taps, heads=heads, values=values) for ids in batch)
            return [row for (row,) in apart]
        self.check_process()
        # Many passes keep the cores of a CPU busy; one fills another device, which might not bear several.
        beside = self.on_cpu and not reading.one_pass
        with reading.passes.beside_others() if beside else reading.passes.alone():
            layers = reading.projections.layers
            every: list[tuple[Heads | None, int]] = [(layers[at.layer].keys, at.head) for at in taps]
            every += [(layers[at.layer].queries, at.head) for at in heads]
            every += [(layers[at.layer].values, at.head) for at in values]
            laid = self._laid(reading, batch)
            read = reading.read(laid, [one for one, _ in every if one])
            ends = len(taps), len(taps) + len(heads)
            return [
                Projection(
                    row_of(read, every[: ends[0]], self.head_dim, begin, len(ids)),
                    row_of(read, every[ends[0] : ends[1]], self.head_dim, begin, len(ids)),
                    row_of(read, every[ends[1] :], self.value_dim, begin, len(ids)),
                )
                for begin, ids in zip(laid.begins, batch, strict=True)
            ]

    def require_values(self) -> None:
        """Check that values can be read.

        Raises:
            UnsupportedHostError: It is not known where they are.
        """
        if not self.value_dim or any(
            layer.values is None for layer in self._reading.projections.layers.values()
        ):
            name = self._reading.config.model_type
            msg = (
                f"where family {name!r} computes its values is not known; declare it with "
                f"register_family({name!r}, Family(..., value=...))"
            )
            raise UnsupportedHostError(msg)

    def check_process(self) -> None:
        """Check that this process may run the model.

        Raises:
            ForkedProcessError: It was forked from the one that loaded the model, which is not on a CPU:
                drivers of accelerators do not survive a fork.
        """
        if os.getpid() != self._process and not self.on_cpu:
            msg = (
                f"host {self.name!r} is on {input_device(self._reading.decoder)} and was loaded before "
                "this process was forked; load it after the fork, or start processes by spawn"
            )
            raise ForkedProcessError(msg)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Projections]:
        """Give where keys, queries and values are, while no other reader runs the model, and no dropout.

        Raises:
            ForkedProcessError: See :meth:`check_process`.
        """
        self.check_process()
        self._loaded()
        with self._reading.passes.alone():
            yield self._reading.projections

    @property
    def joins_rows(self) -> bool:
        """Whether rows of all lengths share a pass unpadded; else those of one padded length should."""
        return self._reading.joins_rows

    def padded_length(self, n: int) -> int:
        """Return the length to which a row of ``n`` tokens is padded when alone in its batch."""
        return min(-(-n // PAD_MULTIPLE) * PAD_MULTIPLE, self.max_tokens)

    def _check_places(self, kind: str, places: Sequence[Tap | QueryHead]) -> None:
        layers = self._reading.projections.layers
        for place in places:
            heads = layers.get(place.layer)
            if heads is None and 0 <= place.layer < self.n_layers:
                msg = (
                    f"{kind} {place} is not in host {self.name!r}: layer {place.layer} has no attention "
                    f"heads ({self.places.left_out[place.layer]}); layers {self.attention_layers} have"
                )
                raise InvalidInputError(msg)
            if isinstance(place, QueryHead):
                n_heads = self.n_query_heads if heads is None else heads.queries.n_heads
            else:
                n_heads = self.n_key_heads if heads is None else heads.keys.n_heads
            if heads is None or not 0 <= place.head < n_heads:
                msg = (
                    f"{kind} {place} is not in host {self.name!r}: "
                    f"layers are 0 to {self.n_layers - 1}, heads 0 to {n_heads - 1}"
                )
                raise InvalidInputError(msg)

    def _laid(self, reading: Reading, rows: Sequence[npt.NDArray[np.int32]]) -> Batch:
        """Lay rows out for a pass."""
        lengths = [self.padded_length(len(row)) for row in rows]
        joins = reading.joins_rows and any(lengths)
        return joined_batch(rows, lengths) if joins else padded_batch(rows, max(lengths, default=0))
