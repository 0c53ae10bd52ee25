# Flywheel. `make help` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
export CGO_ENABLED ?= 0

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the binary at bin/flywheel
	$(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/flywheel ./services/flywheel

.PHONY: test
test: ## Run every test on the embedded engines
	$(GO) test ./...

.PHONY: check
check: ## Format and vet; run before each commit
	@test -z "$$(gofmt -l services)" || { gofmt -l services; echo "run gofmt -w on these files"; exit 1; }
	$(GO) vet ./...
