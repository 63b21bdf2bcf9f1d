# The one door to this repository: `make help` lists what it opens.
#
# Every verb sets up what it needs first, and does nothing where nothing changed. The state of the
# set-up is in .make/ (stamp files), the Python side in .venv/, the Rust side in target/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# What may be set from outside, for example `make serve ARGS="--dev"`.
PYTHON    ?= python3
# `dev-release` is as fast as `release` but for link-time optimisation, and much quicker to build.
PROFILE   ?= dev-release
ARGS      ?=
PYTEST    ?=
SCENARIOS ?=
PEERS     ?=
ROUNDS    ?=
GO        ?= go
TARGETS   ?= $(basename $(notdir $(wildcard rust/fuzz/fuzz_targets/*.rs)))
FUZZ_S    ?= 60

VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := .make
# In CI a Cargo.lock that does not fit the manifests is an error; at a desk it is brought up to date.
LOCKED := $(if $(CI),--locked)
# Two makes at once take turns at the environment.
TURNS  := $(if $(shell command -v flock),flock $(STAMPS)/turns)

# pyo3 asks this interpreter for its facts, so that cargo on its own and maturin agree.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
# pip: no chatter, and nothing but what the lock files name.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
# pyright: the Node of its own wheel, and no look for a newer version.
export PYRIGHT_PYTHON_GLOBAL_NODE := 0
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

RUST_SOURCES := Cargo.toml Cargo.lock \
	$(shell find rust -name fuzz -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print)
# The bench's traffic tools are a workspace of their own.
LOAD_CRATE := --manifest-path benches/load/Cargo.toml
# The folders beside the package that hold Python at present.
PYTHON_ROOMS := $(patsubst %/,%,$(sort $(dir $(shell find tests benches loadtests examples docs \
	tools -name _build -prune -o -name '*.py' -printf '%H/x\n' 2>/dev/null))))

.PHONY: help
help: ## list the verbs
	@echo "make VERB, where VERB is one of"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' Makefile
	@echo 'Variables: ARGS (serve, load, audit), PYTEST (test), SCENARIOS PEERS ROUNDS (bench), TARGETS FUZZ_S (fuzz), PYTHON, PROFILE'

# --------------------------------------------------------------------------------- set up, build

# The interpreter of the environment is made once, and again when it is gone or was upgraded away.
$(BIN)/python:
	@tools/preflight $(PYTHON)
	$(PYTHON) -m venv --clear $(VENV)

# Lock groups: develop is what every verb needs; the others are for the one verb that names them.
$(STAMPS)/%: requirements/%.txt $(BIN)/python
	@mkdir -p $(STAMPS)
	$(TURNS) $(BIN)/python -m pip install --quiet --require-hashes -r $<
	@touch $@

.PHONY: setup
setup: $(STAMPS)/develop ## make .venv and install the locked dependencies

$(STAMPS)/built-$(PROFILE): $(RUST_SOURCES) pyproject.toml $(STAMPS)/develop
	@tools/preflight $(BIN)/python
	@# Without an index, a dependency that the lock does not hold is an error and not a download.
	PIP_NO_INDEX=1 PIP_QUIET=1 VIRTUAL_ENV=$(CURDIR)/$(VENV) \
		$(TURNS) $(BIN)/maturin develop --quiet --profile $(PROFILE) $(LOCKED)
	@rm -f $(STAMPS)/built-*
	@touch $@

.PHONY: build
build: $(STAMPS)/built-$(PROFILE) ## compile the engine into .venv

.PHONY: serve
serve: build ## start the gateway on the embedded store, as ARGS say
	$(BIN)/oto-trio serve $(ARGS)

.PHONY: wheel
wheel: $(STAMPS)/develop ## build the release wheel into dist/
	$(BIN)/maturin build --release --strip $(LOCKED) --interpreter $(BIN)/python --out dist

# ------------------------------------------------------------------------------------------ tests

.PHONY: test
test: check rust-test docs build ## every check, then every test: Rust, docs, Python
	$(BIN)/python -m pytest $(PYTEST)

.PHONY: rust-test
rust-test: $(STAMPS)/develop ## the tests of the Rust crates alone
	cargo test $(LOCKED) --workspace --exclude oto-py

.PHONY: cov
cov: build ## the Python tests with branch coverage
	@mkdir -p .cache/coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(PYTEST)
	$(BIN)/coverage combine
	$(BIN)/coverage report

# ----------------------------------------------------------------------------------------- checks

.PHONY: check
check: lint types stubtest arch ## all that is checked without running a test

.PHONY: fmt
fmt: $(STAMPS)/develop ## format everything
	cargo fmt --all
	cargo fmt $(LOAD_CRATE)
	$(BIN)/ruff check --quiet --fix-only --select I .
	$(BIN)/ruff format .

.PHONY: lint
lint: $(STAMPS)/develop ## formatting, clippy, ruff
	cargo fmt --all --check
	cargo fmt $(LOAD_CRATE) --check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check --output-format concise .
	cargo clippy $(LOCKED) --workspace --all-targets -- --deny warnings
	cargo clippy $(LOCKED) $(LOAD_CRATE) --target-dir target/bench-load -- --deny warnings

.PHONY: types
types: build ## mypy and pyright, both strict
	$(BIN)/mypy python $(PYTHON_ROOMS)
	$(BIN)/pyright --warnings

.PHONY: stubtest
stubtest: build ## the stub of the engine against the compiled module
	MYPYPATH=python $(BIN)/python -m mypy.stubtest oto_trio._core

.PHONY: arch
arch: $(STAMPS)/develop ## the import contract: every room imports downwards only
	PYTHONPATH=python $(BIN)/lint-imports --cache-dir .cache/import-linter

.PHONY: docs
docs: build ## the documentation into docs/_build/html, a warning is an error
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html -d docs/_build/doctrees \
		docs docs/_build/html

$(STAMPS)/tools/bin/cargo-deny:
	cargo install --quiet --locked --root $(STAMPS)/tools cargo-deny@0.20.2

.PHONY: audit
audit: build $(STAMPS)/audit $(STAMPS)/tools/bin/cargo-deny ## known vulnerabilities, licences, sources of the dependencies
	$(BIN)/python tools/audit.py $(ARGS)

# ------------------------------------------------------------------------- measure, load, attack

.PHONY: bench
bench: build $(STAMPS)/bench ## compare with other gateways: SCENARIOS, PEERS, ROUNDS
	$(BIN)/python -m benches $(if $(SCENARIOS),--scenarios $(SCENARIOS)) \
		$(if $(PEERS),--peers $(PEERS)) $(if $(ROUNDS),--rounds $(ROUNDS))

# The tests of HTTP/2 use it where it is.
$(STAMPS)/tools/bin/h2spec:
	GOBIN=$(CURDIR)/$(STAMPS)/tools/bin $(GO) install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible

# A client of HTTP/3, of which the tests make use too.
$(STAMPS)/tools/bin/oto-h3load: $(wildcard benches/h3load/*)
	cd benches/h3load && $(GO) build -o $(CURDIR)/$@ .

.PHONY: load
load: build $(STAMPS)/load ## a short headless load test against a gateway of its own
	$(BIN)/python -m loadtests $(ARGS)

# What of the code an input reaches is counted by a pass of the compiler, which the stable toolchain has too.
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module $(addprefix -Cllvm-args=-sanitizer-coverage-,level=4 \
	inline-8bit-counters pc-table trace-compares)

.PHONY: fuzz
fuzz: ## each of TARGETS for FUZZ_S seconds
	@command -v c++ >/dev/null || { echo 'oto-trio: fuzzing needs a C++ compiler: apt install g++' >&2; exit 1; }
	@test -n "$(TARGETS)" || { echo 'oto-trio: no fuzz target in rust/fuzz/fuzz_targets' >&2; exit 1; }
	host=$$(rustc -vV | sed -n 's/^host: //p'); cd rust/fuzz; \
	RUSTFLAGS="$(FUZZ_FLAGS)" cargo build $(LOCKED) --release --target "$$host" --target-dir target \
		$(addprefix --bin ,$(TARGETS)); \
	for target in $(TARGETS); do \
		mkdir -p "corpus/$$target" "artifacts/$$target" "seeds/$$target"; \
		"target/$$host/release/$$target" -max_total_time=$(FUZZ_S) -timeout=10 -print_final_stats=1 \
			-artifact_prefix="artifacts/$$target/" "corpus/$$target" "seeds/$$target"; \
	done

# ------------------------------------------------------------------------------------ keep house

.PHONY: news
news: $(STAMPS)/develop ## show the change log that the next release would get
	$(BIN)/towncrier build --draft

.PHONY: lock
lock: $(STAMPS)/lock ## write the lock files anew from pyproject.toml
	tools/lock

.PHONY: clean
clean: ## remove all that the verbs above made
	rm -rf $(VENV) $(STAMPS) target rust/fuzz/target dist docs/_build .cache .mypy_cache .ruff_cache \
		.pytest_cache .hypothesis
	find python -name '_core.*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
