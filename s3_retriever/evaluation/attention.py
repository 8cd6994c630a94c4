"""How much one layer of the host attends from some tokens of a row to all before them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from s3_retriever.errors import InvalidInputError
from s3_retriever.host.model import Complete, Host

_NAME = "s3_retriever_observed"


class AttentionReader:
    """Runs the host over a row, up to the layer whose attention is wanted.

    ``output_attentions`` would keep the weights of every layer, all tokens by all tokens.

    Args:
        host: Any whose attention ``transformers`` looks up by name.
        layer: Number of the layer, from 0; None: the last one that has attention.

    Raises:
        InvalidInputError: The layer is not there, or has no attention.
    """

    def __init__(self, host: Host, layer: int | None = None) -> None:
        layers = host.attention_layers
        if layer is not None and layer not in layers:
            msg = f"host {host.name!r} has no attention in layer {layer}; it has in {layers}"
            raise InvalidInputError(msg)
        self._host = host
        self._layer = layers[-1] if layer is None else layer
        self._rows = slice(0, 0)
        self._weights = torch.zeros(0)

    def received(self, ids: npt.NDArray[np.int32], rows: slice) -> npt.NDArray[np.float32]:
        """Return the attention that each token receives, summed over heads and over the rows that attend.

        Args:
            ids: A row, int32 (n,), at most the host's window.
            rows: The tokens that attend, of step 1.

        Returns:
            float32 (n,); its sum is the number of heads times that of the rows.
        """
        self._rows = rows
        model = self._host.model
        batch = torch.from_numpy(ids.astype(np.int64))[None].to(model.device)
        with self._host.undisturbed(), _attending_with(model, self._attend), suppress(Complete):
            model.get_decoder()(input_ids=batch, use_cache=False)
        return self._weights.cpu().numpy()

    def _attend(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **options: Any,
    ) -> Any:
        if module.layer_idx == self._layer:
            asked = query[0, :, self._rows].float()  # (heads, rows, d)
            keys = key[0].float().repeat_interleave(len(asked) // key.shape[1], dim=0)
            scale = options.get("scaling") or asked.shape[-1] ** -0.5
            scores = asked @ keys.transpose(1, 2) * scale
            places = torch.arange(scores.shape[-1], device=scores.device)
            scores.masked_fill_(places > places[self._rows, None], -torch.inf)
            self._weights = scores.softmax(dim=-1).sum(dim=(0, 1))
            raise Complete
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
