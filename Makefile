# How to build, check and show backtape. Two of these need nothing but Python >= 3.11 and stable Rust:
#
#   make demo   virtual environment, build, sample data, a replay of it
#   make test   everything that CI checks
#
# `make help` lists the rest. Say which Python with `make PYTHON=python3.12 test`, and where the environment goes with VENV.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
DIST ?= dist
PYTEST_ARGS ?=

BIN := $(abspath $(VENV))/bin
TOOLS := $(VENV)/.tools
CHECKERS := $(VENV)/.checkers
BENCHERS := $(VENV)/.benchers
NAUTILUS := $(abspath $(VENV))-nautilus_trader
CORE := python/backtape/_core.abi3.so
STUB := python/backtape/_core.pyi
MANIFESTS := pyproject.toml Cargo.toml Cargo.lock $(wildcard rust/*/Cargo.toml)
RUST := $(MANIFESTS) $(shell find rust -name '*.rs')

# maturin and pip act on the environment that is named here, and Cargo sees one and the same interpreter in every step:
# another one would make it build PyO3 again.
export VIRTUAL_ENV := $(abspath $(VENV))
export PYO3_PYTHON := $(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_QUIET := 1

# What `cargo test` and `cargo bench` run. The extension module has no Rust tests: it links only inside Python.
PURE := --workspace --exclude backtape-python --locked

.PHONY: help demo test check thorough build dev format
.PHONY: rust-format rust-lint rust-test rust-bench kernels counts bench python-lint types stubs stubs-check python-test
.PHONY: wheel sdist clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' Makefile

demo: $(CORE) ## build, make sample data, replay it
	@$(BIN)/backtape demo

test: rust-format rust-lint rust-test rust-bench python-lint types stubs-check python-test ## everything that CI checks
	@printf '\n== all of it passed\n'

check: test ## the same as test

thorough: $(CHECKERS) ## all tests at their hardest: many more cases, new ones each time, more repeats, more schedules
	PROPTEST_CASES=20000 cargo test --quiet $(PURE)
	BACKTAPE_SCHEDULES=100000 cargo test --quiet --package backtape-engine --features model --test model
	$(BIN)/pytest --hypothesis-profile=thorough $(PYTEST_ARGS)

build: $(CORE) ## the extension module, in the virtual environment

dev: $(CHECKERS) ## the virtual environment with every tool: .venv/bin/pytest and so on

format: $(CHECKERS) ## rewrite all sources in the house's format
	cargo fmt --all
	$(BIN)/ruff check --fix --quiet
	$(BIN)/ruff format --quiet

# Rust

rust-format:
	@printf '\n== cargo fmt\n'
	@cargo fmt --version >/dev/null 2>&1 || { echo "cargo fmt is missing: rustup component add rustfmt" >&2; exit 1; }
	cargo fmt --all --check

rust-lint: $(TOOLS)
	@printf '\n== cargo clippy\n'
	@cargo clippy --version >/dev/null 2>&1 || { echo "cargo clippy is missing: rustup component add clippy" >&2; exit 1; }
	cargo clippy --quiet --workspace --all-targets --all-features --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --quiet --no-deps --document-private-items $(PURE)

rust-test:
	@printf '\n== cargo test\n'
	cargo test --quiet $(PURE)
	cargo test --quiet --package backtape-engine --features model --test model

rust-bench:
	@printf '\n== cargo bench, once each, as a test\n'
	cargo bench --quiet --profile dev $(PURE) --bench '*' -- --test

kernels: ## time the kernels
	cargo bench $(PURE) --bench '*'

counts: ## instructions of each kernel against those that are known; needs valgrind
	@printf '\n== instructions of the kernels\n'
	$(PYTHON) benches/instructions.py

bench: $(BENCHERS) $(if $(QUICK),,$(NAUTILUS)/.made) ## ours, the peers, the limits, parts and memory, into benches/*.md; QUICK=1 for a look
	$(BIN)/python benches/jobs.py $(if $(QUICK),--quick,--write)
	$(BIN)/python benches/shares.py $(if $(QUICK),--quick,--write)
	$(BIN)/python benches/symbols.py $(if $(QUICK),--quick,--write)
	$(BIN)/python benches/holes.py $(if $(QUICK),--quick,--write)
	$(BIN)/python benches/sources.py $(if $(QUICK),--quick,--write)
	$(BIN)/python benches/cores.py $(if $(QUICK),--quick,--write)
	$(BIN)/python benches/memory.py $(if $(QUICK),--quick,--write)

# Python

$(TOOLS): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "backtape needs Python 3.11 or later, and '$(PYTHON)' is not: $$($(PYTHON) --version 2>&1)." \
	    "Name another one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@cargo --version >/dev/null || { echo "backtape needs stable Rust: cargo is not on the path" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "'$(PYTHON)' cannot make virtual environments: install its venv package (Debian: python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  > $@.txt
	$(BIN)/python -m pip install --requirement $@.txt
	@touch $@

$(CORE): $(RUST) $(TOOLS)
	@printf '\n== maturin develop\n'
	$(BIN)/maturin develop --quiet --release --locked
	@touch $@

$(CHECKERS): pyproject.toml | $(CORE)
	@printf '\n== test and check tools\n'
	$(BIN)/maturin develop --quiet --release --locked --extras test,dev
	@touch $(CORE) $@

$(BENCHERS): pyproject.toml | $(CORE)
	$(BIN)/maturin develop --quiet --release --locked --extras bench
	@touch $(CORE) $@

# An environment apart: for Python 3.11 it wants a pandas below 3. Where there is no wheel of it, it is left out.
$(NAUTILUS)/.made: | $(TOOLS)
	@$(BIN)/python -m venv $(NAUTILUS)
	@if $(NAUTILUS)/bin/python -m pip install --only-binary :all: nautilus_trader; then touch $@; else \
	  rm -rf $(NAUTILUS); echo "NautilusTrader cannot be installed and is left out" >&2; fi

python-lint: $(CHECKERS)
	@printf '\n== ruff\n'
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet

types: $(CHECKERS)
	@printf '\n== mypy\n'
	$(BIN)/mypy python/backtape $(foreach tree,tests examples benches,$(if $(wildcard $(tree)/*.py),$(tree)))

python-test: $(CHECKERS)
	@printf '\n== pytest\n'
	$(BIN)/pytest $(PYTEST_ARGS)

# The stub of the extension module is made from the binary, committed, and never edited. The binary says what is in it
# because pyproject.toml builds it with the feature `stubs`, so the one that is tested, read and published is one build.

FRESH_STUB := $(VENV)/stubs/backtape/_core.pyi

$(FRESH_STUB): $(CORE)
	@printf '\n== maturin generate-stubs\n'
	@rm -rf $(VENV)/stubs
	$(BIN)/maturin generate-stubs --quiet --profile release --locked --out $(VENV)/stubs
	@test -s $@
	@touch $@

stubs: $(FRESH_STUB) ## write python/backtape/_core.pyi again
	cp $(FRESH_STUB) $(STUB)

stubs-check: $(FRESH_STUB) $(CHECKERS)
	@printf '\n== stubs\n'
	@diff -u $(STUB) $(FRESH_STUB) || { echo "$(STUB) is not what the extension module says: run make stubs" >&2; exit 1; }
	$(BIN)/python -m mypy.stubtest backtape._core

# What is published

wheel: $(TOOLS) ## a wheel, in dist/
	$(BIN)/maturin build --quiet --release --locked --out $(DIST)

sdist: $(TOOLS) ## a source distribution, in dist/
	$(BIN)/maturin sdist --out $(DIST)

clean: ## remove what was built here, the virtual environment too
	rm -rf $(VENV) $(NAUTILUS) $(DIST) target $(CORE)
