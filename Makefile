# Every target does all its set-up itself; tools/bootstrap says what that is and where it stops.

# Debian keeps mosquitto where an ordinary user's PATH does not look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin
export PYTHON
# Images of containers set it; each of the hundreds of programs that tests start would compile the project again.
unexport PYTHONDONTWRITEBYTECODE
CARBONMETER := .venv/bin/carbonmeter
VENV_PYTHON := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-firmware hil lint bench bench-board pins clean

help: ## list the targets
	@echo 'carbonmeter: signed readings from a meter board to a verified uplink'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22
	@echo
	@echo 'PYTHON=python3.x before the first of them chooses the interpreter (3.11 or newer).'

setup: ## make .venv and install what is pinned, once
	@bash tools/bootstrap

demo: setup ## a meter, a gateway and a far end, live; SECONDS=20 or TRACE=file.csv DAYS=7
	@$(CARBONMETER) demo $(if $(SECONDS),--seconds '$(SECONDS)') $(if $(TRACE),--trace '$(TRACE)') \
	    $(if $(MAP),--map '$(MAP)') $(if $(DAYS),--days '$(DAYS)') $(ARGS)

test: setup ## linters, types, import contracts, board compiler, all tests; ARGS='-k name' for pytest
	@$(VENV_PYTHON) -m meter_tools.checks all $(ARGS)

test-firmware: setup ## what runs on a board, on MicroPython; EXHAUSTIVE=1 for every power cut and the long runs
	@$(VENV_PYTHON) -m meter_tools.checks firmware $(ARGS)

hil: setup ## the Robot suites on the emulated board; EMULATOR=renode, SUITES='clock receipts', ARGS='...' for robot
	@$(VENV_PYTHON) -m hil_tests.run $(if $(EMULATOR),--emulator '$(EMULATOR)') $(SUITES:%=--suite %) $(ARGS)

lint: setup ## what make test does before its tests
	@$(VENV_PYTHON) -m meter_tools.checks lint

bench: setup ## the gateway's rate beside OpenSSL's; ARGS='...' for the benchmark
	@$(VENV_PYTHON) -m meter_tools.bench $(ARGS)

bench-board: setup ## docs/board-costs.md: what signing, an interval and an image cost the emulated board
	@$(VENV_PYTHON) -m meter_tools.bench.board $(ARGS)

pins: setup ## renew constraints.txt from pyproject.toml
	@bash tools/pin

clean: ## remove .venv and everything built
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
