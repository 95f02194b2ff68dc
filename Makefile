# Everything a contributor or CI runs. Each target makes .venv first (instantly once it is there).
.PHONY: help install demo test smoke check fix docs bench
BIN = .venv/bin

help:     ## list the targets
	@grep -E '^[a-z]+: .*##' Makefile | sed 's/:.*##/ -/'

install:  ## make .venv with everything in it
	@scripts/setup.sh

demo: install  ## the whole story on real input, in minutes
	$(BIN)/unflaw demo

test: install  ## all tests that need neither an accelerator nor the internet
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

smoke: install  ## one study in small: does it still run?
	$(BIN)/python studies/unveiling/arms.py --smoke

check: install  ## what the code must satisfy besides its tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: install  ## format, and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: install  ## write the generated pages and draw their pictures
	$(BIN)/python scripts/write_pictures.py
	$(BIN)/python scripts/write_docs.py

bench: install  ## measure speed and memory beside the peers
	@for script in bench/[!_]*.py; do $(BIN)/python $$script || exit 1; done
