# Everything a person does here, each target setting up what it needs and doing nothing twice.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
LOCKS := requirements/build.txt requirements/dev.txt
MUTATION := .venv-mutation

# What to hand to pytest, to `innkeeper demo` and `innkeeper up`, and to uv, as in: make test ARGS='-k stop -x'
ARGS ?=

# Per cent of lines and branches below which the tests fail: one less than they reach, as what Python 3.11 reports varies
# with what a loaded machine makes time out (see CONTRIBUTING.md). In `model` and `workflows` nearly all must be reached.
COVERED := 97

# Which random examples `make properties` tries: others each time, unless it is given.
SEED := $(or $(SEED),$(shell date +%s))

# Each command that a test starts imports the code anew, and so does each workflow: compiled once, that is quick.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.PHONY: help demo up down test properties mutation histories bench bench-scale bench-sizing bench-usage bench-reconcile \
    recovery outages chaos check format check-format lint types imports venv lock clean

help: ## list these targets (the default)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## four instances on a real control plane with simulated nodes, from nothing to gone, and proof
	@$(BIN)/innkeeper demo $(ARGS)

up: $(READY) ## start Temporal, Supabase and Kubernetes on this machine
	@$(BIN)/innkeeper up $(ARGS)

down: $(READY) ## stop what `make up` started; its data stays
	@$(BIN)/innkeeper down $(ARGS)

test: $(READY) ## all tests, with branch coverage; ARGS='-k stop -x' selects
	@$(BIN)/python -m innkeeper.embedded.prebuild
ifeq ($(strip $(ARGS)),)
	@$(BIN)/python scripts/all_tests.py
	@$(BIN)/coverage report --data-file=.coverage.operations --include='workflows/*' --fail-under=99
	@$(BIN)/coverage combine --quiet .coverage.operations .coverage.platform
	@$(BIN)/coverage report --fail-under=$(COVERED)
	@$(BIN)/coverage report --include='model/*,workflows/*' --fail-under=99
else
	@$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)
endif

properties: $(READY) ## random requests, faults, decisions and time, in great number; SEED=7 repeats them
	@echo 'make properties SEED=$(SEED)'
	@$(BIN)/python -m pytest --hypothesis-profile=properties --hypothesis-seed=$(SEED) --timeout=0 -o faulthandler_timeout=0 \
	    -s --show-capture=no tests/properties tests/model $(ARGS)

mutation: $(MUTATION)/.ready ## how much of model/ the tests hold; ARGS=workflows, ARGS='model/release.py --jobs 1'
	@$(MUTATION)/bin/python scripts/mutation.py $(ARGS)

histories: $(READY) ## store the histories of operations that tests/histories does not have yet
	@$(BIN)/python -m pytest -q tests/workflows/test_histories.py -k today --record-histories $(ARGS)

bench: $(READY) ## what one, 10 and 100 instances cost at once, beside bare Helm; ARGS=--help says how to choose
	@$(BIN)/python -m innkeeper.benchmarks.fleet $(ARGS)

bench-scale: $(READY) ## the same with 1,000 others, sick ones, a backlog of 1,000 and a killed worker; ARGS=--help
	@$(BIN)/python -m innkeeper.benchmarks.scale $(ARGS)

bench-sizing: $(READY) ## how many workers 1,000, 10,000 and 100,000 instances need, by what was measured here
	@$(BIN)/python -m innkeeper.benchmarks.sizing $(ARGS)

bench-reconcile: $(READY) ## what a look for drift costs: seconds, API and database calls; ARGS='--instances 100 1000'
	@$(BIN)/python -m innkeeper.benchmarks.reconcile $(ARGS)

bench-usage: $(READY) ## what metering costs: seconds and database calls; ARGS='--instances 100 1000'
	@$(BIN)/python -m innkeeper.benchmarks.usage $(ARGS)

recovery: $(READY) ## how long work stands still when a worker or a connection dies; ARGS='--rounds 1 step' chooses
	@PYTHONPATH=tests/support $(BIN)/python benchmarks/recovery.py $(ARGS)

outages: $(READY) ## every operation with every outage of every part, on real parts; ARGS=--help says how to choose
	@PYTHONPATH=tests/support $(BIN)/python -m innkeeper.tests.outages $(ARGS)

chaos: $(READY) ## a fault at every effect of every operation, and what is left compared; ARGS=--help says how to choose
	@PYTHONPATH=tests/support $(BIN)/python -m innkeeper.tests.chaos $(ARGS)

check: check-format lint types imports ## format, lint, types and imports, in less than a minute

format: $(READY) ## rewrite the code as `make check` wants it
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

check-format: $(READY)
	@echo 'format'
	@$(BIN)/ruff format --quiet --diff .

lint: $(READY)
	@echo 'lint'
	@$(BIN)/ruff check --quiet .

types: $(READY)
	@echo 'types'
	@$(BIN)/mypy -p innkeeper -m mutation

imports: $(READY)
	@echo 'imports'
	@$(BIN)/lint-imports --no-logo >$(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }

venv: $(READY) ## the virtual environment alone, in .venv
	@:

# Extras stay in the locks: without `coverage[toml]` pip tries the newest one, finds it not pinned, and stops.
lock: ## pin all dependencies anew; ARGS=--upgrade takes the newest
	@set -e; tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; \
	$(PYTHON) -m venv "$$tools"; \
	"$$tools/bin/pip" install --quiet --disable-pip-version-check uv; \
	compile() { \
	    echo "requirements/$$1.txt"; \
	    "$$tools/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	        --no-emit-index-url --no-header --no-strip-extras $(ARGS) --output-file "requirements/$$1.txt" $$2; \
	}; \
	compile build '--group pyproject.toml:build'; \
	compile worker 'pyproject.toml --extra worker'; \
	compile image 'pyproject.toml --extra worker --extra cli --extra helm'; \
	compile dev 'pyproject.toml --extra dev'; \
	compile mutation 'pyproject.toml --extra dev --group pyproject.toml:mutation --constraints requirements/dev.txt'

clean: ## stop the platform and remove everything that was made here, its data included
	@if [ -d .innkeeper ] && [ -x $(BIN)/innkeeper ]; then $(BIN)/innkeeper down; fi
	@rm -rf .innkeeper $(VENV) $(MUTATION) build dist htmlcov .coverage .coverage.* coverage.xml *.egg-info \
	    .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): $(LOCKS) pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
	    echo "make: there is no '$(PYTHON)'. Install Python 3.11 or newer, or name yours: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "make: '$(PYTHON)' is $$($(PYTHON) --version 2>&1); 3.11 or newer is needed. Name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "make: '$(PYTHON)' has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	    echo 'Making $(VENV) and installing what is pinned in requirements/ (about a minute, once) …'; \
	    $(PYTHON) -m venv --clear $(VENV); }
	@$(PIP) install --require-hashes $(foreach lock,$(LOCKS),-r $(lock))
	@PYTHONWARNINGS=ignore $(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

# Apart from what the tests run in, so that the tool changes nothing there.
$(MUTATION)/.ready: requirements/mutation.txt
	@echo 'Making $(MUTATION) for the mutation tool (about a minute, once) …'
	@$(PYTHON) -m venv --clear $(MUTATION)
	@$(MUTATION)/bin/python -m pip --quiet --disable-pip-version-check --no-input install --no-deps --require-hashes -r $<
	@touch $@
