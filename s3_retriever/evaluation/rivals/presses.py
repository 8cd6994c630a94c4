"""The host with its KV cache compressed by ``kvpress``.

``python -m s3_retriever.evaluation.rivals.presses DIR`` reads the contexts that ``s3-retriever evaluate``
with ``--lengths --answers`` left in a folder and adds answers, which the same command then shows. NVIDIA's
``kvpress`` needs an older ``transformers`` than ours may be: ``make kvpress`` runs this in an environment of
its own.

A press keeps of every layer and head as many keys and values as a retriever's prompt has tokens before the
question: those of the instruction and its example, and the token budget.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from s3_retriever.checks import check_library
from s3_retriever.errors import S3RetrieverError
from s3_retriever.evaluation.contexts import CONTEXTS, PRESS_ANSWERS, Asking, Context, read_contexts
from s3_retriever.evaluation.metrics import answer_metrics
from s3_retriever.evaluation.records import Answer, Records
from s3_retriever.host.model import Host


@dataclass(frozen=True)
class Press:
    """A method of compression.

    Attributes:
        kind: Name of its class in ``kvpress``; None: nothing is dropped.
        asked: Whether it looks at the question: then the question is read with the context, before the
            compression, and every question needs a cache of its own.
    """

    kind: str | None
    asked: bool = False


PRESSES = {
    "snapkv": Press("SnapKVPress", asked=True),
    "streaming-llm": Press("StreamingLLMPress"),
    "keydiff": Press("KeyDiffPress"),
    "expected-attention": Press("ExpectedAttentionPress"),
    "tova": Press("TOVAPress", asked=True),
    "pyramidkv": Press("PyramidKVPress", asked=True),
    "knorm": Press("KnormPress"),
    "random": Press("RandomPress"),
    "none": Press(None),
}
"""By name. With "none" nothing is dropped: what the full context gives, in this environment."""

DEFAULT = ("streaming-llm", "keydiff", "expected-attention", "snapkv")


class PressRunner:
    """Answers questions about contexts with compressed caches, greedily.

    Args:
        host: A model that ``kvpress`` supports.

    Raises:
        MissingDependencyError: ``kvpress`` is not installed.
    """

    def __init__(self, host: Host) -> None:
        check_library("compressed caches", "kvpress", "kvpress", "use 'make kvpress'")
        import kvpress

        class FixedPrompt(kvpress.KVPressTextGenerationPipeline):  # type: ignore[misc]  # it has no types
            """The pipeline of ``kvpress`` without its chat template: it is given whole prompts."""

            def preprocess(self, context: str, questions: list[str], **_: Any) -> dict[str, Any]:
                """Tokenise."""
                parts = [torch.tensor([encode(part)]) for part in (context, *questions)]
                return {"context_ids": parts[0], "questions_ids": parts[1:]}

        def encode(text: str) -> list[int]:
            ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
            return ids

        tokenizer: Any = host.tokenizer
        self._encode = encode
        self._kvpress = kvpress
        self._pipeline = FixedPrompt(model=host.model, tokenizer=tokenizer)

    def answer(self, name: str, context: Context) -> list[Answer]:
        """Answer the questions about a context.

        Args:
            name: Key of :data:`PRESSES`.
            context: Text and questions.

        Returns:
            One answer per question, its method ``"kvpress NAME"``; ``kept`` is the share of the context's
            keys and values that was kept, prompt included.
        """
        press = PRESSES[name]
        if not press.asked:
            beginning = context.before + context.text
            return self._read(
                name, context, beginning, context.questions, [one.text for one in context.questions]
            )
        return [
            self._read(name, context, context.before + context.text + one.text, [one], [""])[0]
            for one in context.questions
        ]

    def _read(
        self, name: str, context: Context, beginning: str, questions: Sequence[Asking], texts: Sequence[str]
    ) -> list[Answer]:
        """Compress the beginning of prompts and answer what follows it."""
        n_text, n_all = (len(self._encode(part)) for part in (context.text, beginning))
        kept = min(n_all, n_all - n_text + context.budget)
        # kvpress drops what is left of a fraction; in the middle between two, it keeps the lower one.
        ratio = 1 - (kept + 0.5) / n_all if kept < n_all else 0.0
        kind = PRESSES[name].kind
        press = None if kind is None else getattr(self._kvpress, kind)(compression_ratio=ratio)
        cache = DynamicCache()
        found = self._pipeline(
            beginning,
            questions=[text + one.turn for text, one in zip(texts, questions, strict=True)],
            press=press,
            cache=cache,
            max_new_tokens=context.new_tokens,
        )["answers"]
        lines = [text.strip().partition("\n")[0].strip() for text in found]
        return [
            Answer(
                set=context.set,
                question=one.id,
                method=f"kvpress {name}",
                window=0,
                budget=context.budget,
                text=line,
                kept=round(cache.get_seq_length() / n_all, 4),
                metrics=answer_metrics(line, one.answers),
            )
            for one, line in zip(questions, lines, strict=True)
        ]


def answer_contexts(folder: Path, names: Sequence[str], say: Callable[[str], None]) -> None:
    """Answer every question in a folder's contexts with each press, where it was not answered already.

    Args:
        folder: With the contexts, and where the answers go.
        names: Keys of :data:`PRESSES`.
        say: Called after each context.

    Raises:
        S3RetrieverError: The contexts or the host cannot be read.
    """
    contexts = read_contexts(folder / CONTEXTS)
    answers = Records(folder / PRESS_ANSWERS, Answer)
    answered = {(one.set, one.question, one.method, one.budget) for one in answers.all()}
    runners: dict[str, PressRunner] = {}
    for context in contexts:  # shorter ones come first: what is killed has finished some length
        for name in names:
            keys = {(context.set, one.id, f"kvpress {name}", context.budget) for one in context.questions}
            if keys <= answered:
                continue
            if context.host not in runners:
                runners[context.host] = PressRunner(Host.load(context.host))
            start = time.perf_counter()
            for answer in runners[context.host].answer(name, context):
                if (answer.set, answer.question, answer.method, answer.budget) not in answered:
                    answers.add(answer)
            say(f"{context.set}: {name}, {time.perf_counter() - start:.0f} s")


def main(arguments: list[str] | None = None) -> int:
    """Answer the contexts of a folder; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m s3_retriever.evaluation.rivals.presses",
        description="Answer the questions of 's3-retriever evaluate --lengths' with compressed caches.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--presses",
        nargs="+",
        default=DEFAULT,
        choices=sorted(PRESSES),
        metavar="NAME",
        help=f"of {', '.join(PRESSES)} (default: {', '.join(DEFAULT)})",
    )
    options = parser.parse_args(arguments)
    try:
        answer_contexts(options.folder, options.presses, _note)
    except S3RetrieverError as error:
        _note(f"error: {error}")
        return 2
    return 0


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
