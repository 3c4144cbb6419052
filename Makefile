# Set-up, checks, tests and the demo; each target does all that it needs on a new machine.
PYTHON ?= python3
VENV ?= .venv
SEED ?= 1
DEMO ?= runs/demo-$(SEED)
RUN = $(VENV)/bin

.PHONY: setup check test demo wheel clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml requirements.lock
	@echo "== set-up: a virtual environment in $(VENV) with the locked libraries (torch first: about 2 minutes)"
	$(PYTHON) -m venv $(VENV)
	$(RUN)/pip install --quiet "$$(grep '^torch==' requirements.lock)"
	$(RUN)/pip install --quiet -r requirements.lock
	$(RUN)/pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

check: setup
	@echo "== format, lint, types"
	$(RUN)/ruff format --check src tests bench docs
	$(RUN)/ruff check src tests bench docs
	$(RUN)/mypy

test: check
	@echo "== tests (import directions among them)"
	OMP_NUM_THREADS=1 $(RUN)/python -m pytest -n auto

demo: setup
	@echo "== demo: renders the plaza (seed $(SEED)), fits both streams on it, prints the table, writes a page"
	$(RUN)/tsvad demo --seed $(SEED) --out $(DEMO)

wheel: setup
	@echo "== wheel: built, installed in a new environment by plain pip, fits and scores there"
	sh .ci/wheel $(PYTHON) $(RUN)/pip

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
