# `make` lists the targets. They need git, make and Python 3.10 or newer; the slow tests also Docker, Chromium, and npm.
# To use another Python: make PYTHON=python3.12 ...

PYTHON ?= python3
BIN := .venv/bin
KFP := .cache/kfp-2.17.3
# Libraries that build on the KFP SDK, each with its version: the slow tests compile what they define.
LIBRARIES := .cache/libraries-2
# Ray, and a client of Kubernetes with its schemas, beside all that the tests need.
CLUSTERS := .cache/clusters-1
# An S3 server and other stand-ins for clouds, for the slow tests of artifact stores.
SERVERS := .cache/servers-1
# A server of MLflow, and what validates events of OpenLineage.
TRACKERS := .cache/trackers-1
PYTHONS := 3.10 3.13 3.14?
# The fast tests run in several processes; ARGS="-n 0" runs them in one, as a debugger needs.
# One worker more than there are cores: many tests wait for processes.
workers := $(shell $(PYTHON) -c 'import os; print(min(5, (os.cpu_count() or 1) + 1))')
parallel := -n $(workers) --dist worksteal
# The slow tests of a file share what takes long to make. In the order of their names, files of few long tests are not the
# last ones, for which most workers would wait.
parallel_files := -n $(workers) --dist loadfile --no-loadscope-reorder
bootstrap := @$(PYTHON) scripts/bootstrap
slow_in_ci := $(if $(filter true,$(CI)),test-pythons test-slow test-podman test-clusters)

# uv uses the index and the certificates that are configured for pip.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_EXTRA_INDEX_URL
export UV_INDEX ?= $(PIP_EXTRA_INDEX_URL)
endif
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

# The tests start hundreds of interpreters. Without cached bytecode each of them would compile all its imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test coverage test-pythons test-slow test-podman test-clusters chaos check lint types docs screenshots terminal-picture bench dist lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: ## run a real machine-learning pipeline: examples/iris.py
	$(bootstrap)
	$(BIN)/python examples/iris.py

test: ## run the fast tests: no Docker, no network
	$(bootstrap) dev
	scripts/run-tests $(BIN)/python -m "not slow" $(parallel) $(ARGS)
	@echo "Not run: the slow tests (Docker, real packages, the KFP SDK, a browser). 'make test-slow' runs them."

coverage: ## run the fast tests, and measure their coverage
	$(bootstrap) dev
	scripts/run-tests $(BIN)/python -m "not slow" --cov --cov-report= --cov-fail-under=0 $(parallel) $(ARGS)
	@$(BIN)/coverage report

test-pythons: ## run the fast tests on the other supported versions of Python
	$(bootstrap) dev
	scripts/test-pythons "$(parallel)" $(PYTHONS)

test-slow: $(KFP)/complete $(LIBRARIES)/complete $(SERVERS)/complete $(TRACKERS)/complete ## run the slow tests: Docker, real packages, the KFP SDK, a browser
	$(bootstrap) dev
	@[ "$$(id -u)" != 0 ] || { scripts/docker-engine && scripts/docker-test-image; } || [ "$(CI)" != true ]
	@[ "$$(id -u)" != 0 ] || scripts/chromium || [ "$(CI)" != true ]
	STANDPIPE_KFP_PYTHON=$(KFP)/bin/python STANDPIPE_LIBRARIES_PYTHON=$(LIBRARIES)/bin/python \
		STANDPIPE_SERVERS_PYTHON=$(SERVERS)/bin/python STANDPIPE_TRACKERS_PYTHON=$(TRACKERS)/bin/python \
		scripts/run-tests $(BIN)/python -m slow --durations=10 $(parallel_files) $(ARGS)

# Half of the time, starting tasks on Ray leaves cores idle, which the others use.
test-clusters: $(CLUSTERS)/complete $(SERVERS)/complete ## run the tests of the runners on Ray and on Kubernetes; the latter as root
	$(bootstrap) dev
	STANDPIPE_SERVERS_PYTHON=$(SERVERS)/bin/python PYTHONPATH=src scripts/run-tests $(CLUSTERS)/bin/python -m slow $(parallel_files) \
		tests/ray tests/kubernetes $(ARGS)

# Sixty containers in a row, and sixteen at once, are for Docker: Podman takes longer for each.
test-podman: ## run the main tests of containers on Podman, if it can run containers here
	$(bootstrap) dev
	scripts/with-podman scripts/run-tests $(BIN)/python -m slow -n 2 --dist loadfile -k "not sixty and not sixteen" \
		tests/slow/test_docker_contract.py tests/slow/test_docker.py $(ARGS)

chaos: ## kill runs of five pipelines 1,000 times, and resume them; fork 5,000 times beside runs
	$(bootstrap) dev
	@[ "$$(id -u)" != 0 ] || { scripts/docker-engine && scripts/docker-test-image; }
	STANDPIPE_KILLS=1000 STANDPIPE_FORKS=5000 $(BIN)/python -m pytest -s -m slow tests/slow/test_chaos.py \
		tests/slow/test_forks.py $(ARGS)

check: lint types coverage docs $(slow_in_ci) ## run the gate: lint, types, tests, docs; with CI=true also the slow tests

lint: ## check rules and format (ruff), imports (import-linter) and workflows (zizmor)
	$(bootstrap) dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter
	$(BIN)/zizmor --offline --quiet .github

types: ## check types (mypy, strict)
	$(bootstrap) dev
	$(BIN)/mypy

docs: ## build the documentation in docs/_build/html
	$(bootstrap) dev docs
	$(BIN)/sphinx-build -q -E -W --keep-going -b html docs docs/_build/html

screenshots: ## take the pictures of the web UI in docs/images/ui, with Chromium
	$(bootstrap) dev
	$(BIN)/python scripts/screenshots $(ARGS)

terminal-picture: ## record a run on a terminal for docs/images/terminal.svg
	$(bootstrap) dev
	$(BIN)/python scripts/terminal-picture $(ARGS)

bench: $(KFP)/complete $(SERVERS)/complete $(CLUSTERS)/complete ## compare the speed with others and with an earlier commit; ARGS=--quick: a minute; ARGS="--only docker": some rows
	$(bootstrap)
	$(BIN)/python benchmarks/run.py $(ARGS)

dist: ## build the sdist and the wheel in dist; TAG=v1.2.3: fail unless that is their version
	$(bootstrap)
	@version=$$($(BIN)/python -c 'import standpipe; print(standpipe.__version__)'); \
	[ -z "$(TAG)" ] || [ "$(TAG)" = "v$$version" ] || { echo "dist: expected the tag v$$version of __version__, got $(TAG)" >&2; exit 1; }
	rm -rf dist
	$(BIN)/uv build --quiet --python $(BIN)/python --build-constraint requirements.lock --require-hashes --out-dir dist
	$(BIN)/uv run --quiet --isolated --no-project --with dist/*.whl standpipe --version

lock: ## pin the newest releases in requirements.lock; ARGS='-P ruff': of one package only
	$(bootstrap)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url \
		--no-emit-find-links --custom-compile-command 'make lock' --group build --group dev --group docs \
		$(or $(ARGS),--upgrade) --output-file requirements.lock pyproject.toml

# The KFP SDK, in an environment of its own: tests and benchmarks compare Standpipe with it. Of the other environments
# Python compiles only what is imported.
$(KFP)/complete:
	$(bootstrap)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(KFP)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(KFP)/bin/python 'kfp[kubernetes]==2.17.3' pip
	touch $@

$(LIBRARIES)/complete:
	$(bootstrap)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LIBRARIES)
	$(BIN)/uv pip install --quiet --python $(LIBRARIES)/bin/python 'kfp[kubernetes]==2.17.3' \
		google-cloud-pipeline-components==2.22.0 kubeflow-kale==2.3.0 rich docker
	touch $@

$(CLUSTERS)/complete:
	$(bootstrap) dev
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(CLUSTERS)
	$(BIN)/uv pip install --quiet --python $(CLUSTERS)/bin/python --requirements pyproject.toml --group dev \
		'ray[client]==2.60.0' lightkube==1.0.1 lightkube-models==1.37.0.8 kubernetes-validate==1.37.0
	touch $@

$(SERVERS)/complete:
	$(bootstrap)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(SERVERS)
	$(BIN)/uv pip install --quiet --python $(SERVERS)/bin/python 'moto[s3,server]==5.2.5' \
		boto3==1.44.8
	npm install --silent --no-audit --no-fund --prefix $(SERVERS) azurite@3.35.0 || \
		echo "The tests with Azurite are left out: npm could not install it."
	touch $@

$(TRACKERS)/complete:
	$(bootstrap)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(TRACKERS)
	$(BIN)/uv pip install --quiet --python $(TRACKERS)/bin/python mlflow==3.17.2 openlineage-python==1.54.0
	touch $@

clean: ## remove everything that the targets create
	rm -rf .venv .cache dist docs/_build local_outputs .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
