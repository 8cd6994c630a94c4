"""An LLM over the host: the model that scans and retrieves also answers."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import itertools
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

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

from s3_retriever import Host, InvalidInputError
from s3_retriever.integration import Generator, Piece, Sampling, Uncopyable

T = TypeVar("T")


class HostLLM(Uncopyable, CustomLLM):
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
        HostNotFoundError: The host's weights were not found.
    """

    instead: ClassVar[str] = "threads may share it; in another process make one with HostLLM(host)"

    model_config = ConfigDict(extra="forbid")
    max_new_tokens: int = Field(default=256, ge=1, description="Most tokens of an answer.")
    temperature: float = Field(default=0.0, ge=0.0, description="0 is greedy.")
    seed: int | None = Field(default=None, description="Makes draws repeatable.")
    _host: Host = PrivateAttr()
    _generator: Generator = PrivateAttr()

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
        generator = Generator(loaded)
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
        self._host, self._generator = loaded, generator

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
        sampling = Sampling(**settings)
        if not formatted and self.completion_to_prompt is not None:
            prompt = self.completion_to_prompt(prompt)
        # A template writes the special tokens itself.
        ids = self._generator.encode(prompt, special_tokens=not self._templated)
        return _grow(len(ids), self._generator.generate(ids, sampling))


def _grow(n_prompt: int, pieces: Iterator[Piece]) -> CompletionResponseGen:
    text, reported = "", -1
    for piece in pieces:
        # Without the token that ended it.
        n_tokens = piece.n_tokens - (piece.finish == "stop")
        # An answer may be empty: LlamaIndex needs one response at least.
        if piece.text or (piece.finish and n_tokens != reported):
            text, reported = text + piece.text, n_tokens
            usage = {"prompt_tokens": n_prompt, "completion_tokens": n_tokens}
            yield CompletionResponse(text=text, delta=piece.text, raw={"usage": usage})


async def _threaded(items: collections.abc.Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """Iterate a generator, each of its steps in a thread."""
    try:
        # A list, because a thread cannot hand StopIteration to a coroutine.
        while item := await asyncio.to_thread(lambda: list(itertools.islice(items, 1))):
            yield item[0]
    finally:
        # Cancelled while a thread computes a token: the generator cannot be closed then, and ends unread.
        with contextlib.suppress(ValueError):
            items.close()
