# `make` lists what there is. Everything else is an Invoke task: `.venv/bin/invoke --list`.
.DEFAULT_GOAL := help
.PHONY: help up down test test-live test-attach test-containerlab test-vagrant lint types unit setup setup-dev

ARGS ?=

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-21s %s\n", $$1, $$2 }' Makefile

up: setup ## bring up the lab; installs what is missing first (ARGS="--name mine")
	@.venv/bin/invoke lab.up $(ARGS)

down: setup ## remove the lab
	@.venv/bin/invoke lab.down $(ARGS)

test: setup-dev ## style, types, unit tests, and the checks against a lab of its own
	@sh scripts/test.sh

test-live: setup-dev ## faults, captures and snapshots on labs of its own; takes long
	@sh scripts/test-live.sh

test-attach: setup-dev ## look at a swarm formed by hand, as at somebody's own; takes minutes
	@.venv/bin/pytest -v -p no:cacheprovider tests/live/test_attach.py tests/live/test_lend.py -m live

test-containerlab: setup-dev ## test the containerlab provider on a machine of its own; needs Go, some minutes
	@.venv/bin/pytest -m containerlab tests/live/test_containerlab.py

test-vagrant: setup-dev ## test the Vagrant provider with libvirt, which must be installed
	@.venv/bin/pytest tests/vagrant
	@.venv/bin/pytest -m vagrant tests/live/test_vagrant.py

lint: setup-dev ## look for mistakes and untidy code
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check

types: setup-dev ## check the types
	@.venv/bin/mypy

unit: setup-dev ## test our code: no lab, no root, no network
	@.venv/bin/pytest -n auto --maxprocesses 4 --dist loadfile tests/

setup: ## install what the lab needs: system packages and .venv
	@sh scripts/setup.sh requirements.txt

setup-dev: ## the same, and what the tests need on top
	@sh scripts/setup.sh requirements-dev.txt
