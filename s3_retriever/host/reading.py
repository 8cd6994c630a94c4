"""What passes of a host need of its model: that of ``transformers``, or the lean decoder of its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from s3_retriever.host.batches import Batch
from s3_retriever.host.families import check_decoder, text_config
from s3_retriever.host.lean import Lean
from s3_retriever.host.one_core import single_threaded
from s3_retriever.host.passes import Passes
from s3_retriever.host.places import base_decoder, locate
from s3_retriever.host.projections import Projections
from s3_retriever.host.readings import Heads
from s3_retriever.host.tokens import OffsetTokenizer
from s3_retriever.host.treated import input_device, is_offloaded, mixes_rows, refuse_treated


@dataclass(frozen=True, eq=False)
class Reading:
    """A decoder, and how it is read.

    Attributes:
        decoder: What is run.
        config: Its configuration.
        tokenizer: For what is read.
        projections: Where keys and queries are.
        passes: Of the model.
        rows_apart: Whether what a row gives depends on the rows that share its batch.
        one_pass: Whether passes cannot run side by side.
        joins_rows: Whether the decoder takes rows that are joined to one.
    """

    decoder: Any
    config: Any
    tokenizer: OffsetTokenizer
    projections: Projections
    passes: Passes
    rows_apart: bool = False
    one_pass: bool = False
    joins_rows: bool = False

    def read(self, batch: Batch, heads: Iterable[Heads]) -> dict[Heads, torch.Tensor]:
        """Run a pass, within a block of ``passes``, and return heads, (rows, n, heads, width).

        Args:
            batch: What is read; nothing is where it has no token.
            heads: To read.
        """
        distinct = dict.fromkeys(heads)
        if not (distinct and batch.ids.numel()):
            return {}
        batch = batch._replace(ids=batch.ids.to(input_device(self.decoder)))
        outputs = self.passes.outputs(self.projections.wanted(distinct), self.decoder, batch)
        shape = batch.ids.shape[0], batch.ids.shape[1]
        return {one: self.projections.compute(one, outputs, shape) for one in distinct}


def row_of(
    read: Mapping[Heads, torch.Tensor],
    places: Sequence[tuple[Heads | None, int]],
    dim: int,
    begin: tuple[int, int],
    n: int,
) -> npt.NDArray[np.float32]:
    """Gather one row's heads, float32 (n, places, dim), filled up with zeros where they are narrower."""
    result = np.zeros((n, len(places), dim), np.float32)
    row, first = begin
    for i, (heads, head) in enumerate(places):
        if n and heads is not None:  # where values are wanted, they are known
            result[:, i, : heads.width] = read[heads][row, first : first + n, head].float().cpu().numpy()
    return result


def read_model(name: str, model: Any, tokenizer: Any) -> Reading:
    """Find how a model of ``transformers`` is read; arguments as of :class:`Host`.

    Raises:
        UnsupportedHostError: The tokenizer is slow, or the model is no causal decoder that attends by
            softmax, or what is read of it is not what its attention gets.
    """
    config = getattr(model, "config", model)
    check_decoder(config)
    config = text_config(config)
    words = OffsetTokenizer(tokenizer)
    decoder = base_decoder(model)
    refuse_treated(name, model)
    passes = Passes(model)
    # On one core: so few tokens gain little from more, and lose much where others keep them busy.
    with passes.alone(), single_threaded(1) as pool:
        projections = pool.submit(locate, name, decoder, config).result()
    return Reading(decoder, config, words, projections, passes, mixes_rows(decoder), is_offloaded(model))


def take_lean(lean: Lean) -> Reading:
    """Say how a lean decoder is read; nothing needs to be looked for, since its code is ours."""
    return Reading(
        lean.decoder,
        lean.config,
        OffsetTokenizer.of(lean.backend),
        Projections(lean.decoder, lean.places()),
        Passes(lean.decoder),
        rows_apart=lean.decoder.rows_apart,
        joins_rows=True,
    )
