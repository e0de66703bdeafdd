# Needs a Rust toolchain, Python 3.11 or newer and make. `make help` lists the targets.

# The first of these that is new enough; `make PYTHON=...` selects another.
PYTHON ?= $(or $(firstword $(foreach name,python3 python3.14 python3.13 python3.12 python3.11,$(shell $(name) -c \
	'import sys; sys.version_info < (3, 11) or print("$(name)")' 2>/dev/null))),python3)
# The build that the Python tests run against: `dev` (editable, quick to rebuild) or `release` (the wheel that users install).
PROFILE ?= dev
# The release build, for `make demo`.
VENV ?= .venv
# The tested build and the development tools.
TEST_VENV ?= .venv-test
# The release build and the libraries it is benchmarked against.
BENCH_VENV ?= .venv-bench
# The release build and the library that structured output is compared with.
REAL_VENV ?= .venv-real
# The model and the server of `make real`. Without URL it starts a server of its own; PROTOCOL is openai or ollama.
MODEL ?= smollm2-135m
URL ?=
PROTOCOL ?= openai
# Processes of the Python tests. Most tests wait for a timeout or a child process, so more than one per core pays.
TEST_WORKERS ?= 4

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint lint-rust lint-python lint-text lint-dependencies test-rust test-python docs bench real instructions \
	lock wheel clean tools redis

RUST_SOURCES := $(shell find src -type f) Cargo.toml Cargo.lock rust-toolchain.toml
PYTHON_SOURCES := $(shell find python -name '*.py' -o -name '*.pyi' -o -name 'py.typed')
# What maturin reads besides the sources.
METADATA := pyproject.toml README.md LICENSE

INSTALLED := $(VENV)/.installed
TEST_TOOLS := $(TEST_VENV)/.tools
TEST_INSTALLED := $(TEST_VENV)/.installed-$(PROFILE)
BENCH_INSTALLED := $(BENCH_VENV)/.installed
WHEEL := dist/.wheel
PIP_INSTALL := -m pip install --disable-pip-version-check --quiet

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## Install the package and run a whole workflow against simulated models
	$(VENV)/bin/python examples/demo.py

test: lint test-rust test-python ## Check everything: lints, types, Rust tests, Python tests
	@echo "make test: everything passed"

lint: lint-rust lint-dependencies lint-python lint-text ## Check formatting, lints, types, dependencies and spelling

# The bindings are linted without the test targets, which do not use them: `cargo doc` then reuses the checked dependencies.
lint-rust: | tools ## Check formatting, lints and documentation of the core
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --lib --features python -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items --features python
	@if cargo tree --locked --edges normal,build --prefix none | grep '^pyo3'; then \
		echo "error: pyo3 is in the dependency tree without the feature 'python'" >&2; exit 1; \
	else echo "cargo tree: no pyo3 without the feature 'python'"; fi

# Advisories need a network, and change without a change here: .github/workflows/ci.yml checks them.
lint-dependencies: | tools ## Check licenses, sources and bans of the Rust dependencies (needs cargo-deny)
	@if command -v cargo-deny >/dev/null; then cargo deny --locked --offline check bans licenses sources; \
	else echo "warning: cargo-deny is missing: dependencies are not checked (cargo install --locked cargo-deny)" >&2; fi

lint-python: $(TEST_INSTALLED) ## Check formatting, lints and types of the package
	$(TEST_VENV)/bin/ruff check
	$(TEST_VENV)/bin/ruff format --check
	$(TEST_VENV)/bin/mypy
	$(TEST_VENV)/bin/basedpyright --pythonpath $(TEST_VENV)/bin/python
	$(TEST_VENV)/bin/stubtest --mypy-config-file pyproject.toml madspark._core

lint-text: $(TEST_TOOLS) ## Check spelling
	$(TEST_VENV)/bin/typos

# nextest runs every test in a process of its own and does not run doctests.
test-rust: | tools redis ## Test the core, without Python
	@if command -v cargo-nextest >/dev/null; then set -x; cargo nextest run --locked && cargo test --locked --doc; \
	else set -x; cargo test --locked; fi

test-python: $(TEST_INSTALLED) ## Test the package; PROFILE=release tests the wheel
	$(TEST_VENV)/bin/pytest --numprocesses=$(TEST_WORKERS) --dist=worksteal

docs: $(TEST_TOOLS) ## Build the documentation site into target/site; broken links are errors
	PYTHONPATH=python $(TEST_VENV)/bin/zensical build --strict

bench: $(BENCH_INSTALLED) ## Measure what a call costs, on an idle machine
	$(BENCH_VENV)/bin/python -m benches.bridge
	$(BENCH_VENV)/bin/python -m benches --write benches/results.md

real: $(REAL_VENV)/.installed ## Run the workflow on a real model (MODEL=, URL=, PROTOCOL=); without URL it builds a server
	$(REAL_VENV)/bin/python -m benches.real --model $(MODEL) $(if $(URL),--url $(URL) --protocol $(PROTOCOL)) \
		--write benches/real.md

instructions: $(INSTALLED) ## Count the instructions of a call with callgrind, on any machine
	$(VENV)/bin/python -m benches.instructions

wheel: $(WHEEL) ## Build the release wheel into dist/

lock: | tools ## Update requirements-dev.txt from the dependency groups
	test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/python $(PIP_INSTALL) uv; }
	.venv-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --group development \
		--custom-compile-command 'make lock' --output-file requirements-dev.txt

clean: ## Delete everything that was built
	rm -rf target dist $(VENV) $(TEST_VENV) $(BENCH_VENV) $(REAL_VENV) .venv-lock .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find python -name '*.so' -delete
	find python tests examples benches -name __pycache__ -type d -prune -exec rm -rf {} +

# The tests of the shared cache start their own servers.
redis:
	@command -v redis-server >/dev/null || echo "warning: redis-server is missing (Debian: apt-get install redis-server):" \
		"the tests of the shared cache are skipped" >&2

tools:
	@command -v cargo >/dev/null || { echo "error: cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "error: $(PYTHON) is not Python 3.11 or newer: run make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "error: $(PYTHON) cannot create virtual environments: install its venv package (Debian: python3-venv)" >&2; exit 1; }

# A stamp is newer than every source it was made from, so that a second `make` does nothing.
$(INSTALLED): $(WHEEL) | tools
	$(VENV)/bin/python $(PIP_INSTALL) dist/*.whl
	$(VENV)/bin/python $(PIP_INSTALL) --force-reinstall --no-deps dist/*.whl
	@touch $@

$(WHEEL): $(RUST_SOURCES) $(PYTHON_SOURCES) $(METADATA) | tools
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	rm -rf dist
	$(VENV)/bin/python -m pip wheel --disable-pip-version-check --quiet --no-deps --wheel-dir dist .
	@touch $@

$(TEST_TOOLS): requirements-dev.txt | tools
	test -x $(TEST_VENV)/bin/python || $(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/python $(PIP_INSTALL) --require-hashes --requirement requirements-dev.txt
	@touch $@

# Python sources are used in place; only a change to the Rust side or to the metadata needs a build.
$(TEST_VENV)/.installed-dev: $(TEST_TOOLS) $(RUST_SOURCES) pyproject.toml | tools
	env -u CONDA_PREFIX VIRTUAL_ENV=$(abspath $(TEST_VENV)) $(TEST_VENV)/bin/maturin develop --locked --quiet
	rm -f $(TEST_VENV)/.installed-release
	@touch $@

$(TEST_VENV)/.installed-release: $(TEST_TOOLS) $(WHEEL) | tools
	find python -name '*.so' -delete
	$(TEST_VENV)/bin/python $(PIP_INSTALL) --force-reinstall --no-deps dist/*.whl
	rm -f $(TEST_VENV)/.installed-dev
	@touch $@

# A library that cannot be installed is left out, and the results say so.
$(BENCH_INSTALLED): $(WHEEL) benches/requirements.txt | tools
	test -x $(BENCH_VENV)/bin/python || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python $(PIP_INSTALL) -r benches/requirements.txt \
		|| echo "warning: not everything to measure against could be installed" >&2
	$(BENCH_VENV)/bin/python $(PIP_INSTALL) --force-reinstall dist/*.whl
	@touch $@

$(REAL_VENV)/.installed: $(WHEEL) benches/real/requirements.txt | tools
	test -x $(REAL_VENV)/bin/python || $(PYTHON) -m venv $(REAL_VENV)
	$(REAL_VENV)/bin/python $(PIP_INSTALL) -r benches/real/requirements.txt
	$(REAL_VENV)/bin/python $(PIP_INSTALL) --force-reinstall --no-deps dist/*.whl
	@touch $@
