#!/usr/bin/env bash
# get_decoder() of transformers' ModernBERT decoder returns a Linear, the last layer of its language-model head.
#
# Seen with transformers 5.24.0. For other causal models get_decoder() returns the base decoder: the model without
# its head. ModernBertDecoderForCausalLM calls a part of its head `decoder`, and get_decoder() takes whatever has that
# name. So the call that gives hidden states everywhere else fails, or gives the wrong thing, and nothing warns.
# base_model is right.
#
# Where plain torch brings CUDA, let PIP_EXTRA_INDEX_URL point to PyTorch's index of CPU builds.
#
# Output seen:
#   llama: get_decoder LlamaModel, base_model LlamaModel
#   modernbert-decoder: get_decoder Linear, base_model ModernBertDecoderModel
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'transformers==5.24.0' 'torch==2.13.0' 'numpy==2.3.5'
cat > "$folder/check.py" <<'PY'
from transformers import AutoModelForCausalLM, LlamaConfig, ModernBertDecoderConfig

small = {"vocab_size": 100, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
small |= {"num_attention_heads": 4, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
for config in (LlamaConfig(**small), ModernBertDecoderConfig(**small, cls_token_id=1, sep_token_id=2)):
    model = AutoModelForCausalLM.from_config(config)
    names = type(model.get_decoder()).__name__, type(model.base_model).__name__
    print(f"{config.model_type}: get_decoder {names[0]}, base_model {names[1]}")
PY
"$folder/env/bin/python" "$folder/check.py" 2> "$folder/errors" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
llama: get_decoder LlamaModel, base_model LlamaModel
modernbert-decoder: get_decoder Linear, base_model ModernBertDecoderModel
SEEN
