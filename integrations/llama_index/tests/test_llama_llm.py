"""The LLM over the host: what it says is what the model says, and one model does everything."""

from __future__ import annotations

import asyncio
import copy
import threading
from typing import Any

import pytest
import torch
from llama_corpus import QUESTION, Make
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, MessageRole, TextBlock
from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler
from llama_index.core.llms import CustomLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import Document
from transformers import LlamaForCausalLM, LlamaModel, PreTrainedTokenizerFast

from llama_index.retrievers.s3 import HostLLM, S3Retriever
from s3_retriever import Host
from s3_retriever.errors import InvalidInputError, UnsupportedHostError
from s3_retriever.host import Generator

PROMPT = "The quick brown fox"
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|end|>{% endfor %}<assistant>"


@pytest.fixture
def llm(tiny_host: Host) -> HostLLM:
    return HostLLM(tiny_host, max_new_tokens=12)


@pytest.fixture
def chat_llm(tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast) -> HostLLM:
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = TEMPLATE
    return HostLLM((tiny_model, tokenizer), max_new_tokens=12)


def generated(host: Host, prompt: str, n: int, **options: Any) -> str:
    """Return what the model's own ``generate`` says."""
    inputs = host.tokenizer(prompt, return_tensors="pt", **options)
    ids = host.model.generate(
        inputs["input_ids"],
        attention_mask=torch.ones_like(inputs["input_ids"]),
        max_new_tokens=n,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=host.tokenizer.eos_token_id,
    )[0, inputs["input_ids"].shape[1] :]
    return str(host.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def test_class() -> None:
    assert CustomLLM.__name__ in [b.__name__ for b in HostLLM.__mro__]


@pytest.mark.long
def test_is_greedy_and_says_what_the_model_says(llm: HostLLM) -> None:
    response = llm.complete(PROMPT)
    assert response.text == generated(llm.host, PROMPT, 12)
    assert response.raw == {"usage": {"prompt_tokens": len(llm.host.encode(PROMPT)), "completion_tokens": 12}}
    assert llm.complete(PROMPT) == response


def test_streams_token_by_token(llm: HostLLM) -> None:
    responses = list(llm.stream_complete(PROMPT))
    assert "".join(str(one.delta) for one in responses) == responses[-1].text == llm.complete(PROMPT).text
    counts = [one.raw["usage"]["completion_tokens"] for one in responses]
    assert counts == sorted(set(counts))
    assert len(responses) > 6


def test_the_first_token_comes_before_the_last_is_computed(
    llm: HostLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[int] = []
    real = llm.host.model.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        passes.append(kwargs["input_ids"].shape[1])
        return real(*args, **kwargs)

    monkeypatch.setattr(llm.host.model, "forward", forward)
    stream = llm.stream_complete(PROMPT)
    next(stream)
    assert len(passes) < 6
    stream.close()
    assert len(passes) < 6
    assert passes[1:] == [1] * (len(passes) - 1)  # the cache is used


@pytest.mark.parametrize("text", ["灯台守は油を 🧑‍🚀 naïve", "a b  c", " \n"])
def test_streamed_text_is_exact_for_any_tokens(
    llm: HostLLM, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    ids = [*llm.host.encode(text).ids.tolist(), llm.host.tokenizer.eos_token_id]
    monkeypatch.setattr(Generator, "_tokens", lambda *_: iter(ids))
    responses = list(llm.stream_complete(PROMPT, max_new_tokens=500))
    assert responses[-1].text == "".join(str(one.delta) for one in responses) == text
    assert all("\ufffd" not in str(one.delta) for one in responses)


def test_an_answer_that_ends_within_a_character_is_not_lost(
    llm: HostLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [*llm.host.encode("x灯").ids.tolist()[:-1], llm.host.tokenizer.eos_token_id]
    monkeypatch.setattr(Generator, "_tokens", lambda *_: iter(ids))
    response = llm.complete(PROMPT)
    assert response.text.startswith("x\ufffd")
    assert response.raw["usage"]["completion_tokens"] == len(ids) - 1


def test_an_end_token_ends_the_answer(llm: HostLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    first = llm.host.encode(llm.complete(PROMPT).text).ids.tolist()[0]
    monkeypatch.setattr(llm.host.model.generation_config, "eos_token_id", [399, first])
    assert llm.complete(PROMPT).text == ""
    assert [one.delta for one in llm.stream_complete(PROMPT)] == [""]


def test_draws_are_repeatable(llm: HostLLM) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    drawn = [llm.complete(PROMPT, temperature=2.0, seed=seed).text for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert torch.equal(state, torch.get_rng_state())  # the global generator is left alone


def test_chats_go_through_the_template(chat_llm: HostLLM) -> None:
    messages = [
        ChatMessage(role=MessageRole.SYSTEM, content="Be brief."),
        ChatMessage(role=MessageRole.USER, content=QUESTION),
    ]
    prompt = f"<system>Be brief.<|end|><user>{QUESTION}<|end|><assistant>"
    expected = generated(chat_llm.host, prompt, 12, add_special_tokens=False)
    assert chat_llm.chat(messages).message.content == expected
    assert [one.message.content for one in chat_llm.stream_chat(messages)][-1] == expected
    assert chat_llm.metadata.is_chat_model


@pytest.mark.long
def test_prompts_go_through_the_template_unless_formatted(chat_llm: HostLLM) -> None:
    formatted = f"<user>{PROMPT}<|end|><assistant>"
    assert chat_llm.complete(PROMPT) == chat_llm.complete(formatted, formatted=True)
    assert chat_llm.complete(PROMPT) != chat_llm.complete(PROMPT, formatted=True)


def test_without_a_template_prompts_stay_as_they_are(llm: HostLLM) -> None:
    assert not llm.metadata.is_chat_model
    assert llm.complete(PROMPT) == llm.complete(PROMPT, formatted=True)
    assert llm.chat([ChatMessage(content=PROMPT)]).message.content


def test_only_text_can_be_read(chat_llm: HostLLM) -> None:
    image = ImageBlock(url="http://example.org/a.png")
    with pytest.raises(InvalidInputError, match="ImageBlock"):
        chat_llm.chat([ChatMessage(role="user", blocks=[TextBlock(text="What is this?"), image])])


def test_metadata_tells_the_window(llm: HostLLM) -> None:
    assert (llm.metadata.context_window, llm.metadata.num_output) == (256, 12)
    assert llm.metadata.model_name == "tiny"


@pytest.mark.long
def test_an_answer_stops_at_the_end_of_the_window(llm: HostLLM) -> None:
    prompt = PROMPT * 100
    n = len(llm.host.encode(prompt))
    while n > 250:
        prompt = prompt[:-1]
        n = len(llm.host.encode(prompt))
    assert llm.complete(prompt, max_new_tokens=1000).raw["usage"]["completion_tokens"] == 256 - n
    with pytest.raises(InvalidInputError, match="256"):
        llm.complete(PROMPT * 100)


@pytest.mark.parametrize(
    "options",
    [
        {"top_k": 3},
        {"max_tokens": 5},
        {"max_new_tokens": 0},
        {"max_new_tokens": 2.5},
        {"max_new_tokens": None},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"temperature": "hot"},
        {"temperature": None},
        {"seed": "7"},
    ],
)
def test_options_that_cannot_be_used_are_refused(llm: HostLLM, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(options))):
        llm.complete(PROMPT, **options)
    with pytest.raises(InvalidInputError):
        llm.stream_complete(PROMPT, **options)  # before the first token is asked for


def test_an_empty_prompt_is_refused(llm: HostLLM) -> None:
    with pytest.raises(InvalidInputError, match="0 tokens"):
        llm.complete("")


def test_unknown_arguments_are_refused(tiny_host: Host) -> None:
    with pytest.raises(TypeError, match="max_tokens"):
        HostLLM(tiny_host, max_tokens=3)  # type: ignore[call-arg]


def test_a_model_without_a_head_is_refused(
    tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    class Headless(LlamaModel):  # type: ignore[misc]
        def get_decoder(self) -> LlamaModel:
            return self

    with pytest.raises(UnsupportedHostError, match="AutoModelForCausalLM"):
        HostLLM((Headless(tiny_model.config), tiny_tokenizer))


class TestAsync:
    @pytest.mark.long
    def test_says_the_same(self, llm: HostLLM, chat_llm: HostLLM) -> None:
        messages = [ChatMessage(content=PROMPT)]

        async def ask() -> None:
            assert await llm.acomplete(PROMPT) == llm.complete(PROMPT)
            assert await chat_llm.achat(messages) == chat_llm.chat(messages)
            assert [one async for one in await llm.astream_complete(PROMPT)] == list(
                llm.stream_complete(PROMPT)
            )
            assert [one async for one in await chat_llm.astream_chat(messages)] == list(
                chat_llm.stream_chat(messages)
            )

        asyncio.run(ask())

    def test_runs_beside_the_event_loop(self, llm: HostLLM, monkeypatch: pytest.MonkeyPatch) -> None:
        threads: set[threading.Thread] = set()
        real = llm.host.model.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            threads.add(threading.current_thread())
            return real(*args, **kwargs)

        monkeypatch.setattr(llm.host.model, "forward", forward)

        async def ask() -> None:
            await llm.acomplete(PROMPT)
            async for _ in await llm.astream_complete(PROMPT):
                pass

        asyncio.run(ask())
        assert threads
        assert threading.main_thread() not in threads

    def test_a_stream_may_be_left(self, llm: HostLLM) -> None:
        async def ask() -> None:
            stream = await llm.astream_complete(PROMPT)
            async for _ in stream:
                break
            await stream.aclose()

        asyncio.run(ask())


@pytest.mark.parametrize("asynchronous", [False, True])
def test_callbacks_fire_once(tiny_host: Host, asynchronous: bool) -> None:
    debug = LlamaDebugHandler(print_trace_on_end=False)
    llm = HostLLM(tiny_host, max_new_tokens=3, callback_manager=CallbackManager([debug]))
    if asynchronous:
        asyncio.run(llm.acomplete(PROMPT))
    else:
        llm.complete(PROMPT)
    assert len(debug.get_event_pairs(CBEventType.LLM)) == 1


def test_one_model_scans_retrieves_and_answers(make: Make) -> None:
    retriever = make([Document(id_="a", text="The fox is brown.")])
    llm = HostLLM(retriever.engine.host, max_new_tokens=5)
    assert llm.host is retriever.engine.host
    stages = [retriever.retrieve(QUESTION), llm.complete(PROMPT), retriever.retrieve(QUESTION)]
    assert stages[0] == stages[2]


@pytest.mark.long
def test_generating_and_scanning_at_the_same_time_disturb_nothing(make: Make) -> None:
    retriever = make()
    llm = HostLLM(retriever.engine.host, max_new_tokens=40)
    expected = llm.complete(PROMPT), retriever.retrieve(QUESTION)
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(llm.complete(PROMPT))),
        threading.Thread(target=lambda: answers.append(retriever.retrieve(QUESTION))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one in answers for one in expected)


@pytest.mark.host
class TestDefaultHost:
    def test_finds_and_answers(self, host: Host) -> None:
        documents = [
            Document(id_="tides", text="Spring tides follow the new moon. Neap tides come a week later."),
            Document(id_="bridge", text="The old bridge was painted green by Martha Olsen in 1931."),
            Document(id_="rain", text="Rain forms when droplets grow too heavy to stay aloft."),
        ]
        question = "Who painted the bridge?"
        retriever = S3Retriever.from_documents(documents, host=host, similarity_top_k=1)
        engine = RetrieverQueryEngine.from_args(retriever, llm=HostLLM(host, max_new_tokens=30))
        response = engine.query(question)
        assert [one.node.ref_doc_id for one in response.source_nodes] == ["bridge"]
        assert "Martha Olsen" in str(response)

    def test_says_what_the_model_says(self, host: Host) -> None:
        llm = HostLLM(host, max_new_tokens=16)
        turns = [{"role": "user", "content": "What is the capital of France?"}]
        prompt = host.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        expected = generated(host, prompt, 16)
        assert llm.complete("What is the capital of France?").text == expected
        assert "Paris" in expected
