# Every path here is relative: the project may lie in a directory whose name has spaces.
# Programs of the environment are started as `python -m …` for the same reason.
.DEFAULT_GOAL := help

PYTHON =
VENV = .venv
RUN = $(VENV)/bin/python
WEBNOVA = $(RUN) -m webnova.cli
STAMP = $(VENV)/webnova.stamp
INTEROP = $(VENV)/webnova-interop.stamp
ARGS =

# What a person types reaches programs through the environment and is never part of a command.
# `value` keeps make from expanding it first.
export WEBNOVA_PROMPT := $(value PROMPT)
export WEBNOVA_PYTHON := $(value PYTHON)
unexport PROMPT PYTHON

.PHONY: help setup demo up down status test matrix lint format bench docs clean

help: ## Explain every target
	@echo 'WebNova: describe a platform, get it generated, tested and running.'
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo 'Settings: PROMPT="…" for demo, ARGS="…" for test and bench, PYTHON=python3.12 for setup,'
	@echo 'and in the environment WEBNOVA_HOME, WEBNOVA_DATABASE_URL, WEBNOVA_RAY_ADDRESS.'

setup: $(STAMP) ## Make the private environment in .venv from the pinned lock

$(STAMP): requirements.lock pyproject.toml .ci/setup
	@VENV=$(VENV) sh .ci/setup
	@touch $(STAMP)

$(INTEROP): $(STAMP) requirements-interop.lock
	@echo 'Installing what only the tests need…'
	@$(VENV)/bin/uv pip install --quiet --python $(RUN) --no-deps --require-hashes -r requirements-interop.lock
	@touch $(INTEROP)

demo: $(STAMP) ## From nothing to a running platform; PROMPT="…" takes your own description
	@$(WEBNOVA) demo

up: $(STAMP) ## Start the local stack
	@$(WEBNOVA) up

down: $(STAMP) ## Stop the local stack; its data stay
	@$(WEBNOVA) down

status: $(STAMP) ## Show what runs
	@$(WEBNOVA) status || true

test: $(INTEROP) ## Run the whole test suite; ARGS="-k name" chooses
	$(RUN) -m pytest $(ARGS)

matrix: $(INTEROP) ## Generate every example and run its tests; the rows of docs/examples.md
	@rm -f build/examples.md
	WEBNOVA_EXAMPLES=all $(RUN) -m pytest tests/integration/test_examples.py $(ARGS)
	@cat build/examples.md

lint: $(STAMP) ## Check style, types and the layers of imports
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(STAMP) ## Put the code into the project's form
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: $(STAMP) ## Measure; the results and what they mean are printed
	$(RUN) -m benchmarks $(ARGS)

docs: $(STAMP) ## Write the reference (OpenAPI, JSON Schemas, commands) to build/reference, and docs/language.md
	$(RUN) -m webnova.reference build/reference
	$(RUN) -m webnova.reference --language

clean: ## Remove caches and build output; the environment and the data stay
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -type d -prune -exec rm -rf {} +
