"""Nothing that we call in transformers is on its way out, in the oldest and the newest version alike."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from transformers.utils import logging as its_logging

from s3_retriever.evaluation.reader import Reader, ReadingTask
from s3_retriever.host import Generator, Host, Sampling, Tap
from s3_retriever.host.edit import Edits, negative_log_likelihood


@pytest.fixture
def said() -> Iterator[Callable[[], list[str]]]:
    """What transformers warns of or logs, also what it says once only."""
    messages: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    handler, logger = Handler(logging.WARNING), its_logging.get_logger()
    level = its_logging.get_verbosity()
    for once in ("warning_once", "info_once"):
        getattr(getattr(its_logging, once), "cache_clear", lambda: None)()
    logger.addHandler(handler)
    its_logging.set_verbosity_warning()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        yield lambda: messages + [f"{one.category.__name__}: {one.message}" for one in warned]
    its_logging.set_verbosity(level)
    logger.removeHandler(handler)


@pytest.mark.long
def test_nothing_we_call_is_deprecated(
    tiny_folder: Path, said: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = Host.load(tiny_folder)
    row = np.arange(1, 40, dtype=np.int32)
    host.project([row], taps=[Tap(0, 0)], values=[Tap(0, 0)])
    generator = Generator(host)
    prompt = generator.encode("The quick brown fox", special_tokens=False)
    assert list(generator.generate(prompt, Sampling(max_new_tokens=3)))
    monkeypatch.setattr("s3_retriever.evaluation.reader._MIN_SHARED", 8)  # so that a cache is handed on
    tasks = [ReadingTask(f"When does ferry {i} leave?", ["A ferry leaves."]) for i in range(2)]
    assert len(Reader(host).answer(tasks)) == 2
    negative_log_likelihood(host, row[None], Edits())
    assert not [message for message in said() if "deprecat" in message.lower() or "FutureWarning" in message]
