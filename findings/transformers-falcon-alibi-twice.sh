#!/usr/bin/env bash
# A Falcon model with ALiBi counts its distances twice where attention is eager, and once by sdpa.
#
# Seen with transformers 4.56.2 and 5.24.0 on Python 3.11. FalconConfig(alibi=True), as of falcon-rw-1b, adds a number to each
# logit that falls with distance. The model adds it to the mask, for sdpa; its eager attention, which is given the same mask,
# adds it once more. So one set of weights is two models: attn_implementation="eager", which is what one asks for to read
# attention, as sdpa gives no probabilities, shows attention that the model has nowhere else, and from the second layer on
# keys, queries and hidden states are others as well. Nothing warns. With alibi=False (rotary embedding) both agree.
# Below, what the first layer attends to is computed by hand, from the queries, keys and values of its own projection.
# Issue 29946 of transformers, of 2024, had the same symptom from the other side, a fault of sdpa that was mended.
#
# Where plain torch brings CUDA, let PIP_EXTRA_INDEX_URL point to PyTorch's index of CPU builds.
#
# Output seen:
#   4.56.2, sdpa: the first layer has ALiBi once
#   4.56.2, eager: the first layer has ALiBi twice
#   4.56.2: keys of the second layer, eager and sdpa: differ with alibi, equal without
#   5.24.0, sdpa: the first layer has ALiBi once
#   5.24.0, eager: the first layer has ALiBi twice
#   5.24.0: keys of the second layer, eager and sdpa: differ with alibi, equal without
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/check.py" <<'PY'
import torch
import transformers
from transformers import FalconConfig, FalconForCausalLM

HEADS, WIDTH, LENGTH = 4, 16, 40
IDS = torch.arange(LENGTH)[None]


def read(implementation: str, alibi: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what two layers project, and what the first one has attended to, before its last projection."""
    config = FalconConfig(
        vocab_size=100,
        hidden_size=HEADS * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        multi_query=False,
        new_decoder_architecture=False,
        alibi=alibi,
        initializer_range=0.2,
    )
    config._attn_implementation = implementation
    torch.manual_seed(0)
    model = FalconForCausalLM(config).eval()
    found = []
    first, second = (layer.self_attention for layer in model.transformer.h)
    first.query_key_value.register_forward_hook(lambda module, given, result: found.append(result))
    first.dense.register_forward_pre_hook(lambda module, given: found.append(given[0]))
    second.query_key_value.register_forward_hook(lambda module, given, result: found.append(result))
    with torch.no_grad():
        model(IDS, use_cache=False)
    projected, attended, later = found
    return projected, attended, later


def attend(projected: torch.Tensor, times: int) -> torch.Tensor:
    """Attend by the definition: logits (q k + times * slope * place) / sqrt(width), causal."""
    queries, keys, values = projected.view(LENGTH, HEADS, 3, WIDTH).permute(2, 1, 0, 3)
    slopes = torch.tensor([2.0 ** (-8 * (head + 1) / HEADS) for head in range(HEADS)])
    logits = queries @ keys.mT + times * slopes[:, None, None] * torch.arange(LENGTH)
    logits = (logits / WIDTH**0.5).masked_fill(~torch.ones(LENGTH, LENGTH).tril().bool(), float("-inf"))
    return (logits.softmax(-1) @ values).transpose(0, 1).reshape(1, LENGTH, HEADS * WIDTH)


later = {}
for implementation in ("sdpa", "eager"):
    projected, attended, later[implementation, True] = read(implementation, alibi=True)
    agree = [torch.allclose(attended, attend(projected, times), atol=1e-4) for times in (1, 2)]
    words = {(True, False): "once", (False, True): "twice"}.get(tuple(agree), "in another way")
    print(f"{transformers.__version__}, {implementation}: the first layer has ALiBi {words}")
    later[implementation, False] = read(implementation, alibi=False)[2]
same = ["equal" if torch.allclose(later["eager", a], later["sdpa", a], atol=1e-4) else "differ" for a in (True, False)]
print(
    f"{transformers.__version__}: keys of the second layer, eager and sdpa: "
    f"{same[0]} with alibi, {same[1]} without"
)
PY
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'torch==2.13.0' 'numpy==2.3.5'
for version in 4.56.2 5.24.0; do
  "$folder/env/bin/python" -m pip install --quiet "transformers==$version"
  "$folder/env/bin/python" "$folder/check.py" 2> "$folder/errors" || tail -2 "$folder/errors" >&2
done | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
4.56.2, sdpa: the first layer has ALiBi once
4.56.2, eager: the first layer has ALiBi twice
4.56.2: keys of the second layer, eager and sdpa: differ with alibi, equal without
5.24.0, sdpa: the first layer has ALiBi once
5.24.0, eager: the first layer has ALiBi twice
5.24.0: keys of the second layer, eager and sdpa: differ with alibi, equal without
SEEN
