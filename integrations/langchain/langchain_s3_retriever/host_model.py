"""What the chat model and the plain one share: the host, and how text is generated with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, Field, field_validator

from s3_retriever import Host, InvalidInputError
from s3_retriever.integration import Generator, Piece, Sampling, check, check_head, whole

_LIMIT_NAMES = AliasChoices("max_tokens", "max_new_tokens")
_PER_CALL = ("max_tokens", "max_new_tokens", "temperature", "seed")
_LANGCHAINS_OWN = ("stream",)  # acted upon by LangChain and passed on all the same


class HostModel(BaseModel):
    """Settings of a model that generates text with a host.

    Attributes:
        host: The language model: a hub name, a folder, ``(model, tokenizer)`` in memory, a ``Host``
            (``retriever.host``), or None for the default host. Held as a ``Host``.
        max_tokens: Tokens to generate at most (also ``max_new_tokens``).
        temperature: 0 (the default) takes the likeliest token each time; above, tokens are drawn.
        seed: Makes drawing repeatable.
        stop: Texts at the first of which the answer ends; those given to a call take their place.
    """

    host: Any = Field(default=None, validate_default=True, frozen=True, repr=False, exclude=True)
    max_tokens: Annotated[int, Field(ge=1, validation_alias=_LIMIT_NAMES)] = 256
    temperature: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    seed: int | None = Field(default=None, ge=0)
    stop: list[str] = Field(default_factory=list)

    @field_validator("host")
    @classmethod
    def _load_host(cls, value: Any) -> Host:
        host = Host.load(value)
        check_head(host)
        return host

    @property
    def model_name(self) -> str:
        """Name of the host, for traces."""
        return str(self.host.name)

    def get_token_ids(self, text: str) -> list[int]:
        """Return the host's token ids of a text; LangChain's default would fetch another tokenizer."""
        custom: Callable[[str], list[int]] | None = getattr(self, "custom_get_token_ids", None)
        if custom is not None:
            return custom(text)
        return [int(one) for one in self.host.encode(text).ids]

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        names = ("model_name", "max_tokens", "temperature", "seed", "stop")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def _generator(self) -> Generator:
        return Generator(self.host)

    def _pieces(
        self, prompt: str, special_tokens: bool, stop: list[str] | None, options: Mapping[str, Any]
    ) -> tuple[int, Iterator[Piece]]:
        """Return how many tokens a prompt has, and the text that follows it.

        Raises:
            InvalidInputError: An option is unknown or has a value that cannot be used, or the prompt is
                empty or too long.
        """
        ids = self._generator.encode(prompt, special_tokens=special_tokens)
        return len(ids), self._generator.generate(ids, self._sampling(stop, options))

    def _sampling(self, stop: list[str] | None, options: Mapping[str, Any]) -> Sampling:
        unknown = [name for name in options if name not in (*_PER_CALL, *_LANGCHAINS_OWN)]
        if unknown:
            msg = f"unknown argument {unknown[0]!r}; a call takes stop, {', '.join(_PER_CALL)}"
            raise InvalidInputError(msg)
        given = {name: options[name] for name in _PER_CALL if options.get(name) is not None}
        max_tokens = given.get("max_tokens", given.get("max_new_tokens", self.max_tokens))
        check("max_tokens", max_tokens, whole(1))
        seed = given.get("seed", self.seed)
        if isinstance(seed, int) and seed < 0:
            msg = f"seed must be a whole number of 0 or more, or None, not {seed!r}"
            raise InvalidInputError(msg)
        temperature = given.get("temperature", self.temperature)
        return Sampling(max_tokens, temperature, seed, self.stop if stop is None else stop)
