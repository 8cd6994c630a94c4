"""Text from the host, token by token."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from s3_retriever import Host
from s3_retriever.errors import InvalidInputError, UnsupportedHostError


@dataclass(frozen=True)
class Piece:
    """Some more text.

    Attributes:
        text: May be empty.
        n_tokens: Tokens generated so far.
        finish: Why this is the last piece ("stop": the model or a stop sequence ended the text; "length":
            the limit of tokens or the host's window did), or None if more follows.
    """

    text: str
    n_tokens: int
    finish: Literal["stop", "length"] | None = None


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        max_tokens: Tokens to generate at most.
        temperature: 0 takes the likeliest token; above, tokens are drawn.
        seed: Makes drawing repeatable.
        stop: Texts at the first of which the text ends; they are not part of it.
    """

    max_tokens: int
    temperature: float
    seed: int | None
    stop: tuple[str, ...]


def check_head(host: Host) -> None:
    """Make sure that a host can generate text.

    Raises:
        UnsupportedHostError: Its model has no language-model head.
    """
    if host.model.get_output_embeddings() is None:
        msg = (
            f"host {host.name!r} has no language-model head, so it cannot generate text; "
            "load the model with AutoModelForCausalLM"
        )
        raise UnsupportedHostError(msg)


class Generator:
    """Generates text with a host; threads may share it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        # Of its own, like the host's: nobody's padding or truncation applies, and no two threads collide.
        self._tokenizer = copy.deepcopy(host.tokenizer.backend_tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._ends = _end_tokens(host)

    def encode(self, prompt: str, *, special_tokens: bool) -> list[int]:
        """Tokenise a prompt, with the tokens that the tokenizer puts around a text if asked for."""
        ids: list[int] = self._tokenizer.encode(prompt, add_special_tokens=special_tokens).ids
        return ids

    def generate(self, prompt: Sequence[int], sampling: Sampling) -> Iterator[Piece]:
        """Yield the text that follows a prompt, as it comes; the model computes only what is asked for.

        Raises:
            InvalidInputError: The prompt has no token, or fills the host's window.
        """
        room = self._host.max_tokens - len(prompt)
        if not prompt:
            msg = "the prompt is empty; give the model something to begin with"
            raise InvalidInputError(msg)
        if room < 1:
            msg = (
                f"the prompt has {len(prompt)} tokens, the window of host {self._host.name!r} "
                f"{self._host.max_tokens}; shorten it, for example by a smaller token_budget"
            )
            raise InvalidInputError(msg)
        return self._pieces(prompt, sampling, min(sampling.max_tokens, room))

    def _pieces(self, prompt: Sequence[int], sampling: Sampling, limit: int) -> Iterator[Piece]:
        decoder, held = _Decoder(self._tokenizer), _Held(sampling.stop)
        n_tokens = 0
        for n_tokens, token in enumerate(self._tokens(prompt, sampling, limit), 1):
            if token in self._ends:
                yield Piece(held.push(decoder.rest()) + held.rest(), n_tokens, "stop")
                return
            text = held.push(decoder.push(token))
            if held.stopped:
                yield Piece(text, n_tokens, "stop")
                return
            if n_tokens < limit:
                yield Piece(text, n_tokens)
            else:
                yield Piece(text + held.push(decoder.rest()) + held.rest(), n_tokens, "length")

    def _tokens(self, prompt: Sequence[int], sampling: Sampling, limit: int) -> Iterator[int]:
        model = self._host.model
        draw = torch.Generator()
        if sampling.seed is None:
            draw.seed()
        else:
            draw.manual_seed(sampling.seed)
        ids, cache = list(prompt), None
        for _ in range(limit):
            logits, cache = _step(model, ids, cache)
            if sampling.temperature == 0:
                token = int(logits.argmax())
            else:
                odds = torch.softmax(logits / sampling.temperature, dim=-1)
                token = int(torch.multinomial(odds, 1, generator=draw))
            yield token
            ids = [token]


@torch.inference_mode()
def _step(model: Any, ids: list[int], cache: Any) -> tuple[torch.Tensor, Any]:
    """Return float32 (V,) logits after some more tokens, on the CPU, and the cache that now holds them."""
    inputs = torch.tensor([ids], device=model.device)
    output = model(input_ids=inputs, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return output.logits[0, -1].float().cpu(), output.past_key_values


def _end_tokens(host: Host) -> frozenset[int]:
    """Return the ids that end a text, of the model and of the tokenizer."""
    own = getattr(getattr(host.model, "generation_config", None), "eos_token_id", None)
    several = own if isinstance(own, (list, tuple)) else [own]
    return frozenset(one for one in (*several, host.tokenizer.eos_token_id) if one is not None)


class _Decoder:
    """Turns tokens into text as they come; a character is given out when all its bytes are there."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._done = 0  # tokens given out

    def push(self, token: int) -> str:
        self._ids.append(token)
        text = self._decode(self._ids)
        if text.endswith("\ufffd"):
            return ""
        piece = text[len(self._decode(self._ids[: self._done])) :]
        # The tokens of the last piece stay: what the next one reads as may depend on what it follows.
        self._ids = self._ids[self._done :]
        self._done = len(self._ids)
        return piece

    def rest(self) -> str:
        """Give out what is left of a character that was not completed."""
        piece = self._decode(self._ids)[len(self._decode(self._ids[: self._done])) :]
        self._done = len(self._ids)
        return piece

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text


class _Held:
    """Holds back the end of a text that may be the beginning of a stop sequence."""

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self._text = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Return what can be given out; after a stop sequence, nothing more."""
        if self.stopped:
            return ""
        self._text += text
        places = [place for place in (self._text.find(stop) for stop in self._stop) if place >= 0]
        if places:
            self.stopped = True
            given, self._text = self._text[: min(places)], ""
            return given
        cut = len(self._text) - self._beginning()
        given, self._text = self._text[:cut], self._text[cut:]
        return given

    def rest(self) -> str:
        """Return what was held back: no stop sequence came of it."""
        given, self._text = self._text, ""
        return given

    def _beginning(self) -> int:
        """Return how many characters at the end may begin a stop sequence."""
        longest = max((len(stop) for stop in self._stop), default=1) - 1
        for size in range(min(longest, len(self._text)), 0, -1):
            if any(stop.startswith(self._text[-size:]) for stop in self._stop):
                return size
        return 0
