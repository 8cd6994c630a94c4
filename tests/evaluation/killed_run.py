"""A run that is killed while it asks."""

from __future__ import annotations

from collections.abc import Sequence

from s3_retriever.evaluation import Region
from s3_retriever.evaluation.methods import Corpus, Method, System


class Killed(BaseException):
    """Stands for the end of the process."""


class Fragile:
    """A system that ends the process after some questions."""

    def __init__(self, system: System, after: int) -> None:
        self.methods, self.budget = system.methods, system.budget
        self._system, self._after = system, after

    def build(self, corpus: Corpus) -> Fragile:
        self._built = self._system.build(corpus)
        self.nbytes = self._built.nbytes
        return self

    def find(self, method: Method, question: str, budget: int) -> Sequence[Region]:
        self._after -= 1
        if not self._after:
            raise Killed
        return self._built.find(method, question, budget)
