"""The analysis of arXiv 2512.10547 (STA-Attention): how few features a host's keys and values need."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from s3_retriever.analysis.kv import Vectors, batches, collect, split_rows
from s3_retriever.analysis.results import SIDES, Analysis, Measure, Perplexity, Side
from s3_retriever.checks import check_settings, each, number, optional, whole
from s3_retriever.documents import Document
from s3_retriever.encode.sae import Floats, TopKSAE, unexplained
from s3_retriever.errors import InvalidInputError
from s3_retriever.host.edit import Edits, Rows, negative_log_likelihood, output_errors, require_head
from s3_retriever.host.model import Host
from s3_retriever.host.projections import Edit
from s3_retriever.host.taps import Tap
from s3_retriever.training.sae_training import TrainConfig, train_sae

_LAYERS = 4

Place = tuple[Side, int, int]
"""Keys or values, layer, k."""


@dataclass(frozen=True)
class AnalyzeConfig:
    """Settings of an analysis.

    Attributes:
        layers: Layers to analyse; None takes four, evenly spread.
        budgets: Values of k, features per vector, to try; an SAE is trained for each.
        n_features: Size of every dictionary.
        steps: Training steps of every SAE.
        batch_size: Vectors per step.
        learning_rate: Peak rate of Adam for k = 1; for other k it is sqrt(k) times as high. With the same
            rate for all, a short training favours some k over others.
        tokens: Tokens to train on, at least ten for each feature.
        held_out_tokens: Tokens to measure on.
        row_tokens: Tokens that see each other; at most the host's window.
        tolerance: By which share perplexity may rise at the dual budget.
        seed: Of the SAEs.

    Raises:
        InvalidInputError: A value is out of range.
    """

    layers: tuple[int, ...] | None = None
    budgets: tuple[int, ...] = (2, 4, 8, 16, 32)
    n_features: int = 512
    steps: int = 1000
    batch_size: int = 256
    learning_rate: float = 7e-3
    tokens: int = 60_000
    held_out_tokens: int = 8192
    row_tokens: int = 256
    tolerance: float = 0.02
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(
            self,
            layers=optional(each(whole(), distinct=True)),
            budgets=each(whole(1), distinct=True),
            n_features=whole(1),
            steps=whole(1),
            learning_rate=number(above=0),
            held_out_tokens=whole(1),
            row_tokens=whole(2),
            tolerance=number(0),
        )
        check_settings(self, tokens=whole(10 * self.n_features))  # ten for each feature
        for k in self.budgets:
            self.training(k)

    def training(self, k: int) -> TrainConfig:
        """Return the settings of the SAEs of one budget.

        Raises:
            InvalidInputError: They are out of range.
        """
        return TrainConfig(
            n_features=self.n_features,
            k=k,
            steps=self.steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate * math.sqrt(k),
            warmup=min(100, self.steps // 4),
            # Plain Top-k throughout. Epochs measure pursued codes, so they must not end the training.
            pursue=False,
            epoch_steps=self.steps,
            seed=self.seed,
        )


@dataclass(frozen=True, eq=False)
class Codec:
    """An SAE for raw vectors: x_hat = mean + scale * SAE((x - mean) / scale).

    Vectors are not scaled to unit length, since attention needs their lengths. The code of a vector is its k
    largest activations.

    Attributes:
        mean: float32 (d,).
        scale: Root of the mean squared distance to the mean; the SAE sees vectors of length about 1.
        sae: Plain Top-k, as in arXiv 2512.10547.
    """

    mean: Floats
    scale: float
    sae: TopKSAE

    @classmethod
    def train(cls, vectors: npt.NDArray[np.float16], config: TrainConfig) -> Codec:
        """Train an SAE on raw keys or values (n, d).

        Raises:
            InvalidInputError: The vectors hold values that are not finite.
        """
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = vectors - mean
        scale = float(np.sqrt(np.square(centred).sum(axis=1, dtype=np.float64).mean())) or 1.0
        sae, _ = train_sae(centred / np.float32(scale), config)
        return cls(mean, scale, sae)

    def reconstruct(self, x: npt.NDArray[np.floating]) -> Floats:
        """Return the reconstruction of vectors (n, d), float32."""
        scale = np.float32(self.scale)
        return self.sae.decode(self.sae.encode((x - self.mean) / scale)) * scale + self.mean

    def fvu(self, x: npt.NDArray[np.floating]) -> float:
        """Return the fraction of variance unexplained of vectors (n, d)."""
        x = x.astype(np.float32)
        return unexplained(x, self.reconstruct(x))


def _edit_by(codecs: Sequence[Codec]) -> Edit:
    """Return the edit that replaces heads (rows, n, K, d) by their reconstructions, with a codec per head."""

    def edit(heads: torch.Tensor) -> torch.Tensor:
        flat = heads.flatten(0, 1).float().cpu().numpy()
        new = np.stack([codec.reconstruct(flat[:, h]) for h, codec in enumerate(codecs)], axis=1)
        return torch.from_numpy(new).reshape(heads.shape).to(heads.device)

    return edit


def analyze(
    host: Host, texts: Iterable[Document], config: AnalyzeConfig | None = None, *, show_progress: bool = False
) -> Analysis:
    """Train SAEs on keys and values of some layers, and measure their errors on other text.

    Keys are read after norms and before rotary embedding. Neither keys nor values are scaled to unit length;
    see :class:`Codec`.

    Args:
        host: A host with its language-model head.
        texts: Text of the kind that matters; read until there is enough.
        config: Settings; the defaults if None.
        show_progress: Show progress bars.

    Raises:
        InvalidInputError: A layer has no attention, the texts are too short, or a row does not suit the host.
        UnsupportedHostError: The host has no language-model head, or its values cannot be located.
    """
    started = time.perf_counter()
    config = config or AnalyzeConfig()
    require_head(host)
    layers = tuple(sorted(config.layers)) if config.layers is not None else _spread(host.attention_layers)
    budgets = tuple(sorted(config.budgets))
    _check_layers(host, layers)
    if not max(2, host.n_key_heads) < config.row_tokens <= host.max_tokens:
        msg = (
            f"row_tokens must be from {max(2, host.n_key_heads) + 1} to {host.max_tokens} for host "
            f"{host.name!r}, not {config.row_tokens}"
        )
        raise InvalidInputError(msg)
    train_rows, test_rows = split_rows(
        host, texts, row_tokens=config.row_tokens, n_train=config.tokens, n_test=config.held_out_tokens
    )
    codecs = _train(
        collect(host, train_rows, layers, show_progress=show_progress),
        budgets,
        config,
        show_progress=show_progress,
    )
    edits = {place: _edit_by(of_heads) for place, of_heads in codecs.items()}
    settings = {name: value for name, value in asdict(config).items() if name not in ("layers", "budgets")}
    return Analysis(
        host=host.identity,
        settings={**settings, "dtype": str(host.model.dtype).removeprefix("torch.")},
        layers=layers,
        budgets=budgets,
        tolerance=config.tolerance,
        measures=_measure(host, test_rows, codecs, edits),
        perplexities=_perplexities(host, test_rows, layers, budgets, edits, show_progress=show_progress),
        seconds=time.perf_counter() - started,
    )


def _check_layers(host: Host, layers: Sequence[int]) -> None:
    """Refuse, now and not after the scan, layers that cannot be analysed side by side."""
    first = [Tap(layer, 0) for layer in layers]
    host.project([], taps=first, values=first)
    shapes = {
        layer: (heads.keys.n_heads, heads.keys.width, heads.values.width)
        for layer in layers
        if (heads := host.places.heads[layer]).values is not None
    }
    usual = host.n_key_heads, host.head_dim, host.value_dim
    others = [layer for layer, shape in shapes.items() if shape != usual]
    if others:
        msg = (
            f"layers {others} of host {host.name!r} have fewer or narrower heads than its others, "
            f"{usual[0]} of {usual[1]}: leave them out"
        )
        raise InvalidInputError(msg)


def _spread(layers: Sequence[int]) -> tuple[int, ...]:
    """Return up to four layers, evenly spread: the middles of equal parts."""
    n = min(_LAYERS, len(layers))
    return tuple(layers[(2 * i + 1) * len(layers) // (2 * n)] for i in range(n))


def _train(
    vectors: Vectors, budgets: Sequence[int], config: AnalyzeConfig, *, show_progress: bool
) -> dict[Place, list[Codec]]:
    """Train a codec for each side, layer, k and head."""
    codecs: dict[Place, list[Codec]] = {}
    places = list(itertools.product(SIDES, vectors.keys, budgets))
    for side, layer, k in tqdm(places, desc="SAEs of a layer", unit="set", disable=not show_progress):
        heads = getattr(vectors, side)[layer].swapaxes(0, 1)
        codecs[side, layer, k] = [Codec.train(head, config.training(k)) for head in heads]
    return codecs


def _measure(
    host: Host, rows: Rows, codecs: Mapping[Place, Sequence[Codec]], edits: Mapping[Place, Edit]
) -> tuple[Measure, ...]:
    by_layer: dict[int, dict[Place, Edits]] = {}
    for place, edit in edits.items():
        side, layer, _ = place
        by_layer.setdefault(layer, {})[place] = Edits(**{side: {layer: edit}})
    sums = {layer: np.zeros(1 + len(variants)) for layer, variants in by_layer.items()}
    for batch in batches(rows):
        given = {layer: list(variants.values()) for layer, variants in by_layer.items()}
        for layer, squares in output_errors(host, batch, given).items():
            sums[layer] += squares
    read = collect(host, rows, list(by_layer))
    measures = []
    for layer, variants in by_layer.items():
        for place, error in zip(variants, sums[layer][1:] / sums[layer][0], strict=True):
            side, _, k = place
            heads = getattr(read, side)[layer].swapaxes(0, 1)
            fvus = (codec.fvu(head) for codec, head in zip(codecs[place], heads, strict=True))
            measures.append(Measure(layer, side, k, tuple(fvus), float(error)))
    return tuple(measures)


def _perplexities(
    host: Host,
    rows: Rows,
    layers: Sequence[int],
    budgets: Sequence[int],
    edits: Mapping[Place, Edit],
    *,
    show_progress: bool,
) -> tuple[Perplexity, ...]:
    def chosen(side: Side, k: int | None) -> dict[int, Edit]:
        return {} if k is None else {layer: edits[side, layer, k] for layer in layers}

    found = []
    pairs = list(itertools.product((None, *budgets), repeat=2))
    for k_keys, k_values in tqdm(pairs, desc="perplexity", unit="pass", disable=not show_progress):
        replaced = Edits(chosen("keys", k_keys), chosen("values", k_values))
        losses = [len(batch) * negative_log_likelihood(host, batch, replaced) for batch in batches(rows)]
        found.append(Perplexity(k_keys, k_values, math.exp(sum(losses) / len(rows))))
    return tuple(found)
