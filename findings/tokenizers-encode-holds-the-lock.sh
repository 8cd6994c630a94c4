#!/usr/bin/env bash
# tokenizers 0.23.3 keeps Python's global lock while `encode` works, and lets it go while `encode_batch` does.
#
# A server that tokenises a long text by `encode` answers nobody meanwhile, whatever thread does it: no other thread runs
# Python. `encode_batch` of the same one text lets the others run. It counts as use of threads, though: a process that is
# forked later prints a warning unless TOKENIZERS_PARALLELISM is set, so a library cannot simply change over.
#
# Our `Host.encode` cuts long texts into pieces of 50,000 characters, between which other threads get their turn.
#
# Output seen:
#   tokenizers 0.23.3
#   encode: other threads ran: False
#   encode_batch: other threads ran: True
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "tokenizers==0.23.3"
cat > "$folder/run.py" <<'PY'
import threading
import time

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers

tokenizer = Tokenizer(models.WordLevel({"word": 0, "?": 1}, unk_token="?"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
text = "word " * 1_000_000
turns = []
stop = threading.Event()


def tick() -> None:
    while not stop.wait(0.005):
        turns.append(time.perf_counter())


print("tokenizers", tokenizers.__version__)
threading.Thread(target=tick).start()
for name, call in (("encode", lambda: tokenizer.encode(text)), ("encode_batch", lambda: tokenizer.encode_batch([text]))):
    time.sleep(0.1)
    begin = time.perf_counter()
    kept = call()
    took = time.perf_counter() - begin
    # Turns at the very ends are left out: the lock is passed on before and after the call.
    ran = sum(begin + took / 4 < turn < begin + 3 * took / 4 for turn in turns)
    print(f"{name}: other threads ran: {ran > 0}")
    del kept
stop.set()
PY
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
tokenizers 0.23.3
encode: other threads ran: False
encode_batch: other threads ran: True
SEEN
