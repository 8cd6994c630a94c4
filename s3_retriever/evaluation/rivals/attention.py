"""Attention that chosen tokens of a row pay to earlier tokens, by layer of the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from s3_retriever.errors import InvalidInputError
from s3_retriever.host.model import Host
from s3_retriever.host.passes import StopForward

_NAME = "s3_retriever_observed"


def check_layers(host: Host, layers: Sequence[int]) -> None:
    """Make sure that layers have attention.

    Raises:
        InvalidInputError: A layer is not there, or has none; names those that have.
    """
    for layer in layers:
        if layer not in host.attention_layers:
            msg = f"host {host.name!r} has no attention in layer {layer}; it has in {host.attention_layers}"
            raise InvalidInputError(msg)


class AttentionReader:
    """Runs the host over a row, up to the deepest of the layers whose attention is wanted.

    ``output_attentions`` would keep the weights of every layer, all tokens by all tokens.

    Args:
        host: Any whose attention ``transformers`` looks up by name.
        layers: Numbers of layers, from 0.

    Raises:
        InvalidInputError: A layer is not there, or has no attention.
    """

    def __init__(self, host: Host, layers: Sequence[int]) -> None:
        check_layers(host, layers)
        self._host = host
        self._layers = tuple(layers)
        self._rows = slice(0, 0)
        self._weights: dict[int, torch.Tensor] = {}

    def received(self, ids: npt.NDArray[np.int32], rows: slice) -> npt.NDArray[np.float32]:
        """Return the attention that each token receives, summed over heads and over the rows that attend.

        Args:
            ids: A row, int32 (n,), at most the host's window.
            rows: The tokens that attend, of step 1.

        Returns:
            float32 (layers, n); each sum is the number of heads times that of the rows.
        """
        self._rows, self._weights = rows, {}
        model = self._host.model
        batch = torch.from_numpy(ids.astype(np.int64))[None].to(model.device)
        with self._host.exclusive(), _attending_with(model, self._attend), suppress(StopForward):
            model.get_decoder()(input_ids=batch, use_cache=False)
        return torch.stack([self._weights[layer] for layer in self._layers]).cpu().numpy()

    def _attend(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **options: Any,
    ) -> Any:
        layer = int(cast("int", module.layer_idx))
        if layer in self._layers:
            asked = query[0, :, self._rows].float()  # (heads, rows, d)
            keys = key[0].float().repeat_interleave(len(asked) // key.shape[1], dim=0)
            scale = options.get("scaling") or asked.shape[-1] ** -0.5
            scores = asked @ keys.transpose(1, 2) * scale
            places = torch.arange(scores.shape[-1], device=scores.device)
            scores.masked_fill_(places > places[self._rows, None], -torch.inf)
            self._weights[layer] = scores.softmax(dim=-1).sum(dim=(0, 1))
            if layer == max(self._layers):
                raise StopForward
        return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask, **options)


@contextmanager
def _attending_with(model: Any, attend: Any) -> Iterator[None]:
    """Let the model compute its attention with a function, until the block ends."""
    ALL_ATTENTION_FUNCTIONS.register(_NAME, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(_NAME, sdpa_mask)
    before = model.config._attn_implementation
    model.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
