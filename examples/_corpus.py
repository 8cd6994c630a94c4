"""What the examples ask, and of what: a part of the language reference that every Python carries."""

from __future__ import annotations

from pydoc_data.topics import topics

# About 8,000 tokens; the names are those of help("...") at the Python prompt, and vary a little by version.
_NAMES = (
    *("assert", "break", "context-managers", "continue", "del", "for", "function", "global", "if", "lambda"),
    *("nonlocal", "pass", "raise", "return", "try", "while", "with", "yield"),
)

TOPICS = {name: topics[name] for name in _NAMES if name in topics}

# Chosen so that a model of 135 M parameters answers them in sentences that are right.
QUESTIONS = (
    "When are the default values of a function's parameters evaluated?",
    "What happens when a return statement is in the try block and the finally clause too?",
    "What does a lambda expression yield?",
)
