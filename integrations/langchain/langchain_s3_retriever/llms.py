"""A plain language model over the host that retrieves, for hosts without a chat template."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import LLM
from langchain_core.outputs import GenerationChunk
from pydantic import ConfigDict

from langchain_s3_retriever.host_model import HostModel


class S3HostLLM(HostModel, LLM):
    """Continues a text with the model that retrieved; settings and calls as in :class:`ChatS3Host`.

    Raises:
        ValidationError: A setting is unknown, has a value that cannot be used, or the model has no
            language-model head.
        HostNotFoundError: The host's weights were not found.
    """

    model_config = ConfigDict(extra="forbid")

    @property
    def _llm_type(self) -> str:
        return "s3-host"

    def _call(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> str:
        _, pieces = self._pieces(prompt, True, stop, kwargs)
        return "".join(piece.text for piece in pieces)

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        _, pieces = self._pieces(prompt, True, stop, kwargs)
        for piece in pieces:
            info = None if piece.finish is None else {"finish_reason": piece.finish}
            chunk = GenerationChunk(text=piece.text, generation_info=info)
            if run_manager is not None:
                run_manager.on_llm_new_token(piece.text, chunk=chunk)
            yield chunk
