#!/usr/bin/env bash
# transformers lists MusicGen as a causal language model, and cannot build one from its configuration.
#
# Seen with transformers 5.24.0. MODEL_FOR_CAUSAL_LM_MAPPING_NAMES has musicgen and musicgen_melody, so
# AutoModelForCausalLM.from_config takes their configurations. It hands them to classes that need the decoder's own
# configuration, which is a part of them, and ends with an AttributeError about a setting of that part.
#
# Where plain torch brings CUDA, let PIP_EXTRA_INDEX_URL point to PyTorch's index of CPU builds.
#
# Output seen:
#   musicgen: listed True, AttributeError: 'MusicgenConfig' object has no attribute 'dropout'
#   musicgen_melody: listed True, AttributeError: 'MusicgenMelodyConfig' object has no attribute 'dropout'
#
# Exit status 0: it is still so. 1: it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet 'transformers==5.24.0' 'torch==2.13.0' 'numpy==2.3.5'
cat > "$folder/check.py" <<'PY'
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

for name in ("musicgen", "musicgen_melody"):
    try:
        AutoModelForCausalLM.from_config(CONFIG_MAPPING[name]())
        outcome = "built"
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    print(f"{name}: listed {name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES}, {outcome}")
PY
"$folder/env/bin/python" "$folder/check.py" 2> "$folder/errors" | tee "$folder/output"
diff "$folder/output" - <<'SEEN'
musicgen: listed True, AttributeError: 'MusicgenConfig' object has no attribute 'dropout'
musicgen_melody: listed True, AttributeError: 'MusicgenMelodyConfig' object has no attribute 'dropout'
SEEN
