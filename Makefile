# Every target works on a fresh machine with Python 3.11+ and make: it makes .venv first if need be.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip --disable-pip-version-check
BENCH  := benchmarks/.venv
BPIP   := $(BENCH)/bin/pip --disable-pip-version-check

.PHONY: demo test check format install notebooks pictures measures experiments nets digits scenes bench bench-env clean

demo: $(VENV)/.app                     ## a report on the embedded network: out/demo/index.html
	$(BIN)/smoothgrad demo --out out/demo

test: $(VENV)/.dev                     ## tests, doctests, the README's examples, and the notebooks in small
	$(BIN)/pytest -n 2 $(ARGS)
	$(if $(ARGS),,SMOOTHGRAD_QUICK=1 OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --nbmake --nbmake-timeout=300 examples/*.ipynb)

check: $(VENV)/.dev                    ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

notebooks: $(VENV)/.dev                ## run the notebooks in full, and keep what they show; takes some minutes
	$(BIN)/jupytext --quiet --update --to ipynb examples/[0-9]*.py
	$(BIN)/jupyter-nbconvert --to notebook --execute --inplace --ExecutePreprocessor.timeout=900 \
		--ExecutePreprocessor.record_timing=False examples/*.ipynb
	$(BIN)/python examples/keep_small.py examples/*.ipynb

pictures: $(VENV)/.dev                 ## the README's and the docs' pictures, made by the program itself
	$(BIN)/python docs/make_pictures.py
	$(BIN)/python docs/make_feature_pictures.py
	$(BIN)/python docs/make_gallery.py
	$(BIN)/python docs/make_scenes.py

measures: $(VENV)/.dev                 ## docs/measures.md: all methods by the main measures; takes hours, and goes on where it was
	$(BIN)/python docs/make_measures.py

experiments: $(VENV)/.dev              ## docs/experiments.md: every experiment on real pictures; takes an hour, and goes on where it was
	$(BIN)/python docs/make_experiments.py

nets: $(VENV)/.dev                     ## train the embedded networks of MNIST and CIFAR-10 again: make nets DATA=FOLDER
	$(BIN)/python -m smoothgrad.training.train_mnist $(DATA)/mnist
	$(BIN)/python -m smoothgrad.training.train_cifar10 $(DATA)

digits: $(VENV)/.dev                   ## train the embedded network, its twin, and the embedded generator, again
	$(BIN)/python -m smoothgrad.models.train_digits
	$(BIN)/python -m smoothgrad.models.train_digits_random_labels
	$(BIN)/python -m smoothgrad.features.train_generator

scenes: $(VENV)/.dev                   ## train the embedded networks of scenes again
	$(BIN)/python -m smoothgrad.models.train_scenes

install: $(VENV)/.app

bench: $(BENCH)/.peers                 ## times and memory beside captum, saliency and zennit: benchmarks/results.md
	$(BENCH)/bin/python -m benchmarks $(ARGS)

bench-env: $(BENCH)/.peers             ## the benchmarks' own environment

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# torch first and alone, with the pinned version: whatever is installed afterwards finds it satisfied.
$(VENV)/.torch: constraints.txt | $(VENV)/bin/python
	$(PIP) install --quiet --constraint constraints.txt torch
	touch $@

$(VENV)/.app: pyproject.toml $(VENV)/.torch
	$(PIP) install --quiet --constraint constraints.txt --editable '.[all]'
	touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.torch
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@ $(VENV)/.app

$(BENCH)/bin/python:
	$(PYTHON) -m venv $(BENCH)

$(BENCH)/.torch: constraints.txt | $(BENCH)/bin/python
	$(BPIP) install --quiet --constraint constraints.txt torch
	touch $@

$(BENCH)/.peers: pyproject.toml benchmarks/requirements.txt $(BENCH)/.torch
	$(BPIP) install --quiet --constraint constraints.txt --requirement benchmarks/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) $(BENCH) benchmarks/out out .pytest_cache .mypy_cache .ruff_cache .hypothesis
