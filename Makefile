# make demo and make test do all their own set-up; the second run starts at once.
#
#   PYTHON  the interpreter to build the environment with, 3.10 or newer
#   BASE    for make bench-speed: the commit that it compares with
#   DATA    for make bench, make bench-speed, make bench-serve and make kvpress: a folder of evaluation sets
#   KILLS, SYNC_KILLS, HISTORIES, LEVELS, CORRUPTIONS, OPERATIONS, READERS, READ_SECONDS  for make trust: how much it tries
#   RAY_KILLS  for make ray-trust: jobs of which a process is killed
#   CORPUS, QUESTIONS  for make bench-ray: a document per line, and a question per line
#   COVERAGE  for make test: "COVERAGE=" measures none, "COVERAGE=--cov --cov-report=" on any Python
#   OUT     for make kvpress: folder of the comparison by length of context; ARGS: more for its command

PYTHON ?= python3
RAY_KILLS ?= 30
BASE ?= f8b58ea
KILLS ?= 1000
SYNC_KILLS ?= 100
HISTORIES ?= 10
LEVELS ?= 24
CORRUPTIONS ?= 5000
OPERATIONS ?= 10000
READERS ?= 8
READ_SECONDS ?= 600
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OLDEST := $(VENV)/transformers-4.56
QUANTISED := $(VENV)/quantised
INTERCHANGE := $(VENV)/interchange
KVPRESS := $(VENV)/kvpress
RAY := $(VENV)/ray
INTEGRATIONS := $(wildcard integrations/*/pyproject.toml)
TORCH := 2.13.0
PYTEST = HF_HUB_OFFLINE=1 $(BIN)/python -m pytest
FAST := -m "not host and not long and not slow"
HOSTLESS := $(foreach room,index search sources store structure,--ignore=tests/$(room))
# One worker a core; each loads torch, so that more than eight would load longer than they run.
PARALLEL := --numprocesses logical --maxprocesses 8 --dist worksteal
# What Python 3.12 and newer bring for coverage costs little. On older ones the tests take twice as long: none there.
COVERAGE = $(if $(filter sysmon,$(CORE)),--cov --cov-report=)
CORE = $(shell $(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")')
BY_LENGTH = $(BIN)/s3-retriever evaluate "$(DATA)" --lengths --answers --out "$(OUT)" $(ARGS)

# Without compiled modules each test process would compile all tests again, for half a minute.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.PHONY: demo test test-fast test-oldest test-slow hosts-test page-test docs stress trust ray-trust bench-ray interchange kvpress kvpress-test package bench bench-speed bench-serve overhead lint clean

demo: $(READY)
	$(BIN)/python examples/demo.py

# Tiers: a fast test needs no weights and hardly any time, "long" takes longer, "host" needs the default host's weights;
# "slow" takes longer than what it says beside other tests is worth at each change.
test: lint docs
	COVERAGE_CORE=$(CORE) $(PYTEST) $(PARALLEL) -m "not slow" $(COVERAGE)
	$(if $(COVERAGE),$(BIN)/python .ci/coverage_by_room.py)
	$(MAKE) test-oldest

test-fast: $(READY)
	$(PYTEST) $(PARALLEL) $(FAST)

# The fast tests with the oldest transformers that we take, without those of rooms that know of none.
test-oldest: $(OLDEST)/.ready
	HF_HUB_OFFLINE=1 $(OLDEST)/bin/python -m pytest $(PARALLEL) $(FAST) $(HOSTLESS)

test-slow: stress
	$(PYTEST) -m slow

# The page of a server in a real browser: Chromium on the path, or S3_BROWSER=PATH; skipped where there is none.
page-test: $(READY)
	$(BIN)/python -m pip install --quiet -e '.[browser]'
	$(PYTEST) -rs tests/server/test_page.py

# The site, into build/site; fails at a broken link. Nothing is fetched.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

# Eight threads search for a minute while one changes the corpus; every answer is checked afterwards.
stress: $(READY)
	S3_STRESS_SECONDS=60 S3_STRESS_THREADS=8 $(PYTEST) tests/test_living_corpus.py

# What docs/guarantees.md promises, tried many times: kills, power cuts, full disks, damage, histories, readers.
trust: $(READY)
	S3_TRUST_KILLS=$(KILLS) S3_TRUST_SYNC_KILLS=$(SYNC_KILLS) S3_TRUST_HISTORIES=$(HISTORIES) S3_TRUST_LEVELS=$(LEVELS) \
	    S3_TRUST_CORRUPTIONS=$(CORRUPTIONS) S3_TRUST_OPERATIONS=$(OPERATIONS) S3_TRUST_READERS=$(READERS) \
	    S3_TRUST_SECONDS=$(READ_SECONDS) $(PYTEST) tests/trust

# All that is tried on clusters of this machine, jobs killed at random moments; an object storage; most of an hour.
ray-trust: $(RAY)/.ready
	S3_RAY_KILLS=$(RAY_KILLS) HF_HUB_OFFLINE=1 $(RAY)/bin/python -m pytest -s tests/cluster tests/store

# A corpus indexed here and by 1, 2 and 4 workers, by turns, then in one process and in 2 and 4 shards.
bench-ray: $(READY)
	@test -n "$(CORPUS)" -a -n "$(QUESTIONS)" || { echo "usage: make bench-ray CORPUS=FILE QUESTIONS=FILE" >&2; exit 2; }
	$(BIN)/python -m s3_retriever.evaluation.benchmark.cluster "$(CORPUS)" "$(QUESTIONS)" --out build/ray-index $(ARGS)
	$(BIN)/python -m s3_retriever.evaluation.benchmark.shards build/ray-index "$(QUESTIONS)"

# Hosts quantised by bitsandbytes and torchao, and how near they are to the one that is not.
hosts-test: $(QUANTISED)/.ready
	HF_HUB_OFFLINE=1 $(QUANTISED)/bin/python -m pytest tests/quantised/with_libraries.py
	HF_HUB_OFFLINE=1 $(QUANTISED)/bin/python tests/quantised/with_libraries.py

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

# This build beside an older one, by turns: questions, cold start, scan, bytes. BASE is a commit.
bench-speed: $(READY)
	@test -n "$(DATA)" || { echo "usage: make bench-speed DATA=FOLDER_OF_EVALUATION_SETS [BASE=COMMIT]" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet -e '.[bench,plots]'
	test -d build/base-$(BASE) || git worktree add --detach build/base-$(BASE) $(BASE)
	$(BIN)/python -m s3_retriever.evaluation.benchmark.builds "$(DATA)" --base build/base-$(BASE) \
	    --out build/speed $(ARGS)

# A served index: one client and eight, other processes that save meanwhile, memory over thousands of questions.
bench-serve: $(READY)
	@test -n "$(DATA)" || { echo "usage: make bench-serve DATA=FOLDER_OF_EVALUATION_SETS" >&2; exit 2; }
	$(BIN)/python -m s3_retriever.evaluation.benchmark.serving "$(DATA)" --out build/serving $(ARGS)

# What each integration adds to a search of the core, and how long it holds up an event loop.
overhead: $(READY)
	$(BIN)/python integrations/overhead.py

clean:
	rm -rf $(VENV) build dist .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis demo-index *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Plain torch may bring several GB of CUDA on Linux; where it does, point pip at PyTorch's index of CPU
# builds with PIP_EXTRA_INDEX_URL (its address is on PyTorch's "Get started" page).
$(READY): pyproject.toml $(INTEGRATIONS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==$(TORCH) || $(BIN)/python -m pip install --quiet torch
	$(BIN)/python -m pip install --quiet -e '.[dev,docs,gguf]' $(foreach file,$(INTEGRATIONS),-e $(dir $(file)))
	$(BIN)/python -m s3_retriever.host
	touch $@

# An environment on top of the first, which stays as it is.
ON_TOP = { test -x $(1)/bin/python || $(BIN)/python -m venv $(1); } && \
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
	> "$$($(1)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth"

# Some 90 MB, with the libraries that it wants older too.
$(OLDEST)/.ready: $(READY)
	$(call ON_TOP,$(OLDEST))
	$(OLDEST)/bin/python -m pip install --quiet 'transformers==4.56.*'
	touch $@

# 150 MB.
$(QUANTISED)/.ready: $(READY)
	$(call ON_TOP,$(QUANTISED))
	$(QUANTISED)/bin/python -m pip install --quiet 'bitsandbytes==0.50.2' 'torchao==0.18.0'
	touch $@

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

# s3fs and moto want an older python-dateutil than others here may have.
$(RAY)/.ready: $(READY)
	$(call ON_TOP,$(RAY))
	$(RAY)/bin/python -m pip install --quiet s3fs 'moto[server]>=5'
	touch $@
