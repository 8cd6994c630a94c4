from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from s3_retriever.errors import InvalidInputError, UnsupportedHostError
from s3_retriever.host import Generator, Host, Piece, Sampling
from s3_retriever.host.generation import _Decoder, _Held

PROMPT = "The quick brown fox"
GREEDY = Sampling(max_new_tokens=20)

# What a later transformers will refuse.
pytestmark = pytest.mark.filterwarnings("error::FutureWarning")


@pytest.fixture(scope="module")
def generator(tiny_host: Host) -> Generator:
    return Generator(tiny_host)


def answer(generator: Generator, prompt: str = PROMPT, **options: Any) -> str:
    sampling = Sampling(**{"max_new_tokens": 20, **options})
    ids = generator.encode(prompt, special_tokens=False)
    return "".join(piece.text for piece in generator.generate(ids, sampling))


@pytest.mark.long
def test_it_says_what_transformers_generates(
    generator: Generator, tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    ids = generator.encode(PROMPT, special_tokens=False)
    assert ids == tiny_tokenizer(PROMPT)["input_ids"]
    grown = tiny_model.generate(
        torch.tensor([ids]), do_sample=False, max_new_tokens=20, eos_token_id=[0, 2], pad_token_id=0
    )[0, len(ids) :]
    expected = tiny_tokenizer.decode(grown, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    pieces = list(generator.generate(ids, GREEDY))
    assert "".join(piece.text for piece in pieces) == expected != ""
    assert [piece.n_tokens for piece in pieces] == list(range(1, 21))
    assert [piece.finish for piece in pieces] == [None] * 19 + ["length"]


def test_it_computes_no_more_than_is_read(
    generator: Generator, tiny_model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    forward = tiny_model.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        lengths.append(kwargs["input_ids"].shape[1])
        return forward(*args, **kwargs)

    monkeypatch.setattr(tiny_model, "forward", counting)
    ids = generator.encode(PROMPT, special_tokens=False)
    stream = generator.generate(ids, GREEDY)
    assert lengths == []
    for read in range(1, 4):
        next(stream)
        assert len(lengths) == read
        assert not torch.is_inference_mode_enabled()  # what the reader does meanwhile is not our business
    assert lengths == [len(ids), 1, 1]  # the cache is used


@pytest.mark.parametrize("of", ["model", "tokenizer"])
def test_end_tokens_of_model_and_tokenizer_end_the_text(
    tiny_model: LlamaForCausalLM,
    tiny_tokenizer: PreTrainedTokenizerFast,
    monkeypatch: pytest.MonkeyPatch,
    of: str,
) -> None:
    tokenizer = copy.deepcopy(tiny_tokenizer)
    generator = Generator(Host(model=tiny_model, tokenizer=tokenizer, name="tiny"))
    ids = generator.encode(PROMPT, special_tokens=False)
    first = int(tiny_model(torch.tensor([ids])).logits[0, -1].argmax())
    if of == "model":
        monkeypatch.setattr(tiny_model.generation_config, "eos_token_id", [399, first])
    else:
        tokenizer.eos_token = tokenizer.convert_ids_to_tokens(first)
    assert list(generator.generate(ids, GREEDY)) == [Piece("", 1, "stop")]


@pytest.mark.long
def test_drawing_is_repeatable_and_touches_nobody_elses_numbers(generator: Generator) -> None:
    before = torch.random.get_rng_state()
    drawn = [answer(generator, temperature=2, seed=seed) for seed in (1, 1, -1, 2**64 - 1)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 1
    assert len({answer(generator, temperature=2.0) for _ in range(4)}) > 1
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_window_is_never_exceeded(generator: Generator, tiny_host: Host) -> None:
    (*_, last) = generator.generate([5] * 250, Sampling(max_new_tokens=1000))
    assert last.n_tokens <= 6
    assert last.finish is not None
    with pytest.raises(InvalidInputError, match="256 tokens, the window of host 'tiny' 256; shorten"):
        generator.generate([5] * 256, GREEDY)
    with pytest.raises(InvalidInputError, match="the prompt is empty"):
        generator.generate([], GREEDY)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_new_tokens", 0),
        ("max_new_tokens", 2.5),
        ("max_new_tokens", None),
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", "hot"),
        ("seed", "7"),
        ("seed", 2**64),
        ("stop", "END"),
        ("stop", [""]),
        ("stop", [3]),
    ],
)
def test_sampling_that_cannot_be_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} must be .*{value!r}".replace("[", r"\[")):
        Sampling(**{name: value})


def test_a_model_without_a_head_is_refused(tiny_host: Host, tiny_model: LlamaForCausalLM) -> None:
    bare = Host(model=tiny_model.model, tokenizer=tiny_host.tokenizer, name="bare")
    with pytest.raises(UnsupportedHostError, match=r"'bare' \(LlamaModel\).*AutoModelForCausalLM"):
        Generator(bare)


def test_prompts_are_read_with_their_special_tokens(generator: Generator) -> None:
    assert generator.encode("a<|end|>", special_tokens=False)[-1] == 0
    assert generator.encode("a\ud800", special_tokens=False) == generator.encode(
        "a\ufffd", special_tokens=False
    )


class TestSharedTokenizer:
    """Its owner pads and truncates with it, in other threads too."""

    @pytest.fixture
    def padding_host(self, tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast) -> Host:
        tokenizer = copy.deepcopy(tiny_tokenizer)
        tokenizer.pad_token = tokenizer.eos_token
        return Host(model=tiny_model, tokenizer=tokenizer, name="tiny")

    @pytest.fixture
    def _owner_at_work(self, padding_host: Host) -> Iterator[None]:
        """Tokenises, with other settings each time."""
        errors: list[BaseException] = []
        done = threading.Event()

        def work() -> None:
            try:
                while not done.is_set():
                    short = padding_host.tokenizer(
                        ["a b c d e", "x"], padding=True, truncation=True, max_length=4
                    )
                    assert [len(row) for row in short["input_ids"]] == [4, 4]
                    assert len(padding_host.tokenizer(PROMPT * 20)["input_ids"]) > 4
            except BaseException as error:
                errors.append(error)

        owner = threading.Thread(target=work)
        owner.start()
        yield
        done.set()
        owner.join()
        assert not errors

    @pytest.mark.long
    @pytest.mark.usefixtures("_owner_at_work")
    def test_threads_do_not_collide(self, padding_host: Host, generator: Generator) -> None:
        prompt = PROMPT * 20
        expected = generator.encode(prompt, special_tokens=False), answer(generator)

        def ask(_: int) -> bool:
            own = Generator(padding_host)
            every = [own.encode(prompt, special_tokens=False) for _ in range(100)]
            return every == [expected[0]] * 100 and answer(own) == expected[1]

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(ask, range(8)))

    def test_its_settings_do_not_apply(self, padding_host: Host, generator: Generator) -> None:
        padding_host.tokenizer.backend_tokenizer.enable_truncation(2)
        padding_host.tokenizer.backend_tokenizer.enable_padding(length=500)
        padding_host.tokenizer.backend_tokenizer.encode_special_tokens = True
        prompt = f"{PROMPT}<|end|>"
        expected = generator.encode(prompt, special_tokens=False)
        assert Generator(padding_host).encode(prompt, special_tokens=False) == expected
        assert (
            len(padding_host.tokenizer.backend_tokenizer.encode(prompt).ids) == 500
        )  # and stay as they were


def test_characters_come_whole(tiny_host: Host) -> None:
    text = "灯台 🧑‍🚀 né\n done"
    decoder = _Decoder(tiny_host.tokenizer.backend_tokenizer)
    ids = tiny_host.encode(text).ids.tolist()
    pieces = [decoder.push(token) for token in ids]
    assert "".join(pieces) == text
    assert len(ids) > len(text)
    assert not any("\ufffd" in piece for piece in pieces)
    broken = _Decoder(tiny_host.tokenizer.backend_tokenizer)
    assert [broken.push(token) for token in tiny_host.encode("a灯").ids.tolist()[:2]] == ["a", ""]
    assert broken.rest() == "\ufffd"
    assert broken.rest() == ""


def test_spaces_stay_where_a_tokenizer_drops_the_first() -> None:
    backend = Tokenizer(models.WordLevel({"▁a": 0, "▁b": 1, "<s>": 2}))
    backend.decoder = decoders.Metaspace()
    backend.add_special_tokens(["<s>"])
    decoder = _Decoder(backend)
    assert [decoder.push(token) for token in (0, 1, 2, 2, 1)] == ["a", " b", "", "", " b"]


def test_a_stop_sequence_spread_over_pieces_is_held_back() -> None:
    held = _Held(("END", "abc"))
    assert [held.push(piece) for piece in ("xE", "N", "aE", "ND tail", "more")] == ["x", "", "ENa", "", ""]
    assert held.stopped
    held = _Held(("END",))
    assert (held.push("an EN"), held.rest(), held.stopped) == ("an ", "EN", False)


@pytest.mark.long
@pytest.mark.parametrize("begin", [0, 3, 8])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_stop_sequences_end_the_text(generator: Generator, begin: int, size: int) -> None:
    text = answer(generator)
    stop = text[begin : begin + size]
    assert answer(generator, stop=["never", stop]) == text[: text.index(stop)]
