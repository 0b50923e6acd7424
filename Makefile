# `make demo` and `make test` work on a fresh clone; everything they need they set up themselves.
PYTHON := .venv/bin/python
KEEP ?=
export PYTHONDONTWRITEBYTECODE := 1

.PHONY: help demo test lint unit integration infra host systemd package faults e2e bench uploads agent-package docs lock setup clean

help:  ## list what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: setup  ## a backup and some uploads in a Region in a box, each with its proof (KEEP=1 leaves it running)
	@$(PYTHON) -m lab demo $(if $(KEEP),--keep)

test: setup  ## everything that is checked, as CI does
	@scripts/test

lint: setup  ## style, types and import rules
	@scripts/lint

unit integration infra host systemd package e2e: setup  ## one part of the tests
	@$(PYTHON) -m pytest tests/$@

faults: setup  ## the fault suite at length: every kill 100 times, and its table (build/faults.json)
	@PYTHONPATH=.:agent/src $(PYTHON) -m lab faults --at-length $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED))

bench: setup  ## the write stall of five ways to make a snapshot (about 10 min; build/bench.json, .png)
	@$(PYTHON) -m lab bench

uploads: setup  ## ten thousand uploads in a minute through the deployed pipeline (build/uploads.json)
	@PYTHONPATH=.:agent/src $(PYTHON) -m lab uploads

agent-package: setup  ## what a database host needs: a wheel, and one file that installs itself (build/dist/)
	@$(PYTHON) scripts/agent_package.py

docs: setup  ## write the generated parts of docs/ anew
	@PYTHONPATH=.:agent/src $(PYTHON) -m docs.generate
	@$(PYTHON) -m infra.configuration.reference >docs/configuration.md

lock: setup  ## compile requirements/*.txt anew from their *.in
	@scripts/lock

setup:  ## install what everything here needs; does nothing that is done already
	@scripts/setup

clean:  ## remove what was built, and whatever a killed lab has left
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m lab down; fi
	@rm -rf build cdk.out .venv node_modules
