"""The chat model and the plain one: greedy and repeatable, streaming, stop sequences, limits."""

from __future__ import annotations

import asyncio
import copy
import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_corpus import QUESTION
from pydantic import ValidationError
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from langchain_s3_retriever import ChatS3Host, S3HostLLM, S3Retriever
from s3_retriever import Host
from s3_retriever.errors import InvalidInputError

MESSAGES: list[BaseMessage] = [SystemMessage("Be brief."), HumanMessage("Who keeps the light?")]


@pytest.fixture(scope="session")
def chat(chat_host: Host) -> ChatS3Host:
    return ChatS3Host(host=chat_host, max_tokens=30)


@pytest.fixture(scope="session")
def llm(tiny_host: Host) -> S3HostLLM:
    return S3HostLLM(host=tiny_host, max_tokens=30)


class Tokens(BaseCallbackHandler):
    """Notes the tokens that models report."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens.append(token)


def greedy(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, prompt: str, n: int) -> str:
    """What transformers itself generates."""
    inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    output = model.generate(  # type: ignore[misc]
        input_ids=inputs.input_ids, do_sample=False, max_new_tokens=n, eos_token_id=[0, 2], pad_token_id=0
    )
    ids = output[0, inputs.input_ids.shape[1] :]
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


@pytest.mark.long
def test_it_says_what_transformers_generates(
    chat: ChatS3Host, llm: S3HostLLM, tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    prompt = "<system>Be brief.\n<user>Who keeps the light?\n<assistant>"
    expected = greedy(tiny_model, tiny_tokenizer, prompt, 30)
    assert chat.invoke(MESSAGES).content == expected != ""
    assert llm.invoke(prompt) == expected


@pytest.mark.long
async def test_every_way_to_call_says_the_same(chat: ChatS3Host, llm: S3HostLLM) -> None:
    answer = chat.invoke(MESSAGES)
    assert isinstance(answer, AIMessage)
    assert (await chat.ainvoke(MESSAGES)).content == answer.content
    chunks = list(chat.stream(MESSAGES))
    assert "".join(str(chunk.content) for chunk in chunks) == answer.content
    whole = sum(chunks[1:], chunks[0])
    assert isinstance(whole, AIMessageChunk)
    assert whole.usage_metadata == answer.usage_metadata
    assert whole.response_metadata == answer.response_metadata
    pieces = [str(chunk.content) async for chunk in chat.astream(MESSAGES)]
    assert "".join(pieces) == answer.content
    assert [one.content for one in chat.batch([MESSAGES] * 3)] == [answer.content] * 3
    assert (
        ChatS3Host(host=chat.host, max_tokens=30, streaming=True).invoke(MESSAGES).content == answer.content
    )
    text = llm.invoke("The keeper")
    assert await llm.ainvoke("The keeper") == text == "".join(llm.stream("The keeper"))
    assert "".join([piece async for piece in llm.astream("The keeper")]) == text


def test_it_streams_token_by_token_and_computes_no_more_than_is_read(
    chat_host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = 0
    forward = chat_host.model.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        nonlocal passes
        passes += 1
        return forward(*args, **kwargs)

    monkeypatch.setattr(chat_host.model, "forward", counting)
    stream = ChatS3Host(host=chat_host, max_tokens=30).stream(MESSAGES)
    for read in range(1, 6):
        next(stream)
        assert passes == read
    stream.close()
    assert passes == 5


def test_usage_and_reason(chat: ChatS3Host) -> None:
    answer = chat.invoke(MESSAGES, max_tokens=7)
    prompt = chat.host.count_tokens("<system>Be brief.\n<user>Who keeps the light?\n<assistant>")
    assert answer.usage_metadata == {"input_tokens": prompt, "output_tokens": 7, "total_tokens": prompt + 7}
    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.response_metadata["model_name"] == "tiny"


@pytest.mark.long
def test_stop_sequences_end_the_text(chat: ChatS3Host, llm: S3HostLLM) -> None:
    text = str(chat.invoke(MESSAGES).content)
    for begin, size in itertools.product((0, 3, len(text) // 2), (1, 2, 5)):
        stop = text[begin : begin + size]
        expected = text[: text.index(stop)]
        answer = chat.invoke(MESSAGES, stop=["never", stop])
        assert answer.content == expected
        assert answer.response_metadata["finish_reason"] == "stop"
        assert "".join(str(chunk.content) for chunk in chat.stream(MESSAGES, stop=[stop])) == expected
        assert ChatS3Host(host=chat.host, max_tokens=30, stop=[stop]).invoke(MESSAGES).content == expected
    continued = llm.invoke("The keeper")
    assert llm.invoke("The keeper", stop=[continued[4:7]]) == continued[: continued.index(continued[4:7])]
    own = ChatS3Host(host=chat.host, max_tokens=30, stop=[text[0]])
    assert own.invoke(MESSAGES, stop=["never"]).content == text  # those of the call take their place


@pytest.mark.long
def test_drawing_is_repeatable_with_a_seed(chat: ChatS3Host) -> None:
    def draw(**options: Any) -> str:
        return str(chat.invoke(MESSAGES, temperature=1.5, **options).content)

    before = torch.random.get_rng_state()
    assert draw(seed=1) == draw(seed=1) == draw(seed=1, max_new_tokens=30)
    assert len({draw(seed=seed) for seed in range(4)}) > 1
    assert len({draw() for _ in range(4)}) > 1
    assert torch.equal(torch.random.get_rng_state(), before)  # nobody else's random numbers are touched
    fixed = ChatS3Host(host=chat.host, max_tokens=30, temperature=1.5, seed=1)
    assert fixed.invoke(MESSAGES).content == draw(seed=1)


@pytest.mark.long
def test_the_window_is_never_exceeded(chat: ChatS3Host, llm: S3HostLLM) -> None:
    answer = chat.invoke("word " * 40, max_tokens=10_000)
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] <= chat.host.max_tokens
    assert answer.response_metadata["finish_reason"] in ("length", "stop")
    with pytest.raises(InvalidInputError, match="window of host 'tiny' 256"):
        chat.invoke("word " * 300)
    with pytest.raises(InvalidInputError, match="empty"):
        llm.invoke("")


def test_messages_of_all_roles(chat: ChatS3Host) -> None:
    messages = [
        SystemMessage("s"),
        HumanMessage([{"type": "text", "text": "h"}, "i"]),
        AIMessage("a"),
        ToolMessage("t", tool_call_id="1"),
        ChatMessage("c", role="critic"),
    ]
    assert chat._prompt(messages) == "<system>s\n<user>hi\n<assistant>a\n<tool>t\n<critic>c\n<assistant>"
    with pytest.raises(InvalidInputError, match="FunctionMessage"):
        chat.invoke([FunctionMessage("f", name="f")])
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    with pytest.raises(InvalidInputError, match="'image_url'"):
        chat.invoke([HumanMessage([image])])
    tokenizer = copy.deepcopy(chat.host.tokenizer)
    tokenizer.chat_template = "{{ raise_exception('no system role') }}"
    strict = ChatS3Host(host=Host(model=chat.host.model, tokenizer=tokenizer, name="strict"))
    with pytest.raises(InvalidInputError, match=r"refuses the roles system, user \(no system role"):
        strict.invoke(MESSAGES)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"max_new_tokens": -1},
        {"temperature": -0.1},
        {"temperature": float("inf")},
        {"stop": "END"},
        {"seed": "7 or so"},
        {"top_q": 3},
        {"timeout": 3},
    ],
    ids=repr,
)
def test_settings_that_cannot_be_used_are_refused(
    chat: ChatS3Host, llm: S3HostLLM, wrong: dict[str, Any]
) -> None:
    for model, question in ((chat, MESSAGES), (llm, "text")):
        with pytest.raises(ValidationError):
            type(model)(host=model.host, **wrong)
        with pytest.raises(InvalidInputError):
            model.invoke(question, **wrong)
    with pytest.raises(InvalidInputError, match="not empty"):
        chat.invoke(MESSAGES, stop=[""])


def test_hosts_that_cannot_answer_are_refused(tiny_host: Host, tiny_model: LlamaForCausalLM) -> None:
    with pytest.raises(ValidationError, match="no chat template; use S3HostLLM"):
        ChatS3Host(host=tiny_host)
    bare = Host(model=tiny_model.model, tokenizer=tiny_host.tokenizer, name="bare")
    with pytest.raises(ValidationError, match="no language-model head"):
        S3HostLLM(host=bare)
    with pytest.raises(ValidationError, match="frozen"):
        S3HostLLM(host=tiny_host).host = bare


def test_it_counts_tokens_as_the_host_does(chat: ChatS3Host) -> None:
    assert chat.get_num_tokens("Who keeps the light?") == chat.host.count_tokens("Who keeps the light?")
    custom = ChatS3Host(host=chat.host, custom_get_token_ids=lambda text: [1, 2, 3])
    assert custom.get_num_tokens("text") == 3


@pytest.mark.long
def test_tracing(chat: ChatS3Host) -> None:
    params = chat._get_ls_params(stop=["x"])
    expected = {
        "ls_provider": "s3_retriever",
        "ls_model_name": "tiny",
        "ls_model_type": "chat",
        "ls_stop": ["x"],
    }
    assert expected.items() <= params.items()
    tokens = Tokens()
    answer = ChatS3Host(host=chat.host, max_tokens=30, streaming=True).invoke(
        MESSAGES, {"callbacks": [tokens]}
    )
    assert "".join(tokens.tokens) == answer.content
    assert len(tokens.tokens) >= 30


@pytest.mark.long
async def test_the_event_loop_ticks_while_it_answers(
    chat: ChatS3Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, ticked = chat.host.model.forward, threading.Event()

    def after_a_tick(*args: Any, **options: Any) -> Any:
        assert threading.current_thread() is not threading.main_thread()  # there, it would wait for itself
        ticked.wait()
        return forward(*args, **options)

    monkeypatch.setattr(chat.host.model, "forward", after_a_tick)
    answering = asyncio.create_task(chat.ainvoke(MESSAGES))
    await asyncio.sleep(0)
    ticked.set()
    assert (await answering).content


@pytest.mark.long
def test_it_retrieves_while_it_answers(chat: ChatS3Host, shared: S3Retriever) -> None:
    expected, spans = chat.invoke(MESSAGES).content, shared.invoke(QUESTION)
    assert chat.host.model is shared.host.model  # one set of weights
    text = ""
    for chunk in chat.stream(MESSAGES):
        text += str(chunk.content)
        assert shared.invoke(QUESTION) == spans
    assert text == expected
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(chat.invoke, MESSAGES) for _ in range(6)]
        found = [pool.submit(shared.invoke, QUESTION) for _ in range(6)]
    assert all(answer.result().content == expected for answer in answers)
    assert all(one.result() == spans for one in found)


@pytest.mark.long
def test_one_model_retrieves_and_answers(chat: ChatS3Host, shared: S3Retriever) -> None:
    prompt = ChatPromptTemplate.from_template("{context}\n{question}")
    short = S3Retriever(core=shared.core, k=1, token_budget=20)
    context = short | (lambda documents: documents[0].page_content)
    chain = {"context": context, "question": lambda question: question} | prompt | chat | StrOutputParser()
    assert chain.invoke(QUESTION) == "".join(chain.stream(QUESTION)) != ""


@pytest.mark.host
def test_the_default_host_answers_from_what_it_found(host: Host) -> None:
    chat = ChatS3Host(host=host, max_tokens=24)
    context = "The lighthouse keeper of Utsira stores the oil in the cellar."
    answer = chat.invoke(f"{context}\nWhere does the keeper store the oil? Answer in one sentence.")
    assert "cellar" in str(answer.content)
    assert answer.response_metadata["finish_reason"] == "stop"
