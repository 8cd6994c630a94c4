"""A chat model over the host that retrieves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2 import TemplateError
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, field_validator

from langchain_s3_retriever.host_model import HostModel
from s3_retriever import Host, InvalidInputError, UnsupportedHostError
from s3_retriever.integration import Piece

_ROLES = {SystemMessage: "system", HumanMessage: "user", AIMessage: "assistant", ToolMessage: "tool"}


class ChatS3Host(HostModel, BaseChatModel):
    """Answers with the model that retrieved: one set of weights in memory for both.

    Messages become a prompt by the tokenizer's own chat template. Greedy by default, so answers repeat;
    streams token by token. A call may replace ``stop``, ``max_tokens``, ``temperature`` and ``seed``.

    Attributes:
        streaming: Generate by streaming in ``invoke`` too, so that callbacks see every token.

    Raises:
        ValidationError: A setting is unknown, has a value that cannot be used, or the model has no
            language-model head or no chat template (use :class:`S3HostLLM` for those without template).
        HostNotFoundError: The host's weights were not found.
    """

    model_config = ConfigDict(extra="forbid")

    streaming: bool = False

    @field_validator("host")
    @classmethod
    def _check_template(cls, host: Host) -> Host:
        if not host.tokenizer.chat_template:
            msg = f"the tokenizer of host {host.name!r} has no chat template; use S3HostLLM instead"
            raise UnsupportedHostError(msg)
        return host

    @property
    def _llm_type(self) -> str:
        return "s3-host-chat"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop or self.stop or None, **kwargs)
        params["ls_provider"] = "s3_retriever"
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        n_prompt, pieces = self._pieces(self._prompt(messages), False, stop, kwargs)
        every = list(pieces)
        message = AIMessage(
            content="".join(piece.text for piece in every), usage_metadata=_usage(n_prompt, every[-1])
        )
        generation = ChatGeneration(message=message, generation_info=self._info(every[-1]))
        return ChatResult(generations=[generation])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        n_prompt, pieces = self._pieces(self._prompt(messages), False, stop, kwargs)
        for piece in pieces:
            if piece.finish is None:
                chunk = ChatGenerationChunk(message=AIMessageChunk(content=piece.text))
            else:
                message = AIMessageChunk(
                    content=piece.text, usage_metadata=_usage(n_prompt, piece), chunk_position="last"
                )
                chunk = ChatGenerationChunk(message=message, generation_info=self._info(piece))
            if run_manager is not None:
                run_manager.on_llm_new_token(piece.text, chunk=chunk)
            yield chunk

    def _prompt(self, messages: list[BaseMessage]) -> str:
        conversation = [{"role": _role(message), "content": _text(message)} for message in messages]
        try:
            prompt = self.host.tokenizer.apply_chat_template(
                conversation, tokenize=False, add_generation_prompt=True
            )
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in conversation)
            msg = f"the chat template of host {self.host.name!r} refuses the roles {roles} ({error})"
            raise InvalidInputError(msg) from error
        return str(prompt)

    def _info(self, last: Piece) -> dict[str, Any]:
        return {"finish_reason": last.finish, "model_name": self.model_name}


def _usage(n_prompt: int, last: Piece) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=n_prompt, output_tokens=last.n_tokens, total_tokens=n_prompt + last.n_tokens
    )


def _role(message: BaseMessage) -> str:
    if isinstance(message, ChatMessage):
        return message.role
    for kind, role in _ROLES.items():
        if isinstance(message, kind):
            return role
    msg = f"a {type(message).__name__} cannot be part of a chat with a host; use system, human or AI messages"
    raise InvalidInputError(msg)


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    for block in message.content:
        if not isinstance(block, str) and block.get("type") != "text":
            msg = f"the host reads text only, not content of type {block.get('type')!r}; leave it out"
            raise InvalidInputError(msg)
    return "".join(block if isinstance(block, str) else str(block["text"]) for block in message.content)
