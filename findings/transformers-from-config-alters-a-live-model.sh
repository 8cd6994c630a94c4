#!/usr/bin/env bash
# Building a second model from one configuration changes the first: in transformers a BLOOM then sees what follows.
#
# Seen with transformers 4.56.2 and 5.24.0 on Python 3.11. AutoModelForCausalLM.from_config(config, attn_implementation=...)
# writes into the configuration that it is given, and a model keeps that object and looks up its attention in it at each
# pass. So a model that was built before changes its attention as well. (In 2024 from_config took a copy.)
# Two ways in which that hurts:
# - "sdpa" is tried on a family that does not have it, such as BLOOM. The call raises a ValueError, and has written by then.
#   For sdpa no mask is made where plain causal attention will do; BLOOM's own attention needs one. So the model
#   that was there before, and that had nothing to do with the call, now looks ahead: its logits for a text
#   depend on the words that come after it. Nothing warns.
# - A Llama that was built to show its attention (eager) shows none after a second one was built (sdpa), with a warning.
# Way out: copy.deepcopy(config) for each model.
#
# Where plain torch brings CUDA, let PIP_EXTRA_INDEX_URL point to PyTorch's index of CPU builds.
#
# Output seen:
#   4.56.2: a BLOOM before: logits of 12 tokens and of the first 12 of 20 are equal
#   4.56.2: another one by sdpa: ValueError
#   4.56.2: the first one after: logits of 12 tokens and of the first 12 of 20 differ
#   4.56.2: a Llama, eager, shows attention of 2 layers; after another, sdpa, of 0
#   5.24.0: a BLOOM before: logits of 12 tokens and of the first 12 of 20 are equal
#   5.24.0: another one by sdpa: ValueError
#   5.24.0: the first one after: logits of 12 tokens and of the first 12 of 20 differ
#   5.24.0: a Llama, eager, shows attention of 2 layers; after another, sdpa, of 0
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/check.py" <<'PY'
import torch
import transformers
from transformers import AutoModelForCausalLM, BloomConfig, LlamaConfig

IDS = torch.randint(100, (1, 20), generator=torch.Generator().manual_seed(0))
small = {"vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "initializer_range": 0.2}
torch.manual_seed(0)


def say(what: str) -> None:
    print(f"{transformers.__version__}: {what}")


def look_ahead(model: torch.nn.Module) -> str:
    with torch.no_grad():
        long, short = (model(ids, use_cache=False).logits[:, :12] for ids in (IDS, IDS[:, :12]))
    same = "are equal" if torch.allclose(long, short, atol=1e-5) else "differ"
    return f"logits of 12 tokens and of the first 12 of 20 {same}"


def shown(model: torch.nn.Module) -> int:
    with torch.no_grad():
        attentions = model(IDS, output_attentions=True).attentions
    return sum(one is not None for one in attentions or ())


config = BloomConfig(**small)
model = AutoModelForCausalLM.from_config(config).eval()
say(f"a BLOOM before: {look_ahead(model)}")
try:
    AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    say("another one by sdpa: built")
except ValueError as error:
    say(f"another one by sdpa: {type(error).__name__}")
say(f"the first one after: {look_ahead(model)}")

config = LlamaConfig(**small, intermediate_size=64)
model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
before = shown(model)
AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
say(f"a Llama, eager, shows attention of {before} layers; after another, sdpa, of {shown(model)}")
PY
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'torch==2.13.0' 'numpy==2.3.5'
for version in 4.56.2 5.24.0; do
  "$folder/env/bin/python" -m pip install --quiet "transformers==$version"
  "$folder/env/bin/python" "$folder/check.py" 2> "$folder/errors" || tail -2 "$folder/errors" >&2
done | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
4.56.2: a BLOOM before: logits of 12 tokens and of the first 12 of 20 are equal
4.56.2: another one by sdpa: ValueError
4.56.2: the first one after: logits of 12 tokens and of the first 12 of 20 differ
4.56.2: a Llama, eager, shows attention of 2 layers; after another, sdpa, of 0
5.24.0: a BLOOM before: logits of 12 tokens and of the first 12 of 20 are equal
5.24.0: another one by sdpa: ValueError
5.24.0: the first one after: logits of 12 tokens and of the first 12 of 20 differ
5.24.0: a Llama, eager, shows attention of 2 layers; after another, sdpa, of 0
SEEN
