# make demo and make test do all their own set-up; the second run starts at once.
#
#   PYTHON  the interpreter to build the environment with, 3.10 or newer
#   DATA    for make bench and make kvpress: a folder of evaluation sets
#   OUT     for make kvpress: folder of the comparison by length of context; ARGS: more for its command

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INTERCHANGE := $(VENV)/interchange
KVPRESS := $(VENV)/kvpress
INTEGRATIONS := $(wildcard integrations/*/pyproject.toml)
TORCH := 2.13.0
BY_LENGTH = $(BIN)/s3-retriever evaluate "$(DATA)" --lengths --answers --out "$(OUT)" $(ARGS)

.DELETE_ON_ERROR:
.PHONY: demo test stress interchange kvpress kvpress-test package bench overhead lint clean

demo: $(READY)
	$(BIN)/python examples/demo.py

test: lint
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest

# Eight threads search for a minute while one changes the corpus; every answer is checked afterwards.
stress: $(READY)
	S3_STRESS_SECONDS=60 S3_STRESS_THREADS=8 HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/test_living_corpus.py

# Our SAEs in SAELens, and those of SAELens and sparsify in ours, computed by both sides.
interchange: $(INTERCHANGE)/.ready
	HF_HUB_OFFLINE=1 $(INTERCHANGE)/bin/python -m pytest tests/interchange/against_libraries.py

# By length of context: retrievers, InfiniRetri, the full context and compressed KV caches, in one report.
kvpress: $(KVPRESS)/.ready
	@test -n "$(DATA)" -a -n "$(OUT)" || { echo "usage: make kvpress DATA=FOLDER OUT=FOLDER" >&2; exit 2; }
	$(BY_LENGTH)
	$(KVPRESS)/bin/python -m s3_retriever.evaluation.rivals.presses "$(OUT)"
	$(BY_LENGTH)

# What kvpress answers from a context that we wrote, and how much it keeps.
kvpress-test: $(KVPRESS)/.ready
	HF_HUB_OFFLINE=1 $(KVPRESS)/bin/python -m pytest tests/presses/with_kvpress.py

# Builds all three distributions and runs the tests on the wheels, away from this folder; see .ci/package.
package: $(READY)
	PYTHON=$(BIN)/python TORCH=$(TORCH) .ci/package

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	@test -n "$(DATA)" || { echo "usage: make bench DATA=FOLDER_OF_EVALUATION_SETS" >&2; exit 2; }
	$(BIN)/python -m s3_retriever.evaluation "$(DATA)"

# What each integration adds to a search of the core, and how long it holds up an event loop.
overhead: $(READY)
	$(BIN)/python integrations/overhead.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis demo-index *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Plain torch may bring several GB of CUDA on Linux; where it does, point pip at PyTorch's index of CPU
# builds with PIP_EXTRA_INDEX_URL (its address is on PyTorch's "Get started" page).
$(READY): pyproject.toml $(INTEGRATIONS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==$(TORCH) || $(BIN)/python -m pip install --quiet torch
	$(BIN)/python -m pip install --quiet -e '.[dev,gguf]' $(foreach file,$(INTEGRATIONS),-e $(dir $(file)))
	$(BIN)/python -m s3_retriever.host
	touch $@

# An environment on top of the first, which stays as it is.
ON_TOP = { test -x $(1)/bin/python || $(BIN)/python -m venv $(1); } && \
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	> "$$($(1)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"

# The two libraries bring some fifty packages, 500 MB.
$(INTERCHANGE)/.ready: $(READY)
	$(call ON_TOP,$(INTERCHANGE))
	$(INTERCHANGE)/bin/python -m pip install --quiet 'sae-lens>=6.40,<7' 'eai-sparsify>=1.3,<2'
	touch $@

# It wants an older transformers than ours may be; some twenty packages, 400 MB.
$(KVPRESS)/.ready: $(READY)
	$(call ON_TOP,$(KVPRESS))
	$(KVPRESS)/bin/python -m pip install --quiet 'kvpress==0.5.5' 'transformers<5.3'
	touch $@
