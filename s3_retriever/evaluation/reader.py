"""The host as a reader: it answers questions from passages, greedily and with one fixed prompt."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from s3_retriever.errors import InvalidInputError, UnsupportedHostError
from s3_retriever.host.generation import cache_argument
from s3_retriever.host.model import Host
from s3_retriever.host.treated import input_device

INSTRUCTION = "Answer the question with a few words from the text."
EXAMPLE = (
    "Text:\nThe ferry to Norderney, which Anna Harms built in 1921, leaves at nine.\n\n"
    "Question: Who built the ferry?",
    "Anna Harms",
)
"""A question and its answer that come before: without, small models answer in sentences. A number for an
answer they would give to other questions too."""

MAX_NEW_TOKENS = 24

PASSAGES = "\n\n"
"""Between passages."""

_PLACE = "\N{LEFT DOUBLE QUOTATION MARK}the text\N{RIGHT DOUBLE QUOTATION MARK}"  # of the text, in a prompt
_MIN_SHARED = 1024  # tokens from which on the common beginning of prompts is read once for all


class ReadingTask(NamedTuple):
    """A question to answer.

    Attributes:
        question: Its text.
        passages: What was found for it, best first.
    """

    question: str
    passages: Sequence[str]


class Reading(NamedTuple):
    """What the host answered.

    Attributes:
        text: The first line of the answer.
        shown: Tokens of passages that fitted the window.
    """

    text: str
    shown: int


class Reader:
    """Answers questions from passages with the host that retrieves.

    Through the tokenizer's chat template where it has one. The text comes before the question, so that
    prompts with the same text have a beginning in common.

    Args:
        host: A model with a language-model head.

    Raises:
        UnsupportedHostError: The model has no language-model head.
    """

    def __init__(self, host: Host) -> None:
        if not host.model.can_generate():
            kind = type(host.model).__name__
            msg = f"{kind} has no language-model head to answer with; load it with AutoModelForCausalLM"
            raise UnsupportedHostError(msg)
        self._host = host
        self._tokenizer: Any = host.tokenizer
        self._last: tuple[list[int], Any] | None = None
        self._templated = _templated(host.tokenizer)

    def answer(self, batch: Sequence[ReadingTask]) -> list[Reading]:
        """Answer some questions at once; the same batch gives the same answers.

        Raises:
            InvalidInputError: A question leaves no room in the host's window.
        """
        prompts = [self._prompt(asked) for asked in batch]
        texts = {prompt.text for prompt in prompts}
        beginning: list[int] = []
        if len(texts) == 1:  # the same for every question about this text, whatever else is in the batch
            beginning = _common([self._ids(texts.pop(), ""), *(prompt.ids for prompt in prompts)])
        ids = [prompt.ids for prompt in prompts]
        if len(beginning) < _MIN_SHARED:
            answers = self._continue(ids, None)
        else:
            cache = self._read(beginning)
            answers = [self._continue([one], copy.deepcopy(cache))[0] for one in ids]
        return [Reading(answer, prompt.shown) for answer, prompt in zip(answers, prompts, strict=True)]

    def _prompt(self, asked: ReadingTask) -> _Prompt:
        text = PASSAGES.join(asked.passages)
        bare = self._ids("", asked.question)
        room = self._host.max_tokens - MAX_NEW_TOKENS - len(bare)
        if room < 1:
            msg = f"a question of {len(bare)} tokens with its prompt leaves no room in the host's window"
            raise InvalidInputError(msg)
        tokens = self._host.encode(text)
        while True:  # joined with what stands around it, a text may have a token or two more
            shown = min(room, len(tokens))
            shown_text = text[: int(tokens.ends[shown - 1])] if shown else ""
            ids = self._ids(shown_text, asked.question)
            excess = len(ids) + MAX_NEW_TOKENS - self._host.max_tokens
            if excess <= 0 or not shown:
                return _Prompt(ids, shown_text, shown)
            room = shown - excess

    def _ids(self, text: str, question: str) -> list[int]:
        # A template writes the special tokens itself.
        prompt = _prompt(self._tokenizer, text, question)
        ids: list[int] = self._tokenizer(prompt, add_special_tokens=not self._templated)["input_ids"]
        return ids

    def _read(self, beginning: list[int]) -> Any:
        """Return the cache of the beginning of prompts; that of the last one is kept."""
        if self._last is None or self._last[0] != beginning:
            ids = torch.tensor([beginning], device=input_device(self._host.model))
            with torch.inference_mode():  # without logits: those of thousands of tokens are large
                decoder = self._host.model.get_decoder()
                cache = decoder(input_ids=ids, use_cache=True)[cache_argument(decoder)]
            self._last = beginning, cache
        return self._last[1]

    def _continue(self, prompts: list[list[int]], cache: Any) -> list[str]:
        """Generate greedily, prompts padded on the left; ``cache`` holds the beginning of a single one."""
        model, device = self._host.model, input_device(self._host.model)
        length = max(map(len, prompts))
        ids = torch.tensor([[0] * (length - len(prompt)) + prompt for prompt in prompts], device=device)
        mask = torch.tensor([[0] * (length - len(p)) + [1] * len(p) for p in prompts], device=device)
        options = {} if cache is None else {cache_argument(model): cache}
        ends = model.generation_config.eos_token_id or self._tokenizer.eos_token_id
        with torch.inference_mode():
            grown = model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=MAX_NEW_TOKENS,
                do_sample=False,
                pad_token_id=ends[0] if isinstance(ends, list) else ends,
                **options,
            )
        texts = self._tokenizer.batch_decode(grown[:, length:], skip_special_tokens=True)
        return [text.strip().partition("\n")[0].strip() for text in texts]


def prompt_around(tokenizer: Any, question: str) -> tuple[str, str]:
    """Return what the prompt has before the text, special tokens included, and what it has after."""
    before, _, after = _prompt(tokenizer, _PLACE, question).partition(_PLACE)
    bos = "" if _templated(tokenizer) else tokenizer.bos_token or ""
    return bos + before, after


def _prompt(tokenizer: Any, text: str, question: str) -> str:
    example, answer = EXAMPLE
    asked = f"Text:\n{text}\n\nQuestion: {question}"
    if not _templated(tokenizer):
        return f"{INSTRUCTION}\n\n{example}\nAnswer: {answer}\n\n{asked}\nAnswer:"
    turns = [
        {"role": "user", "content": f"{INSTRUCTION}\n\n{example}"},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": asked},
    ]
    prompt: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return prompt


def _templated(tokenizer: Any) -> bool:
    return getattr(tokenizer, "chat_template", None) is not None


class _Prompt(NamedTuple):
    """A prompt's ids, the text that it shows, and how many tokens that has."""

    ids: list[int]
    text: str
    shown: int


def _common(prompts: Sequence[list[int]]) -> list[int]:
    """Return the ids with which all prompts begin."""
    shortest = min(prompts, key=len)
    for i, token in enumerate(shortest):
        if any(prompt[i] != token for prompt in prompts):
            return shortest[:i]
    return shortest
