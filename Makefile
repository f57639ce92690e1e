# Two commands do all the set-up: `make demo` and `make test`. Both work on a fresh machine with Python >= 3.11.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= runs/demo
FIGURES := $(foreach n,2 3 5 6 7,wang2022-fig$(n))

.PHONY: demo test lint types layers tests laws readme bench clean

demo: $(VENV)/.installed
	$(BIN)/gradflip run $(FIGURES) --data digits --preset quick --out $(DEMO)

test: lint types layers tests readme

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

layers: $(VENV)/.installed-dev
	$(BIN)/lint-imports

# shapes of tensors are checked by jaxtyping and beartype in this run, and only here
SHAPES := gradflip.networks,gradflip.gaussian,gradflip.theory,gradflip.rays,gradflip.attacks,gradflip.lazy,gradflip.certificates,shapes.check
tests: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 -rs --cov --cov-report=term --jaxtyping-packages=$(SHAPES)
	$(BIN)/pytest tests/test_checks.py  # what the annotations above refuse: numpy where they say Tensor

# the laws of random networks in full: minutes, where `tests` takes two configurations of each
laws: $(VENV)/.installed-dev
	$(BIN)/pytest -m laws -rP --durations=5 tests/laws

readme: $(VENV)/.installed-dev
	$(BIN)/python tests/readme_commands.py

# networks are trained once and kept in the user's cache folder; needs MNIST (GRADFLIP_DATA or a download)
bench: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/bench_flip.py --json docs/benchmarks/bench_flip.json
	$(BIN)/python benchmarks/bench_train.py --json docs/benchmarks/bench_train.json
	$(BIN)/python benchmarks/bench_random.py --json docs/benchmarks/bench_random.json
	$(BIN)/python benchmarks/page.py

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) runs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
