.DEFAULT_GOAL := help
PYTHON ?= python

.PHONY: help check lint types style test test-peers test-others bench verdicts fuzz accuracy generate dist bundles

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

check: test lint types style  ## exactly what CI runs; with `make -j2`, tests with real peers run beside the others

lint:  ## ruff: style and formatting
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

types:  ## mypy, strict
	$(PYTHON) -m mypy

style:  ## how legible the code is, and whether each measure keeps its limit
	$(PYTHON) tools/style.py

test: test-peers test-others  ## all tests that can run here; what is skipped is listed with its reason

# Tests with real peers, which follow one another. `make -j2` runs the others beside them.
PEERS = tests/e2e tests/kafka

test-peers:
	$(PYTHON) -m pytest $(PEERS)

test-others:
	$(PYTHON) -m pytest $(PEERS:%=--ignore=%)

bench:  ## records per second of the whole way, beside a baseline of the same run
	$(PYTHON) bench/throughput.py

verdicts:  ## what a verdict and an alert cost, on raw HDFS and its bundle
	$(PYTHON) bench/verdicts.py

accuracy:  ## F1, data efficiency, localisation, early verdicts and speed on ../shared/data; about forty minutes
	$(PYTHON) bench/accuracy.py --json

fuzz:  ## 1,200,000 inputs to codec, matcher, records and engine; hostile clients at a running serve (needs '.[fuzz]')
	$(PYTHON) bench/fuzz.py
	$(PYTHON) bench/hostile.py

dist:  ## build the wheel, the source distribution and the gem into dist/
	$(PYTHON) tools/dist.py

generate:  ## write what is generated from the declared parameters and metrics
	$(PYTHON) tools/generate.py

bundles:  ## fit models/hdfs anew from ../shared/data, and models/demo from the simulator
	$(PYTHON) -m export fit --input ../shared/data/hdfs_raw/events.parquet --labels ../shared/data/hdfs_raw/labels.parquet \
	  --output models/hdfs --session-key '/blk_-?[0-9]+/' --component-field component --idle-timeout 14h --train-fraction 0.6
	$(PYTHON) -m export.simulated models/demo
