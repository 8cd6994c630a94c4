"""Every family that transformers lists: a host whose attention gets what is read, or refused."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from host_table import ENCODER, NO_SOFTMAX, NOT_BUILT, WRITTEN_WITH, counts, outcome, row, rows
from host_table import TABLE as PAGE
from packaging.version import Version
from tiny_families import LISTED, build
from transformers import AttentionInterface, PreTrainedTokenizerFast
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

from s3_retriever.host import Host
from s3_retriever.host.treated import without_cache

TABLE = rows()
TEXT = PAGE.read_text(encoding="utf-8")
INSTALLED = Version(transformers.__version__)

REFUSED_BY_OLDER = {"recurrent_gemma": "cannot be run on a few tokens"}
"""Hosts in the version of the table only: transformers 4 keeps a recurrent state from pass to pass."""

Given = tuple[torch.Tensor, torch.Tensor]


def test_most_are_supported() -> None:
    supported = sum("| yes |" in line for line in TABLE.values())
    others = sum(any(reason in line for reason in (NO_SOFTMAX, ENCODER)) for line in TABLE.values())
    assert supported >= 0.85 * (len(TABLE) - others)
    assert counts(TABLE) in TEXT  # as the table is


@pytest.mark.long
@pytest.mark.parametrize("name", LISTED)
def test_a_listed_family_is_a_host_or_refused_by_name(
    name: str, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    """A new one that is neither fails here: then something is to be done, or to be written in the table."""
    if name in NOT_BUILT:
        assert name not in TABLE or NOT_BUILT[name] in TABLE[name]
        return
    try:
        model = build(name)
    except Exception as error:
        if INSTALLED < WRITTEN_WITH:
            pytest.skip(f"transformers {INSTALLED} builds it with other settings: {error}")
        raise
    host, reason = outcome(name, model, tiny_tokenizer)
    if INSTALLED == WRITTEN_WITH:
        assert row(name, host, reason) == TABLE[name]
    elif name in REFUSED_BY_OLDER:
        assert REFUSED_BY_OLDER[name] in reason
    elif name in TABLE:
        assert ("| yes |" in TABLE[name]) == (host is not None), reason
    else:
        assert host is not None or reason in (NO_SOFTMAX, ENCODER), reason
    if host is not None:
        compare(host, given_to_attention(host))


def compare(host: Host, given: list[Given]) -> None:
    """Compare what is read of single tokens with what the attention function of transformers got."""
    if not given:  # the family has an attention of its own; loading it has compared it
        return
    layers = host.attention_layers
    assert len(given) == len(layers)
    for layer, (queries, keys) in zip(layers, given, strict=True):
        heads = host.query_heads(layer)
        taps = [host.asked(head) for head in heads]
        read = host.project([np.array([token], np.int32) for token in TOKENS], taps=taps, heads=heads)
        shared = queries.shape[1] // keys.shape[1]
        asked = keys[:, [i // shared for i in range(len(heads))]]
        width = queries.shape[-1]
        for ours, its in (
            ([one.queries[0] for one in read], queries),
            ([one.keys[0] for one in read], asked),
        ):
            both = np.stack(ours)[..., :width], its.numpy()
            assert both[0].shape == both[1].shape
            factor = (both[0] * both[1]).sum() / np.square(both[0]).sum()
            assert factor > 0
            np.testing.assert_allclose(
                factor * both[0], both[1], rtol=2e-3, atol=2e-3 * np.abs(both[1]).max()
            )


TOKENS = [5, 77, 123, 200, 251]


def given_to_attention(host: Host) -> list[Given]:
    """Return queries and keys (rows, heads, d) of single tokens, of each attention in turn."""
    given: list[Given] = []

    def record(
        module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *args: Any, **more: Any
    ) -> Any:
        one = query[:, :, 0].float(), key[:, :, 0].float()
        if not given or not torch.equal(given[-1][0], one[0]):  # some attend twice with the same queries
            given.append(one)
        attend = sys.modules[type(module).__module__].eager_attention_forward  # type: ignore[attr-defined]
        return attend(module, query, key, value, *args, **more)

    AttentionInterface.register("recording", record)
    AttentionMaskInterface.register("recording", ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    decoder = host._reading.decoder
    usual = decoder.config._attn_implementation
    decoder.set_attn_implementation("recording")
    with torch.no_grad():
        decoder(input_ids=torch.tensor(TOKENS)[:, None], **without_cache(decoder))
    decoder.set_attn_implementation(usual)
    return given
