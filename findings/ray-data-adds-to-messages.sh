#!/usr/bin/env bash
# Ray Data changes an exception that a user's function raises: its class or its message, by the kind of function.
#
# Seen with ray 2.60.0 and pyarrow 26.0.1 on Python 3.11. What a generator raises in map_batches reaches the driver as the
# `cause` of Ray's error, of its own class. But `args[0]` is no longer what was raised: Ray appends how often it tried,
# and settings by which to change that, in lines of their own. A program that shows the message of its own exception
# shows these lines, too; a message of one line is got back by its first line. What a function that returns its batch
# raises arrives as a UserCodeException; the exception itself is among no causes.
#
# Output seen:
#   generator: ValueError, 3 lines: the lamp is out
#   second line: Failed to apply UDF transform after 1/1 attempts (total backoff 0.0s).
#   function: UserCodeException
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'ray[data]==2.60.0' 'pyarrow==26.0.1'
cat > "$folder/raise.py" <<'PY'
import logging
import sys

import ray

ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
logging.disable(logging.CRITICAL)
ray.data.DataContext.get_current().enable_progress_bars = False
MESSAGE = "the lamp is out"


def generate(batch):
    raise ValueError(MESSAGE)
    yield batch


def transform(batch):
    raise ValueError(MESSAGE)


def arrived(function):
    """Return the last of the causes of what a job with the function raises."""
    try:
        ray.data.range(3).map_batches(function).materialize()
    except Exception as raised:
        error = raised
    while following := getattr(error, "cause", None) or error.__cause__:
        error = following
    return error


error = arrived(generate)
lines = error.args[0].splitlines()
print(f"generator: {type(error).__name__}, {len(lines)} lines: {lines[0]}")
if type(error) is not ValueError or len(lines) == 1 or lines[0] != MESSAGE:
    sys.exit("the exception of a generator is as it was raised, or another one")
print(f"second line: {lines[1]}")
error = arrived(transform)
print(f"function: {type(error).__name__}")
if isinstance(error, ValueError):
    sys.exit("the exception of a function arrives")
PY
"$folder/env/bin/python" "$folder/raise.py" 2> "$folder/log" || { tail -5 "$folder/log"; exit 1; }
