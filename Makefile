# The one menu of the project: `make help`.
#
# Everything Python happens in .venv, so nothing outside the clone changes; only `make broker` may
# install a package (mosquitto), and only where it runs as root beside apt-get.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
# Extra words for pytest, the Rust tests and the benchmark, e.g. `make test-python ARGS="-k will -x"`.
ARGS ?=

BIN := $(VENV)/bin
# Debian puts the broker into /usr/sbin, which is not on every user's PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH):/usr/sbin:/usr/local/sbin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

TOOLS := $(VENV)/.tools
BENCH_TOOLS := $(VENV)/.bench-tools
DOCS_TOOLS := $(VENV)/.docs-tools
EXTENSION := $(VENV)/.extension
RUST_SOURCES := $(shell find src -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock pyproject.toml
SOCKETLESS := wasm32-unknown-unknown
LOGS := .cache/test
PYTHON_FILES := $(wildcard python tests benches examples .ci)

##@ Use

.PHONY: help
help: ## Show this menu
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: setup broker ## Run a paho-style program on oxmqtt and on paho, side by side
	@$(BIN)/python examples/demo.py $(ARGS)

##@ Set up

.PHONY: setup
setup: $(EXTENSION) ## Create .venv with the tools and the extension (release build)

.PHONY: broker
broker: ## Find mosquitto, or install it where that is allowed; go on without it
	@.ci/mosquitto || echo "no mosquitto: the embedded broker serves instead, and the tests that need mosquitto skip"

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); \
	  echo "make: $(PYTHON) cannot create a virtual environment; install its venv module (Debian: apt-get install python3-venv)" >&2; \
	  exit 1; }

$(TOOLS): requirements-dev.txt | $(BIN)/python
	@echo "installing the tools of requirements-dev.txt into $(VENV)"
	@$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

# `maturin develop` puts the library beside the Python sources; edits there need no new build.
$(EXTENSION): $(RUST_SOURCES) $(TOOLS)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --locked --quiet
	@touch $@

##@ Check

.PHONY: core
core: ## Test the Rust core, without Python (seconds)
	@if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --locked --no-tests=pass $(ARGS); \
	else \
	  cargo test --locked --lib --tests $(ARGS); \
	fi

.PHONY: test
test: setup broker ## Run every suite: Rust core, unit, interop, compat, lifecycle
	@mkdir -p $(LOGS)
	@set -o pipefail; $(MAKE) core 2>&1 | tee $(LOGS)/rust.log
	@set -o pipefail; cargo test --locked --doc 2>&1 | tee $(LOGS)/doc.log
	@set -o pipefail; $(MAKE) test-python 2>&1 | tee $(LOGS)/python.log
	@$(MAKE) test-summary

.PHONY: test-python
test-python: setup broker ## Run the Python suites only
	@$(BIN)/python -m pytest $(ARGS)

.PHONY: clauses
clauses: setup ## Prove the clauses of the standards that bind a client; print how many
	@$(MAKE) core
	@$(MAKE) conformance

.PHONY: conformance
conformance: setup ## Play the wire cases and the cases of our own; print the score
	@$(BIN)/python -m pytest -q tests/conformance $(ARGS)

.PHONY: chaos
chaos: setup ## Reset every connection, 10,000 times a run: 20 seeds, two versions (about 40 minutes)
	@.ci/mosquitto
	@PYTHONPATH=tests $(BIN)/python -m chaos --seeds 20 $(ARGS)
	@$(MAKE) simulate

# Without link-time optimisation: the build takes longer than the run.
.PHONY: simulate
simulate: ## Simulate the session for 10 million steps, then visit every state of its model (minutes)
	@OXMQTT_SIM_STEPS=$${OXMQTT_SIM_STEPS:-10000000} OXMQTT_MODEL_ALL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=8 \
	  cargo test --locked --release --package oxmqtt-protocol --test session sim:: -- --nocapture --test-threads=1

.PHONY: bounds
bounds: setup broker ## Measure the bounds of time and memory, each beside what is promised (two minutes)
	@set -o pipefail; $(BIN)/python -m pytest -q -rP tests/lifecycle $(ARGS) | { grep -E "^bound: |passed|failed" || true; } | sort -u

.PHONY: exits
exits: setup broker ## End two thousand processes with live clients, by each CPython that is here; interrupt calls at every bytecode (an hour)
	@.ci/build-for-each-python .cache/exits
	@EXITS=1000 EXITS_LIBRARIES=$(CURDIR)/.cache/exits $(BIN)/python -m pytest -q -rP -o faulthandler_timeout=0 \
	  tests/lifecycle/test_exit.py tests/lifecycle/test_exit_in_callbacks.py -k exits $(ARGS)
	@STEPS=0 $(BIN)/python -m pytest -q -o faulthandler_timeout=0 tests/lifecycle/test_finalisers.py $(ARGS)

.PHONY: links
links: setup ## Send up to 10 MB over links of 5 kB/s to 1 MB/s (an hour)
	@LINKS=1 $(BIN)/python -m pytest -q -rP -o faulthandler_timeout=0 tests/lifecycle/test_links.py $(ARGS)

.PHONY: clients
clients: setup ## Drop a thousand clients with threads, ten thousand on loops; print how soon they are back (minutes)
	@PYTHONPATH=tests $(BIN)/python -m fleet $(ARGS)

.PHONY: differential
differential: ## Send a million generated packets through our codec and rumqttc's
	@DIFFERENTIAL_PACKETS=1000000 cargo test --locked --profile checked --package oxmqtt-protocol --test differential -- --nocapture $(ARGS)

.PHONY: fuzz
fuzz: $(BIN)/python ## Fuzz for a minute each: ARGS="--seconds 600 session" (cargo-fuzz, nightly)
	@$(BIN)/python tests/fuzz/campaign.py $(ARGS)

.PHONY: test-summary
test-summary:
	@echo
	@echo "summary"
	@sed -n -e 's/^ *Summary \[[^]]*\] */  Rust core    /p' -e 's/^test result: \(.*\); finished.*/  Rust core    \1/p' $(LOGS)/rust.log
	@sed -n -e 's/^test result: \(.*\); finished.*/  Rust docs    \1/p' $(LOGS)/doc.log
	@tail -n 1 $(LOGS)/python.log | sed 's/^=* *\(.*[^ =]\) *=*$$/  Python       \1/'
	@sed -n -e 's/^paho-mqtt [^ ]* own tests on oxmqtt: /  paho suite   /p' $(LOGS)/python.log

.PHONY: lint
lint: setup lint-rust lint-python lint-layers lint-deps ## Run every static check

.PHONY: lint-rust
lint-rust: $(BIN)/python
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
	cargo fmt --all --check
	PYO3_PYTHON=$(CURDIR)/$(BIN)/python cargo clippy --locked --workspace --all-targets -- -D warnings
	@# The stable ABI of the wheel for CPython 3.12 and later has fewer functions; no interpreter is needed to see.
	PYO3_NO_PYTHON=1 PYO3_BUILD_EXTENSION_MODULE=1 cargo clippy --locked --package oxmqtt-bindings --features abi3-py312 -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
	@# The protocol does without sockets: it builds where there are none.
	@if rustup target add $(SOCKETLESS) 2>/dev/null; then \
	  echo "cargo check --locked --package oxmqtt-protocol --target $(SOCKETLESS)"; \
	  cargo check --locked --package oxmqtt-protocol --target $(SOCKETLESS); \
	else \
	  echo "skipped: the protocol on $(SOCKETLESS); rustup cannot install that target here"; \
	fi

.PHONY: lint-python
lint-python: setup
	$(BIN)/ruff check $(PYTHON_FILES)
	$(BIN)/ruff format --check $(PYTHON_FILES)
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest oxmqtt._native --mypy-config-file pyproject.toml --allowlist .ci/stubtest-allow.txt
	$(BIN)/pyright --pythonpath $(BIN)/python python
	@# Fails below 100 %: everything that users can see has a type.
	$(BIN)/pyright --verifytypes oxmqtt --ignoreexternal | grep -E "error|Type completeness score"

.PHONY: lint-layers
lint-layers: $(TOOLS)
	$(BIN)/python -m pytest -q tests/unit/test_layers.py
	PYTHONPATH=python $(BIN)/lint-imports --no-cache

.PHONY: lint-deps
lint-deps: $(TOOLS)
	@$(BIN)/python .ci/dependencies.py

.PHONY: format
format: $(TOOLS) ## Format Rust and Python
	cargo fmt --all
	$(BIN)/ruff format $(PYTHON_FILES)
	$(BIN)/ruff check --fix-only $(PYTHON_FILES)

##@ Write

.PHONY: docs
docs: setup $(DOCS_TOOLS) ## Build the documentation site into site/, warnings as errors
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "the site is in site/index.html"

$(DOCS_TOOLS): docs/requirements.txt $(TOOLS)
	@echo "installing the tools of docs/requirements.txt into $(VENV)"
	@$(BIN)/python -m pip install --quiet --requirement $<
	@touch $@

##@ Measure

.PHONY: bench
bench: setup broker $(BENCH_TOOLS) ## Criterion benchmarks, then oxmqtt beside the other clients
	cargo bench --locked
	$(BIN)/python benches/e2e/bench.py $(ARGS)

# The other clients and the plotting library; nothing else needs them.
$(BENCH_TOOLS): benches/e2e/requirements.txt $(TOOLS)
	@echo "installing the clients of benches/e2e/requirements.txt into $(VENV)"
	@$(BIN)/python -m pip install --quiet --requirement $<
	@touch $@

##@ Clean

.PHONY: clean
clean: ## Remove everything that the other targets made
	rm -rf target dist site $(VENV) .cache .pytest_cache .mypy_cache .ruff_cache
	find python -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
