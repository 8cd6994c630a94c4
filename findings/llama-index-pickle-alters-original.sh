#!/usr/bin/env bash
# Pickling a LlamaIndex component takes attributes away from the component itself.
#
# Seen with llama-index-core 0.14.25 on Python 3.11: BaseComponent.__getstate__ leaves out attributes that cannot
# be pickled, with a warning. It deletes them from the dictionary that pydantic hands it, which is that of the
# live object. After pickle.dumps(llm), an LLM that was made with a lambda as messages_to_prompt has no such
# attribute, and its next chat ends with an AttributeError. The pickle itself loads without an error.
#
# Output seen:
#   before: has messages_to_prompt
#   pickle.dumps: no error
#   after: has no messages_to_prompt
#   chat: AttributeError
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'llama-index-core==0.14.25'
cat > "$folder/check.py" <<'PY'
import logging
import pickle

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms import MockLLM

logging.disable(logging.WARNING)
llm = MockLLM(max_tokens=5, messages_to_prompt=lambda messages: messages[-1].content)
llm.chat([ChatMessage("hello")])  # it works


def has() -> str:
    return "has messages_to_prompt" if "messages_to_prompt" in vars(llm) else "has no messages_to_prompt"


print("before:", has())
pickle.dumps(llm)
print("pickle.dumps: no error")
print("after:", has())
try:
    llm.chat([ChatMessage("hello")])
    print("chat: no error")
except Exception as error:
    print("chat:", type(error).__name__)
PY
"$folder/env/bin/python" "$folder/check.py" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
before: has messages_to_prompt
pickle.dumps: no error
after: has no messages_to_prompt
chat: AttributeError
SEEN
