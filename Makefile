# Flywheel. `make help` lists the targets. Go, Node.js, git and make are enough
# for most of them; `integration` and `soak` need Java 17 and Maven besides, and
# `image` Docker. Tools and the ClickHouse library are fetched once into .cache.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
export CGO_ENABLED ?= 0

# What the targets take: make demo ARGS='--for 5m', make test PKG=./pkg/config,
# make microbench BENCH=Profile COUNT=6, make bench BROKERS=embedded ARGS='--live 0'.
ARGS ?=
BROKERS ?=
PKG ?= ./...
BENCH ?= .
COUNT ?= 1
SEEDS ?= 2000
FIRST ?= 1
REPORT ?=
ONLY ?=

# The version is part of a tool's file name, so that raising it here is enough.
TOOLS := $(CURDIR)/.cache/bin
GOLANGCI_LINT := $(TOOLS)/golangci-lint@v2.15.0
GOTESTSUM := $(TOOLS)/gotestsum@v1.13.0
BENCHSTAT := $(TOOLS)/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the binary at bin/flywheel
	$(GO) build -trimpath -ldflags "-X main.version=$(VERSION) -X main.linkedCommit=$(COMMIT)" -o bin/flywheel ./services/flywheel

.PHONY: image
image: ## Build the container image of all services, with Docker
	VERSION='$(VERSION)' COMMIT='$(COMMIT)' docker compose build

.PHONY: demo
demo: build ## Play five nodes through the whole pipeline and show the answer (ARGS='--for 5m')
	bin/flywheel demo $(ARGS)

.PHONY: embedded
embedded: build ## Serve Kafka, schema registry and ClickHouse for use by hand
	bin/flywheel embedded $(ARGS)

.PHONY: test
test: $(GOTESTSUM) library ## Run every test on the embedded engines (PKG=./pkg/config)
	$(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg -- -timeout 25m $(PKG)

# Packages without a test of their own with the tag are left to `test`.
.PHONY: integration
integration: $(GOTESTSUM) build library ## Test against Apache Kafka and a schema registry, which it installs once (needs Java 17 and Maven)
	@packages="$$(grep -rl '^//go:build integration' --include='*_test.go' loadtest pkg services | xargs -n1 dirname | sort -u | sed 's|^|./|')"; \
	$(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg -- -tags integration -count=1 -timeout 30m -p 1 $$packages
	$(GO) run ./loadtest proof --kills 60 --seeds 2000

.PHONY: soak
soak: build library ## Gather a proof ten times as large, in about two hours; an interrupted one goes on (needs Java 17 and Maven)
	$(GO) run ./loadtest proof --kills 600 --seeds 10000 --away 10m --resume

.PHONY: check
check: format modules lint vet fit race ## Format, lint, vet, and race tests of what changed; run before each commit

.PHONY: format
format: $(GOLANGCI_LINT)
	@$(GOLANGCI_LINT) fmt --diff || { echo "the files above are not formatted: run 'make fmt'"; exit 1; }

.PHONY: modules
modules:
	@$(GO) mod tidy -diff || { echo "go.mod and go.sum do not fit the imports: run 'make tidy'"; exit 1; }

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Check style, import arrows and purity
	$(GOLANGCI_LINT) run --allow-serial-runners $(PKG)

.PHONY: vet
vet:
	$(GO) vet $(PKG)
	$(GO) vet -tags integration,mutants,faults $(PKG)

# A mutant whose code has changed would be found in integration only, many minutes later.
.PHONY: fit
fit:
	$(GO) test -tags mutants -run '^TestMutantsFit$$' ./loadtest/mutant

# Pure packages start no goroutine, which lint sees to, so nothing in them can race: their tests run
# plainly, in a tenth of the time. The race detector is part of C: without a compiler all tests do.
PURE := pkg/(event|window|correlate|spike|topology)
.PHONY: race
race: $(GOTESTSUM) library ## Test what changed since the last push, with the race detector
	@packages="$$(.ci/changed)"; \
	if [[ -z $$packages ]]; then echo "no package changed: nothing to test for races"; exit; fi; \
	pure="$$(grep -xE 'flywheel/$(PURE)' <<< "$$packages" || true)"; \
	if [[ -n $$pure ]]; then $(GOTESTSUM) --format pkgname-and-test-fails -- $$pure; fi; \
	packages="$$(grep -vxE 'flywheel/$(PURE)' <<< "$$packages" || true)"; \
	if [[ -z $$packages ]]; then echo "no other package changed: nothing to test for races"; exit; fi; \
	race=-race; \
	if ! command -v "$$($(GO) env CC)" >/dev/null; then \
		race=; echo "no C compiler ($$($(GO) env CC)): testing what changed without the race detector; install gcc to have it"; \
	fi; \
	CGO_ENABLED=$${race:+1} $(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg -- $$race -timeout 25m $$packages

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code
	$(GOLANGCI_LINT) fmt

.PHONY: microbench
microbench: $(BENCHSTAT) library ## Run the benchmarks in Go, and compare with the time before (BENCH=Profile COUNT=6)
	@mkdir -p .cache/bench
	@if [[ -f .cache/bench/new.txt ]]; then mv .cache/bench/new.txt .cache/bench/old.txt; fi
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKG) | tee .cache/bench/new.txt
	@if [[ -f .cache/bench/old.txt ]]; then $(BENCHSTAT) .cache/bench/old.txt .cache/bench/new.txt; fi

# Apache Kafka needs Java and Maven: without them only the embedded engines are
# measured. Part of it is no baseline: with BROKERS or ARGS the table is build/bench.md.
.PHONY: bench
bench: library ## Measure processor, sink and latency with FLYWHEEL-72, in about 20 minutes (build/bench.json, loadtest/BASELINE.md)
	@brokers='$(BROKERS)'; \
	if [[ -n "$$brokers" ]]; then :; \
	elif command -v java >/dev/null && command -v mvn >/dev/null; then brokers=embedded,apache; \
	else brokers=embedded; echo "no Java 17 and Maven: measuring on the embedded engines alone; install both to have Apache Kafka"; fi; \
	$(GO) run ./loadtest bench --brokers $$brokers --binary bin/flywheel --table $(if $(BROKERS)$(ARGS),build/bench.md,loadtest/BASELINE.md) $(ARGS)

.PHONY: simulation
simulation: ## Let the pipeline live through bad days in simulated time (SEEDS=10000 FIRST=1 REPORT=FILE)
	$(GO) test -tags synctests ./loadtest/simulation -run 'TestSeeds$$' -timeout 3h -args -seeds $(SEEDS) -first $(FIRST) $(if $(REPORT),-report $(abspath $(REPORT)))

.PHONY: mutants
mutants: ## Plant mistakes one by one, and see which oracle of the simulation catches each (ONLY=zombie REPORT=FILE)
	$(GO) test -tags mutants ./loadtest/mutant -run '^Test(Mutants|AMutant)' -v -count=1 -timeout 1h -args $(if $(ONLY),-only '$(ONLY)') $(if $(REPORT),-report $(abspath $(REPORT)))

.PHONY: goldens
goldens: ## Rewrite the golden files; read their diff before you commit it
	$(GO) test $$(grep -rlE 'flag\.Bool\("update"' --include='*_test.go' pkg schemas services deploy | xargs -n1 dirname | sort -u | sed 's|^|./|') -update

.PHONY: library
library: build ## Fetch the ClickHouse library of the embedded engines, once
	@bin/flywheel fetch

.PHONY: tidy
tidy: ## Bring go.mod and go.sum in line with the imports
	$(GO) mod tidy

.PHONY: clean
clean: ## Remove what was built and measured; data/ and the fetched library stay
	rm -rf bin build .cache/bin .cache/bench
	@if [[ -e data ]]; then echo "data/ holds the embedded engines' data: remove it by hand if you are done with it"; fi

$(GOLANGCI_LINT): module := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(GOTESTSUM): module := gotest.tools/gotestsum
$(BENCHSTAT): module := golang.org/x/perf/cmd/benchstat

# Built beside and moved into place, so that an interrupted build leaves nothing.
$(TOOLS)/%:
	@echo "building $*, once$(if $(findstring golangci,$*), (this takes a minute or more))"
	@mkdir -p $(TOOLS) && dir="$$(mktemp -d $(TOOLS)/build-XXXXXX)" && trap 'rm -rf "$$dir"' EXIT; \
	GOBIN="$$dir" CGO_ENABLED=0 GOFLAGS=-buildvcs=false $(GO) install $(module)@$(lastword $(subst @, ,$*)); \
	mv "$$dir"/* $@
