"""An LLM over the host: the model that scans and retrieves also answers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import torch
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
    TextBlock,
)
from llama_index.core.bridge.pydantic import ConfigDict, Field, PrivateAttr
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import CustomLLM
from llama_index.core.llms.callbacks import llm_completion_callback

from s3_retriever import Host
from s3_retriever.errors import InvalidInputError, UnsupportedHostError
from s3_retriever.retriever import check_positive

_REPLACEMENT = "\ufffd"  # how a tokenizer shows a character of which some bytes are still to come
T = TypeVar("T")


class HostLLM(CustomLLM):
    """Generates text with a host that is in memory already; no second model is loaded.

    Chats and prompts go through the tokenizer's chat template where it has one. Greedy by default: the same
    prompt gives the same answer.

    Args:
        host: A ``Host`` (``retriever.engine.host``), ``(model, tokenizer)``, a hub name, a folder, or None
            for the default host.
        max_new_tokens: Most tokens of an answer.
        temperature: 0 is greedy; otherwise tokens are drawn from the softmax of logits / temperature.
        seed: Makes draws repeatable.
        system_prompt: Put before every chat by LlamaIndex.
        callback_manager: LlamaIndex's.
        messages_to_prompt: Instead of the chat template.
        completion_to_prompt: Instead of the chat template, for bare prompts.

    Raises:
        UnsupportedHostError: The model has no language-model head.
        HostNotFoundError: The host's weights are not to be had.
    """

    model_config = ConfigDict(extra="forbid")
    max_new_tokens: int = Field(default=256, ge=1, description="Most tokens of an answer.")
    temperature: float = Field(default=0.0, ge=0.0, description="0 is greedy.")
    seed: int | None = Field(default=None, description="Makes draws repeatable.")
    _host: Host = PrivateAttr()

    def __init__(
        self,
        host: Any = None,
        *,
        max_new_tokens: int = 256,
        temperature: float = 0.0,
        seed: int | None = None,
        system_prompt: str | None = None,
        callback_manager: CallbackManager | None = None,
        messages_to_prompt: Callable[[Sequence[ChatMessage]], str] | None = None,
        completion_to_prompt: Callable[[str], str] | None = None,
    ) -> None:
        loaded = Host.load(host)
        if not loaded.model.can_generate():
            kind = type(loaded.model).__name__
            msg = f"{kind} has no language-model head to answer with; load it with AutoModelForCausalLM"
            raise UnsupportedHostError(msg)
        templated = getattr(loaded.tokenizer, "chat_template", None) is not None
        super().__init__(
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            system_prompt=system_prompt,
            callback_manager=callback_manager or CallbackManager([]),
            messages_to_prompt=messages_to_prompt or (self._render if templated else None),
            completion_to_prompt=completion_to_prompt or (self._render_prompt if templated else None),
        )
        self._host = loaded

    @classmethod
    def class_name(cls) -> str:
        """Return LlamaIndex's name of this component."""
        return "S3HostLLM"

    @property
    def host(self) -> Host:
        """The model and its tokenizer."""
        return self._host

    @property
    def metadata(self) -> LLMMetadata:
        """The host's window in tokens, its name, and whether it has a chat template."""
        return LLMMetadata(
            context_window=self._host.max_tokens,
            num_output=self.max_new_tokens,
            is_chat_model=self._templated,
            model_name=self._host.name,
        )

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Answer a prompt.

        Args:
            prompt: Wrapped in the chat template unless ``formatted``.
            formatted: Whether it has been.
            kwargs: ``max_new_tokens``, ``temperature`` and ``seed`` for this answer.

        Raises:
            InvalidInputError: The prompt is empty or fills the window, or a keyword is unknown or has a value
                that cannot be used.
        """
        *_, whole = self._responses(prompt, formatted, kwargs)
        return whole

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Answer a prompt token by token; arguments and errors as for :meth:`complete`.

        Tokens that are part of a character come together, when the character is complete.
        """
        return self._responses(prompt, formatted, kwargs)

    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Do as :meth:`complete` in a thread; the event loop goes on."""
        return await asyncio.to_thread(self.complete, prompt, formatted=formatted, **kwargs)

    async def astream_complete(
        self, prompt: str, formatted: bool = False, **kwargs: Any
    ) -> CompletionResponseAsyncGen:
        """Do as :meth:`stream_complete`, each token in a thread."""
        return _threaded(self.stream_complete(prompt, formatted=formatted, **kwargs))

    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Do as ``chat`` in a thread."""
        return await asyncio.to_thread(self.chat, messages, **kwargs)

    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        """Do as ``stream_chat``, each token in a thread."""
        return _threaded(self.stream_chat(messages, **kwargs))

    @property
    def _templated(self) -> bool:
        return getattr(self._host.tokenizer, "chat_template", None) is not None

    def _render_prompt(self, prompt: str) -> str:
        return self._render([ChatMessage(role="user", content=prompt)])

    def _render(self, messages: Sequence[ChatMessage]) -> str:
        for message in messages:
            for block in message.blocks:
                if not isinstance(block, TextBlock):
                    msg = f"{self._host.name} reads text only; take the {type(block).__name__} out"
                    raise InvalidInputError(msg)
        turns = [{"role": one.role.value, "content": one.content or ""} for one in messages]
        text = self._host.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return str(text)

    def _responses(self, prompt: str, formatted: bool, options: dict[str, Any]) -> CompletionResponseGen:
        """Check everything at once and return the answer as it grows."""
        settings = {name: getattr(self, name) for name in ("max_new_tokens", "temperature", "seed")}
        unknown = options.keys() - settings.keys()
        if unknown:
            msg = f"unknown options {sorted(unknown)}; there are {sorted(settings)}"
            raise InvalidInputError(msg)
        settings.update(options)
        check_positive("max_new_tokens", settings["max_new_tokens"])
        temperature, seed = settings["temperature"], settings["seed"]
        if not isinstance(temperature, (int, float)) or not 0 <= temperature < float("inf"):
            msg = f"temperature must be a number of 0 or more, not {temperature!r}"
            raise InvalidInputError(msg)
        if seed is not None and not isinstance(seed, int):
            msg = f"seed must be a whole number or None, not {seed!r}"
            raise InvalidInputError(msg)
        if not formatted and self.completion_to_prompt is not None:
            prompt = self.completion_to_prompt(prompt)
        # A template writes the special tokens itself.
        ids = self._host.tokenizer(prompt, add_special_tokens=not self._templated)["input_ids"]
        room = self._host.max_tokens - len(ids)
        if not ids or room < 1:
            msg = (
                f"a prompt of {len(ids)} tokens leaves no room for an answer in the window of "
                f"{self._host.max_tokens}: it needs at least one token and room for one more"
            )
            raise InvalidInputError(msg)
        settings["max_new_tokens"] = min(settings["max_new_tokens"], room)
        return self._grow(ids, **settings)

    def _grow(
        self, prompt: list[int], max_new_tokens: int, temperature: float, seed: int | None
    ) -> CompletionResponseGen:
        ids: list[int] = []
        text, done = "", 0  # `done` tokens have been turned into text

        def grown(delta: str) -> CompletionResponse:
            usage = {"prompt_tokens": len(prompt), "completion_tokens": len(ids)}
            return CompletionResponse(text=text + delta, delta=delta, raw={"usage": usage})

        for token in itertools.islice(self._tokens(prompt, temperature, seed), max_new_tokens):
            ids.append(token)
            delta = self._new_text(ids, done)
            if not delta.endswith(_REPLACEMENT):
                yield grown(delta)
                text, done = text + delta, len(ids)
        # The answer ends within a character, or is empty: LlamaIndex needs one response at least.
        if done < len(ids) or not ids:
            yield grown(self._new_text(ids, done))

    def _new_text(self, ids: list[int], done: int) -> str:
        """Return what the tokens from ``done`` on add to the text.

        A few tokens before them are decoded too: some tokenizers drop the space that begins a text.
        """
        start = max(0, done - 4)
        before, after = (self._decode(ids[start:end]) for end in (done, len(ids)))
        return after[len(before) :]

    def _decode(self, ids: list[int]) -> str:
        text = self._host.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    def _tokens(self, prompt: list[int], temperature: float, seed: int | None) -> Iterator[int]:
        """Yield tokens until one that ends the answer, which is left out."""
        model = self._host.model
        device = model.get_input_embeddings().weight.device
        generator = torch.Generator(device)
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        ends = self._ends()
        cache, ids = None, torch.tensor([prompt], device=device)
        while True:
            # Around each pass, not the loop: the caller's code runs between two tokens.
            with torch.inference_mode():
                output = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache, logits = output.past_key_values, output.logits[0, -1].float()
                if temperature > 0:
                    weights = torch.softmax(logits / temperature, dim=-1)
                    ids = torch.multinomial(weights, 1, generator=generator)[None]
                else:
                    ids = logits.argmax()[None, None]
            token = int(ids)
            if token in ends:
                return
            yield token

    def _ends(self) -> set[int]:
        configured = getattr(self._host.model.generation_config, "eos_token_id", None)
        ends = configured if isinstance(configured, list) else [configured]
        return {int(end) for end in (*ends, self._host.tokenizer.eos_token_id) if end is not None}


async def _threaded(items: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """Iterate a generator, each of its steps in a thread."""
    try:
        # A list, because a thread cannot hand StopIteration to a coroutine.
        while item := await asyncio.to_thread(lambda: list(itertools.islice(items, 1))):
            yield item[0]
    finally:
        # Cancelled while a thread computes a token: the generator cannot be closed then, and ends unread.
        with contextlib.suppress(ValueError):
            items.close()
