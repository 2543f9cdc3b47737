# `make` lists what there is. All of it works on a machine with git, make and Python 3.10 or newer; the slow tests
# want Docker too. Another Python: make PYTHON=python3.12 …

PYTHON ?= python3
BIN := .venv/bin
KFP := .cache/kfp-2.17.0
PYTHONS := 3.10 3.12 3.13 3.14?
# Fast tests run side by side; ARGS="-n 0" runs them one after another, as a debugger needs.
parallel := -n auto --maxprocesses 4 --dist worksteal
bootstrap := @$(PYTHON) scripts/bootstrap
slow_in_ci := $(if $(filter true,$(CI)),test-pythons test-slow)

# Who told pip of an index or of certificates need not tell uv.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_EXTRA_INDEX_URL
export UV_INDEX ?= $(PIP_EXTRA_INDEX_URL)
endif
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

# The tests start hundreds of interpreters, which compile everything again where no bytecode is kept.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test coverage test-pythons test-slow chaos check lint types docs bench dist lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: ## run a real machine-learning pipeline: examples/iris.py
	$(bootstrap)
	$(BIN)/python examples/iris.py

test: ## the fast tests: no Docker, no network
	$(bootstrap) dev
	$(BIN)/python -m pytest -m "not slow" $(parallel) $(ARGS)
	@echo "Left out: the slow tests (Docker, real packages, the KFP SDK), which 'make test-slow' runs."

coverage: ## the fast tests, and what of the code they run
	$(bootstrap) dev
	$(BIN)/python -m pytest -m "not slow" --cov --cov-report=term-missing $(parallel) $(ARGS)

test-pythons: ## the fast tests on every other Python that the package supports
	$(bootstrap) dev
	scripts/test-pythons $(PYTHONS)

test-slow: $(KFP)/complete ## the slow tests: Docker, real packages, the KFP SDK
	$(bootstrap) dev
	@[ "$$(id -u)" != 0 ] || { scripts/docker-engine && scripts/docker-test-image; } || [ "$(CI)" != true ]
	STANDPIPE_KFP_PYTHON=$(KFP)/bin/python $(BIN)/python -m pytest -m slow --durations=10 $(ARGS)

chaos: ## kill a run at 200 random moments, and let it go on; its short form is among the slow tests
	$(bootstrap) dev
	@[ "$$(id -u)" != 0 ] || { scripts/docker-engine && scripts/docker-test-image; }
	STANDPIPE_KILLS=200 $(BIN)/python -m pytest -s -m slow tests/slow/test_chaos.py $(ARGS)

check: lint types coverage docs $(slow_in_ci) ## the one gate: lint, types, tests, docs; with CI=true the slow tests too

lint: ## ruff: rules and format; import-linter: who imports whom; zizmor: the workflows
	$(bootstrap) dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter
	$(BIN)/zizmor --offline --quiet .github

types: ## mypy, strict
	$(bootstrap) dev
	$(BIN)/mypy

docs: ## the documentation, in docs/_build/html
	$(bootstrap) dev docs
	$(BIN)/sphinx-build -q -E -W --keep-going -b html docs docs/_build/html

bench: $(KFP)/complete ## measure, side by side with kfp.local; ARGS=--quick: seconds, without it
	$(bootstrap)
	$(BIN)/python benchmarks/run.py $(ARGS)

dist: ## the sdist and the wheel, in dist; TAG=v1.2.3: they must be of that version
	$(bootstrap)
	@version=$$($(BIN)/python -c 'import standpipe; print(standpipe.__version__)'); \
	[ -z "$(TAG)" ] || [ "$(TAG)" = "v$$version" ] || { echo "dist: the tag is $(TAG), and __version__ $$version" >&2; exit 1; }
	rm -rf dist
	$(BIN)/uv build --quiet --python $(BIN)/python --build-constraint requirements.lock --require-hashes --out-dir dist
	$(BIN)/uv run --quiet --isolated --no-project --with dist/*.whl standpipe --version

lock: ## pin the newest releases of all that is installed, in requirements.lock; ARGS='-P ruff': of one package
	$(bootstrap)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --custom-compile-command 'make lock' --group build --group dev --group docs \
		$(or $(ARGS),--upgrade) --output-file requirements.lock pyproject.toml

# The KFP SDK, in an environment of its own: the oracle of the tests and the other side of the benchmarks.
$(KFP)/complete:
	$(bootstrap)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(KFP)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(KFP)/bin/python 'kfp[kubernetes]==2.17.0' pip
	touch $@

clean: ## remove what the targets made
	rm -rf .venv .cache dist docs/_build local_outputs .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
