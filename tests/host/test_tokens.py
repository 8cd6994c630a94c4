from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from s3_retriever.errors import UnsupportedHostError
from s3_retriever.host import Host
from s3_retriever.host.tokens import PIECE_CHARS, OffsetTokenizer, Tokens

# Every code point, lone surrogates included, with the awkward ones made likely.
ANY_TEXT = st.text(
    st.one_of(st.characters(), st.characters(categories=["Cs"]), st.sampled_from("\0 \n\t漢字👩‍👩‍👧🏽éa"))
)


def assert_offsets_exact(text: str, tokens: Tokens, tokenizer: PreTrainedTokenizerFast) -> None:
    starts, ends = tokens.starts.tolist(), tokens.ends.tolist()
    assert tokens.ids.dtype == tokens.starts.dtype == tokens.ends.dtype == np.int32
    assert starts == sorted(starts)
    assert ends == sorted(ends)
    covered = 0
    for start, end in zip(starts, ends, strict=True):
        assert start <= covered < end <= len(text) or (start < covered == end)  # no gap, nothing twice
        covered = end
    assert covered == len(text)
    clean = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert tokenizer.decode(tokens.ids, clean_up_tokenization_spaces=False) == clean
    # Between two places where a token begins a fresh character, tokens decode to exactly that text.
    cuts = [i for i in range(1, len(starts)) if starts[i] >= ends[i - 1]]
    for first, last in zip([0, *cuts], [*cuts, len(starts)], strict=True):
        if first < last:
            passage = clean[starts[first] : ends[last - 1]]
            assert tokenizer.decode(tokens.ids[first:last], clean_up_tokenization_spaces=False) == passage


@given(text=ANY_TEXT)
def test_offsets_are_exact_for_any_text(
    tiny_host: Host, tiny_tokenizer: PreTrainedTokenizerFast, text: str
) -> None:
    tokens = tiny_host.encode(text)
    assert_offsets_exact(text, tokens, tiny_tokenizer)
    assert tiny_host.count_tokens(text) == len(tokens)


@pytest.mark.long
def test_text_longer_than_a_piece_has_the_tokens_of_the_whole(
    tiny_host: Host, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    text = "Where does  the host\n\nkeep its keys? 漢字 👍 (1997). " * (3 * PIECE_CHARS // 40)
    tokens = tiny_host.encode(text)
    whole = tiny_tokenizer(text, return_offsets_mapping=True)
    assert tokens.ids.tolist() == whole["input_ids"]
    assert list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)) == whole["offset_mapping"]


@pytest.mark.long
def test_long_text_without_a_space_is_cut_with_exact_offsets(
    tiny_host: Host, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    text = "漢字👍" * (PIECE_CHARS // 2)
    assert_offsets_exact(text, tiny_host.encode(text), tiny_tokenizer)


@given(ANY_TEXT)
def test_surprise_lies_in_the_unit_interval(tiny_host: Host, word: str) -> None:
    assert 0 <= tiny_host.surprise(word[:40]) <= 1


def test_names_surprise_more_than_common_words(host: Host) -> None:
    words = ("the", "what", "happens", "chlorophyll")
    values = [host.surprise(word) for word in words]
    assert values == sorted(values)
    assert values[0] < 0.6
    assert host.surprise("ulvenholt") == 1


def test_special_tokens_in_a_text_are_plain_text(tiny_host: Host) -> None:
    assert tiny_host.encode("<|end|>").ids.tolist() != [0]
    assert len(tiny_host.encode("")) == 0


def test_the_callers_tokenizer_stays_as_it_is(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    theirs = copy.deepcopy(tiny_tokenizer)
    theirs.backend_tokenizer.enable_truncation(3)
    tokens = OffsetTokenizer(theirs).encode("the quick brown fox jumps over the lazy dog")
    assert len(tokens) > 3
    assert theirs.backend_tokenizer.truncation["max_length"] == 3
    assert theirs("<|end|>")["input_ids"] == [0]


def test_a_slow_tokenizer_is_refused_by_name() -> None:
    class SlowTokenizer:
        is_fast = False

    with pytest.raises(UnsupportedHostError, match="SlowTokenizer is not a fast tokenizer"):
        OffsetTokenizer(SlowTokenizer())
