"""Text from the host, token by token: what the models of the integrations answer with."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from s3_retriever.checks import check_settings, number, optional, whole
from s3_retriever.errors import InvalidInputError, UnsupportedHostError
from s3_retriever.host.model import Host
from s3_retriever.host.rest import computing
from s3_retriever.host.tokens import without_surrogates
from s3_retriever.host.treated import input_device


@dataclass(frozen=True)
class Piece:
    """Some more text.

    Attributes:
        text: May be empty.
        n_tokens: Tokens generated so far, with the one that ended the text if one did.
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
        max_new_tokens: Tokens to generate at most.
        temperature: 0 takes the likeliest token; above, tokens are drawn from the softmax of
            logits / temperature.
        seed: Makes drawing repeatable.
        stop: Texts at the first of which the text ends; they are not part of it. Kept as a tuple.

    Raises:
        InvalidInputError: A value cannot be used.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    seed: int | None = None
    stop: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_settings(
            self,
            max_new_tokens=whole(1),
            temperature=number(0),
            seed=optional(whole(-(2**63), 2**64 - 1)),
        )
        texts = isinstance(self.stop, (list, tuple))
        if not texts or not all(isinstance(text, str) and text for text in self.stop):
            msg = f"stop must be a list of texts that are not empty, not {self.stop!r}"
            raise InvalidInputError(msg)
        object.__setattr__(self, "stop", tuple(self.stop))


def check_head(host: Host) -> None:
    """Make sure that a host can generate text.

    Raises:
        UnsupportedHostError: Its model has no language-model head.
    """
    if not host.model.can_generate():
        msg = (
            f"host {host.name!r} ({type(host.model).__name__}) has no language-model head, so it cannot "
            "generate text; load the model with AutoModelForCausalLM"
        )
        raise UnsupportedHostError(msg)


class Generator:
    """Generates text with a host; threads may share it.

    Tokenises with a private copy of the host's tokenizer, which never changes: padding and truncation that
    its owner sets meanwhile do not apply, and no two threads collide ("Already borrowed").

    Args:
        host: A model with a language-model head.

    Raises:
        UnsupportedHostError: It has none.
    """

    def __init__(self, host: Host) -> None:
        check_head(host)
        self._host = host
        self._tokenizer: Any = copy.deepcopy(host.tokenizer.backend_tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = False  # those that a chat template writes are special

    def encode(self, prompt: str, *, special_tokens: bool) -> list[int]:
        """Tokenise a prompt; a text such as ``<|im_end|>`` is the special token that it spells.

        Args:
            prompt: Any text; a lone surrogate is read as U+FFFD.
            special_tokens: Whether to add the tokens that the tokenizer puts around a text. A chat template
                writes them itself.

        Returns:
            Token ids.
        """
        encoding = self._tokenizer.encode(without_surrogates(prompt), add_special_tokens=special_tokens)
        ids: list[int] = encoding.ids
        return ids

    def generate(self, prompt: Sequence[int], sampling: Sampling) -> Iterator[Piece]:
        """Yield the text that follows a prompt, as it comes; the model computes only what is asked for.

        The prompt is checked at once. Greedily, a prompt is always followed by the same text.

        Args:
            prompt: Token ids.
            sampling: How tokens are chosen, and how many at most; the host's window is a limit too.

        Returns:
            Pieces of text, one per token; only the last says why it is.

        Raises:
            InvalidInputError: The prompt has no token, or fills the host's window.
            ForkedProcessError: See :meth:`Host.check_process`.
        """
        self._host.check_process()
        room = self._host.max_tokens - len(prompt)
        if not prompt:
            msg = "the prompt is empty (0 tokens); give the model something to begin with"
            raise InvalidInputError(msg)
        if room < 1:
            msg = (
                f"the prompt has {len(prompt)} tokens, the window of host {self._host.name!r} "
                f"{self._host.max_tokens}; shorten it, for example by a smaller token_budget"
            )
            raise InvalidInputError(msg)
        return self._pieces(prompt, sampling, min(sampling.max_new_tokens, room))

    def _pieces(self, prompt: Sequence[int], sampling: Sampling, limit: int) -> Iterator[Piece]:
        decoder, held, ends = _Decoder(self._tokenizer), _Held(sampling.stop), _end_tokens(self._host)
        for n_tokens, token in enumerate(self._tokens(prompt, sampling, limit), 1):
            if token in ends:
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
    """Return float32 (V,) logits after some more tokens, on the CPU, and the cache that now holds them.

    One pass, not the loop: the caller's code runs between two tokens, and not in inference mode.
    """
    inputs = torch.tensor([ids], device=input_device(model))
    name = cache_argument(model)
    with computing():
        output = model(input_ids=inputs, use_cache=True, logits_to_keep=1, **{name: cache})
    return output.logits[0, -1].float().cpu(), output[name]


def cache_argument(model: Any) -> str:
    """Return how a model calls its KV cache, which depends on the version of transformers."""
    parameters = inspect.signature(type(model).forward).parameters  # known even where the method is wrapped
    return "cache" if "cache" in parameters else "past_key_values"


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
        # The tokens of the last piece that has text stay: what comes next reads as it does after them. Some
        # tokenizers drop the space that begins a text, and a special token reads as nothing.
        if piece:
            del self._ids[: self._done]
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

    def __init__(self, stop: Sequence[str]) -> None:
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
