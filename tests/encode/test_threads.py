"""Codes do not depend on how many threads BLAS has: an index is the same wherever it is made."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import hashlib
import numpy as np
from s3_retriever import Artifact

x = np.random.default_rng(0).normal(size=(500, 64)).astype(np.float32)
x /= np.linalg.norm(x, axis=1, keepdims=True)
for codec in Artifact.load("fast").codecs:
    codes = codec.sae.encode_unit(x)
    print(hashlib.sha256(codes.features.tobytes() + codes.weights.tobytes()).hexdigest())
"""


def codes(threads: str) -> list[str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, threads)}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_codes_are_the_same_with_any_number_of_threads() -> None:
    one, two = codes("1"), codes("2")
    assert len(one) == 4
    assert one == two
