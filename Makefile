# The commands of this project; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
MAKEFLAGS     += --no-print-directory
.DELETE_ON_ERROR:
# The Go tool uses all cores as it is, and apt can only run once at a time.
.NOTPARALLEL:

# Tools are built from the versions pinned in tools/, each only when a target needs it.
BIN           := $(CURDIR)/.bin
export PATH   := $(BIN):$(PATH)

TEST_TIMEOUT  ?= 25m
# Narrows `make test`, for example: make test PACKAGES=./services/db/...
PACKAGES      ?= ./...

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: packages-run build ## Start the whole store on this machine, with a PostgreSQL and a Kafka of its own (Ctrl-C stops it)
	@exec build/bin/local

.PHONY: test
test: packages-test $(BIN)/gotestsum $(BIN)/grpcurl newman ## Run every test, against a real PostgreSQL and a real Kafka broker
	@gotestsum --format pkgname-and-test-fails -- -race -shuffle=on -timeout=$(TEST_TIMEOUT) $(PACKAGES)

.PHONY: bench
bench: packages-bench build ## Measure the store beside bare baselines and print one report
	@go run ./test/bench

.PHONY: generate
generate: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc ## Write the Go code that comes from proto/
	@buf generate

.PHONY: fmt
fmt: $(BIN)/golangci-lint $(BIN)/buf ## Format Go and proto files
	@golangci-lint fmt
	@buf format --write --path proto/merchstore

.PHONY: lint
lint: packages-verify $(BIN)/golangci-lint ## Look for mistakes in the Go code
	@golangci-lint run

# --- build ------------------------------------------------------------------------------------------------------------

# Every binary is static, so that an image needs nothing else. librdkafka is C: what links it is built against musl.
PROGRAMS      := api db local
C_PROGRAMS    := logging

.PHONY: build
build: packages-run ## Build the programs into build/bin/, statically linked
	@mkdir -p build/bin
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o build/bin/ $(addprefix ./services/,$(PROGRAMS))
	@CGO_ENABLED=1 CC=musl-gcc go build -trimpath -tags musl -ldflags '-s -w -linkmode external -extldflags "-static"' \
		-o build/bin/ $(addprefix ./services/,$(C_PROGRAMS))

.PHONY: clean
clean: ## Remove what was built: programs, tools and test dependencies (the store's data stays)
	@rm -rf build $(BIN) test/postman/node_modules

# --- verify -----------------------------------------------------------------------------------------------------------

.PHONY: verify
verify: verify-format verify-vet lint verify-proto verify-tidy verify-shell verify-vulnerabilities ## Check everything that can be checked without running it
	@echo 'verify: all clean'

.PHONY: verify-format
verify-format: $(BIN)/golangci-lint $(BIN)/buf
	@golangci-lint fmt --diff
	@buf format --diff --exit-code --path proto/merchstore

.PHONY: verify-vet
verify-vet: packages-verify
	@go vet ./...

.PHONY: verify-proto
verify-proto: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc
	@tools/verify-proto

.PHONY: verify-tidy
verify-tidy:
	@go mod tidy -diff

.PHONY: verify-shell
verify-shell: packages-verify
	@shellcheck .ci/run $$(grep -rlE '^#!.*\b(ba)?sh\b' tools)

.PHONY: verify-vulnerabilities
verify-vulnerabilities: $(BIN)/govulncheck
	@tools/verify-vulnerabilities

# --- what the commands need -------------------------------------------------------------------------------------------

.PHONY: packages-run packages-test packages-bench packages-verify
packages-run packages-test packages-bench packages-verify: packages-%:
	@tools/install-system-packages $*

$(BIN)/buf:                 PACKAGE := github.com/bufbuild/buf/cmd/buf
$(BIN)/golangci-lint:       PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(BIN)/gotestsum:           PACKAGE := gotest.tools/gotestsum
$(BIN)/govulncheck:         PACKAGE := golang.org/x/vuln/cmd/govulncheck
$(BIN)/grpcurl:             PACKAGE := github.com/fullstorydev/grpcurl/cmd/grpcurl
$(BIN)/protoc-gen-go:       PACKAGE := google.golang.org/protobuf/cmd/protoc-gen-go
$(BIN)/protoc-gen-go-grpc:  PACKAGE := google.golang.org/grpc/cmd/protoc-gen-go-grpc

$(BIN)/buf:                 MODULE := tools/buf
$(BIN)/buf:                 tools/buf/go.mod
$(BIN)/golangci-lint:       MODULE := tools/lint
$(BIN)/golangci-lint:       tools/lint/go.mod
$(addprefix $(BIN)/,gotestsum govulncheck grpcurl protoc-gen-go protoc-gen-go-grpc): MODULE := tools
$(addprefix $(BIN)/,gotestsum govulncheck grpcurl protoc-gen-go protoc-gen-go-grpc): tools/go.mod

$(BIN)/%:
	@echo 'building $(@F) (only this once)'
	@CGO_ENABLED=0 go build -C $(MODULE) -o $@ $(PACKAGE)
	@touch $@

# npm's own record of what it installed serves as the stamp.
NEWMAN := test/postman/node_modules/.package-lock.json
.PHONY: newman
newman: $(if $(wildcard test/postman/package-lock.json),$(NEWMAN))

$(NEWMAN): test/postman/package-lock.json
	@npm ci --prefix test/postman --no-audit --no-fund --loglevel=error
	@touch $@
