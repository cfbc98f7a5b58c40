# make run    measure something real on this machine, to a verdict
# make test   every test, the real Ollama's too where it can be built
# make check  formatting, types, import contracts
# make docs   the generated pages anew, and all pages as a site in site/
# make test-pythons  the fast tests on every Python of the range that is here
# make test-busy     the tests three times beside 8 busy processes
# make mutants  which broken lines the tests notice; MUTANTS="--help" tells its options

PYTHON ?= $(shell for p in python3.12 python3 python3.13 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null \
	&& { echo $$p; break; }; done)
UV_VERSION := 0.13.9
BIN := .venv/bin
READY := .venv/ready
DOCS_READY := .venv/docs-ready

FAST := tests/unit tests/queries tests/house tests/record
TEST := -n 3 --dist loadfile --no-loadscope-reorder -m "not faults"
# Without its bytecode, each process of the tests compiles every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-pythons test-busy check docs faults mutants performance clean lock ollama

run: $(READY)
	$(BIN)/fleet submit configs/quickstart.yaml

test: $(READY) $(DOCS_READY) ollama
	$(BIN)/python -m pytest $(TEST) $(PYTEST)

test-pythons: $(READY)
	@$(BIN)/python tests/tools/each_python.py $(TEST) $(FAST) $(PYTEST)

test-busy: $(READY) $(DOCS_READY) ollama
	@$(BIN)/python tests/tools/beside_others.py $(TEST) $(PYTEST)

faults: $(READY) ollama
	$(BIN)/python -m pytest -m faults $(PYTEST)

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict fleet
	$(BIN)/lint-imports

docs: $(DOCS_READY)
	$(BIN)/python -m docs.reference
	$(BIN)/python -m docs.picture
	$(BIN)/python -m sphinx --fail-on-warning --fresh-env --quiet docs site

mutants: $(READY)
	$(BIN)/python -m tests.mutants $(MUTANTS)

performance: $(READY)
	for program in tests/performance/[a-z]*.py; do echo "== $$program"; $(BIN)/python $$program || exit 1; done

# Exit code 3: no Go or no compiler here. Then those tests are left out, each with that reason,
# unless FLEET_REQUIRE_OLLAMA=1 asks for them.
ollama: $(READY)
	@$(BIN)/python tests/tools/install_ollama.py && $(BIN)/python tests/tools/install_mlx.py || \
	{ code=$$?; test $$code = 3 && test -z "$$FLEET_REQUIRE_OLLAMA"; }

$(READY): pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "fleet needs Python 3.11 or newer: none found on PATH"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv sync --quiet --active --frozen --inexact --all-extras
	touch $(READY)

$(DOCS_READY): $(READY)
	VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv sync --quiet --active --frozen --inexact --all-extras --group docs
	touch $(DOCS_READY)

# What a machine that joins a fleet installs: fleet/dispatch/node-requirements.txt follows uv.lock.
lock: $(READY)
	$(BIN)/uv lock --quiet
	$(BIN)/uv export --quiet --frozen --no-dev --no-emit-project --extra node --extra nvidia --extra apple --no-annotate --no-header -o fleet/dispatch/node-requirements.txt

clean:
	rm -rf .venv .venv-3.*
