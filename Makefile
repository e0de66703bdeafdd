# Needs a Rust toolchain, Python 3.11 or newer and make. `make help` lists the targets.

# The first of these that is new enough; `make PYTHON=...` names another.
PYTHON ?= $(or $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell $(name) -c \
	'import sys; sys.version_info < (3, 11) or print("$(name)")' 2>/dev/null))),python3)
# The package as users get it (release build).
VENV ?= .venv
# The package as it is tested (editable, development build, the extra `test`).
TEST_VENV ?= .venv-test
# The package as users get it, beside the libraries it is measured against.
BENCH_VENV ?= .venv-bench

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint lint-rust lint-python test-rust test-python bench tools redis clean

RUST_SOURCES := $(shell find src -type f) Cargo.toml Cargo.lock rust-toolchain.toml
PYTHON_SOURCES := $(shell find python -name '*.py' -o -name '*.pyi' -o -name 'py.typed')

INSTALLED := $(VENV)/.installed
TEST_INSTALLED := $(TEST_VENV)/.installed
BENCH_INSTALLED := $(BENCH_VENV)/.installed

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## Install the package and run a whole workflow against simulated models
	$(VENV)/bin/python examples/demo.py

test: lint test-rust test-python ## Check everything: layout, lints, types, Rust tests, Python tests
	@echo "make test: everything passed"

lint: lint-rust lint-python ## Check layout, lints and types

# The bindings are checked without the tests, which do not see them: with the features of the development dependencies
# out of it, `cargo doc` finds every dependency checked already.
lint-rust: | tools ## Check layout, lints and documentation of the core
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	cargo clippy --locked --lib --features python -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --document-private-items --features python
	@if cargo tree --locked --edges normal,build --prefix none | grep '^pyo3'; then \
		echo "error: pyo3 is in the dependency tree without the feature 'python'" >&2; exit 1; \
	else echo "cargo tree: no pyo3 without the feature 'python'"; fi

lint-python: $(TEST_INSTALLED) ## Check layout, lints and types of the package
	$(TEST_VENV)/bin/ruff check
	$(TEST_VENV)/bin/ruff format --check
	$(TEST_VENV)/bin/mypy
	$(TEST_VENV)/bin/stubtest --mypy-config-file pyproject.toml madspark._core

test-rust: | tools redis ## Test the core, without Python
	cargo test --locked

test-python: $(TEST_INSTALLED) ## Test the package
	$(TEST_VENV)/bin/pytest

bench: $(BENCH_INSTALLED) ## Measure what a call costs, on a machine that does nothing else
	$(BENCH_VENV)/bin/python -m benches.bridge
	$(BENCH_VENV)/bin/python -m benches --write benches/results.md

clean: ## Delete everything that was built
	rm -rf target dist $(VENV) $(TEST_VENV) $(BENCH_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find python -name '*.so' -delete
	find python tests examples benches -name __pycache__ -type d -prune -exec rm -rf {} +

# The tests of the shared cache start servers of their own.
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
$(INSTALLED): $(RUST_SOURCES) $(PYTHON_SOURCES) pyproject.toml README.md LICENSE | tools
	test -x $(VENV)/bin/pip || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --disable-pip-version-check --quiet .
	@touch $@

# Python sources are used in place here; only a change to the Rust side or to the dependencies needs a build.
$(TEST_INSTALLED): $(RUST_SOURCES) pyproject.toml | tools
	test -x $(TEST_VENV)/bin/pip || $(PYTHON) -m venv $(TEST_VENV)
	$(TEST_VENV)/bin/pip install --disable-pip-version-check --quiet 'maturin>=1.16,<2'
	env -u CONDA_PREFIX VIRTUAL_ENV=$(abspath $(TEST_VENV)) $(TEST_VENV)/bin/maturin develop --locked --extras test
	@touch $@

# A library that cannot be installed is left out, and the results say so.
$(BENCH_INSTALLED): $(RUST_SOURCES) $(PYTHON_SOURCES) pyproject.toml README.md LICENSE benches/requirements.txt | tools
	test -x $(BENCH_VENV)/bin/pip || $(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/pip install --disable-pip-version-check --quiet -r benches/requirements.txt \
		|| echo "warning: not everything to measure against could be installed" >&2
	$(BENCH_VENV)/bin/pip install --disable-pip-version-check --quiet .
	@touch $@
