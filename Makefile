# The commands of this project. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL         := bash
.SHELLFLAGS   := -euo pipefail -c
MAKEFLAGS     += --no-print-directory
.DELETE_ON_ERROR:
# The Go tool already uses all cores, and apt cannot run twice at a time.
.NOTPARALLEL:

# Tools are built from the versions pinned in tools/, each only when a target needs it.
BIN           := $(CURDIR)/.bin
export PATH   := $(BIN):$(PATH)

TEST_TIMEOUT  ?= 25m
RELEASE_TOOLS := $(BIN)/cosign $(BIN)/cyclonedx-gomod $(BIN)/helm $(BIN)/ziglang/zig
# Narrows `make test`, for example: make test PACKAGES=./services/db/...
# The packages that take longest come first, so that none of them runs alone at the end.
PACKAGES      ?= ./operator ./test/store ./test/browser ./services/db ./test/monitoring ./...
# Narrows `make e2e`, for example: make e2e TESTS=TestStore
TESTS         ?= TestStore|TestAlerts

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: packages-run build ## Start the whole store on this machine, with its own PostgreSQL and Kafka (Ctrl-C stops it)
	@exec build/bin/local

# Without vet, which is part of `make verify`.
.PHONY: test
test: packages-test kubernetes $(BIN)/gotestsum $(BIN)/grpcurl $(BIN)/schemathesis npm ## Run every test, against a real PostgreSQL, Kafka broker, Kubernetes API server and browser
	@gotestsum --format pkgname-and-test-fails -- -race -shuffle=on -vet=off -timeout=$(TEST_TIMEOUT) $(PACKAGES)

.PHONY: test-unit
test-unit: ## Run the tests that need only Go, and PostgreSQL where it is installed (a minute or two)
	@go test -vet=off $$(tools/list-packages unit)

# Without the race detector: the code under test runs in other processes.
.PHONY: test-charts
test-charts: packages-test kubernetes $(BIN)/helm $(BIN)/promtool ## Test the Helm charts against a real Kubernetes API server, and Kafka's scripts with a real Kafka
	@go test -shuffle=on -vet=off -timeout=$(TEST_TIMEOUT) -tags e2e ./test/charts

.PHONY: pictures
pictures: packages-test kubernetes $(BIN)/promtool ## Draw the pictures of docs/dashboards.md, from a store that runs under load for five minutes
	@mkdir -p docs/dashboards
	@go test -count=1 -vet=off -timeout=$(TEST_TIMEOUT) -run '^TestARunningStoreIsSeen$$' ./test/monitoring -pictures $(CURDIR)/docs/dashboards

# How long event streams are open: make test-gateway STREAM=10m
STREAM        ?= 20s
.PHONY: test-gateway
test-gateway: packages-test kubernetes $(BIN)/helm $(BIN)/traefik ## Test Ingress and HTTPRoute with a real gateway, in a network namespace (as root; first time: ten minutes)
	@unshare --net bash -ec 'ip link set lo up; ip address add 198.18.1.1/24 dev lo; \
		exec go test -race -vet=off -tags e2e -count=1 -timeout=$(TEST_TIMEOUT) -v ./test/gateway -stream $(STREAM)'

.PHONY: test-release
test-release: $(RELEASE_TOOLS) ## Test `make release`: run it twice, compare, verify the signatures
	@go test -race -vet=off -tags e2e -count=1 -timeout=$(TEST_TIMEOUT) -run TestRelease ./release

.PHONY: test-install
test-install: cluster-up $(RELEASE_TOOLS) ## Install a release from the registry of that cluster, see cluster-up (as root)
	@go test -vet=off -tags e2e -count=1 -timeout=$(TEST_TIMEOUT) -run TestInstall -v ./release

.PHONY: bench
bench: packages-bench kubernetes build build-operator ## Measure the store beside bare baselines and print one report
	@go run ./test/bench

.PHONY: generate
generate: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc $(BIN)/controller-gen $(BIN)/helm $(BIN)/helm-docs ## Write the files that are generated from proto/, the operator's types, the charts and the dashboards' code
	@buf generate
	@tools/generate-operator .
	@tools/generate-dashboards .
	@tools/generate-charts .
	@helm-docs --chart-search-root charts/merchstore --sort-values-order file --log-level warning

.PHONY: fmt
fmt: $(BIN)/golangci-lint $(BIN)/buf ## Format Go and proto files
	@golangci-lint fmt
	@buf format --write --path proto/merchstore

# Includes vet.
.PHONY: lint
lint: packages-verify $(BIN)/golangci-lint ## Lint the Go code
	@golangci-lint run

# --- build ----------------------------------------------------------------------------------------

# Every binary is static, so that an image needs nothing else. The logging service links librdkafka,
# which is C, against musl, with glibc's stack size for threads. The tags exclude unused code:
# gRPC's trace pages and Gin's MessagePack.
SERVICES      := api db loadgen logging
TAGS          := grpcnotrace,nomsgpack
STATIC        := -extldflags "-static -Wl,-z,stack-size=8388608"

# Without symbols and debugging data.
LDFLAGS       ?= -s -w
GO_BUILD      := CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o build/bin/

.PHONY: build
build: build-logging ## Build the programs into build/bin/, statically linked
	@$(GO_BUILD) ./services/api ./services/db ./services/loadgen ./services/local

.PHONY: build-operator
build-operator: ## Build the operator into build/bin/, statically linked
	@$(GO_BUILD) ./operator

# One program, for tools/build-artifact.
.PHONY: build-api build-db build-loadgen build-logging
build-api build-db build-loadgen: build-%:
	@$(GO_BUILD) ./services/$*
build-logging: packages-run
	@CGO_ENABLED=1 CC=musl-gcc go build -trimpath -tags $(TAGS),musl -ldflags '$(LDFLAGS) -linkmode external $(STATIC)' -o build/bin/ ./services/logging

# The programs of a release. zig is the same C compiler and musl on every machine, and links for
# other processors. With -g, which is Go's default, it links debugging data in spite of -s.
BUILD_RELEASE := env GOFLAGS=-buildvcs=false GOOS=linux GOAMD64=v1 GOARM64=v8.0 CGO_CFLAGS=-O2 CGO_LDFLAGS=-O2
.PHONY: build-release build-release-amd64 build-release-arm64
build-release: build-release-amd64 build-release-arm64
build-release-amd64: ZIG_TARGET := x86_64-linux-musl
build-release-arm64: ZIG_TARGET := aarch64-linux-musl
build-release-amd64 build-release-arm64: build-release-%: $(BIN)/ziglang/zig
	@mkdir -p build/release/$*
	@$(BUILD_RELEASE) GOARCH=$* CGO_ENABLED=0 go build -trimpath -tags $(TAGS) -ldflags '-s -w' -o build/release/$*/ ./services/api ./services/db ./services/loadgen ./operator
	@$(BUILD_RELEASE) GOARCH=$* CGO_ENABLED=1 CC='$(BIN)/ziglang/zig cc -target $(ZIG_TARGET)' go build -trimpath -tags $(TAGS),musl -ldflags '-s -w -linkmode external $(STATIC)' -o build/release/$*/ ./services/logging

.PHONY: release
release: $(RELEASE_TOOLS) build-release ## Publish images and the chart: make release VERSION=1.2.3 REGISTRY=registry.example.com/merchstore SIGNING_KEY=cosign.key
	@go run ./release

TAG           ?= dev
.PHONY: images
images: packages-images build build-operator ## Build images of the programs, build/images/*.tar, without a container engine
	@tools/build-images $(foreach program,$(SERVICES) operator,merchstore/$(program):$(TAG) $(program))

# --- a Kubernetes cluster -------------------------------------------------------------------------

CLUSTER_PROGRAMS := coredns etcd metrics-server kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet prometheus
# docker selects kind, none the cluster of `make cluster-up`. Deferred, as most targets need neither.
ENGINE         = $(shell docker info >/dev/null 2>&1 && echo docker || echo none)

# With the commit stamped into them, all programs would change with every commit.
up dev e2e-kind e2e-production verify-images: export GOFLAGS += -buildvcs=false
.PHONY: up
up: build build-operator $(BIN)/helm ## Run the whole store on Kubernetes: on kind if Docker runs, otherwise on a cluster without a container engine (as root)
	@$(MAKE) cluster-$(ENGINE)
	@tools/up

.PHONY: dev
dev: packages-run $(BIN)/helm $(BIN)/skaffold ## Deploy to that cluster for development: build and deploy after each change, until Ctrl-C
	@$(MAKE) cluster-$(ENGINE)
	@exec tools/dev $(DEV)

.PHONY: cluster-docker cluster-none
cluster-docker: $(BIN)/kind kubectl-any
	@tools/start-cluster docker
cluster-none: packages-images build-cluster
	@tools/start-cluster none

.PHONY: down
down: ## Remove that cluster, with the store and all its data
	@$(MAKE) down-$(ENGINE)
	@rm -rf build/cluster/{env,kubecache}

.PHONY: down-docker down-none
down-docker: $(BIN)/kind
	@KUBECONFIG=$(CURDIR)/build/cluster/kind.kubeconfig:$${KUBECONFIG:-$$HOME/.kube/config} kind delete cluster --name merchstore
down-none: cluster-down

.PHONY: e2e
e2e: up ## Test the store on that cluster, under traffic: updates, scaling, deletions, drained nodes, killed processes, alerts
	@. build/cluster/env && go test -tags e2e -count=1 -timeout=1h -v -run '$(TESTS)' ./test/e2e -url "$$URL"

.PHONY: e2e-production
e2e-production: export KUBECONFIG := /var/lib/merchstore-cluster/kubeconfig
e2e-production: packages-images build-cluster build build-operator $(BIN)/helm ## Follow docs/production.md on that cluster, without a store, and test how the store survives failures (as root)
	@tools/build-kubernetes cloudnative-pg
	@build/cluster/cluster up >/dev/null
	@build/cluster/cluster infrastructure
	@build/cluster/cluster cloudnative-pg
	@ENGINE=none tools/load-images
	@PATH=$(CURDIR)/build/cluster:$$PATH go test -tags e2e -count=1 -timeout=1h -v -run TestProduction ./test/e2e -url http://198.18.0.11:30081

# Loads the image into Docker if it runs. The archive is kept in the user's cache.
.PHONY: kind-image
kind-image: kind-programs ## Build a node image for kind, for machines without access to a registry (as root; first time: 20 minutes)
	@archive=$$(tools/build-kind-image) && if [ $(ENGINE) = docker ]; then docker load --input "$$archive"; else echo "$$archive"; fi

.PHONY: kind-programs
kind-programs: packages-kind packages-docker build-cluster $(BIN)/kind
	@tools/build-kubernetes crictl kubeadm local-path-provisioner

.PHONY: e2e-kind
e2e-kind: kind-programs build build-operator $(BIN)/helm $(BIN)/skaffold ## Test make up, dev, e2e and down on kind, with a temporary Docker if none runs (as root)
	@tools/e2e-kind

.PHONY: cluster-up
cluster-up: build-cluster ## Start a real Kubernetes cluster on this machine, without a container engine (as root; first time: 15 minutes)
	@build/cluster/cluster up

.PHONY: cluster-down
cluster-down: ## Remove that cluster and everything it created, also after a crash
	@mkdir -p build/cluster
	@CGO_ENABLED=0 go build -trimpath -o build/cluster/ ./test/cluster
	@build/cluster/cluster down

.PHONY: test-cluster
test-cluster: build-cluster ## Test that cluster, and that it leaves nothing behind (as root)
	@go test -tags e2e -count=1 -timeout=$(TEST_TIMEOUT) ./test/cluster

.PHONY: build-cluster
build-cluster: packages-cluster
	@tools/build-kubernetes $(CLUSTER_PROGRAMS)
	@mkdir -p build/cluster
	@CGO_ENABLED=0 go build -trimpath -o build/cluster/ ./test/cluster ./test/cluster/pause
	@$(MAKE) kubectl

.PHONY: kubectl
kubectl:
	@tools/build-kubernetes kubectl
	@mkdir -p build/cluster
	@ln -sf "$${XDG_CACHE_HOME:-$$HOME/.cache}/merchstore/kubernetes-$$(go list -C tools/kubernetes -m -f '{{.Version}}' k8s.io/kubernetes)/kubectl" build/cluster/

# A kubectl on PATH is used if it is within one minor version of the cluster.
.PHONY: kubectl-any
kubectl-any:
	@tools/link-kubectl || $(MAKE) kubectl

.PHONY: clean
clean: ## Remove built programs, tools and test dependencies (the store's data stays)
	@rm -rf build $(BIN) test/postman/node_modules

# --- verify ---------------------------------------------------------------------------------------

.PHONY: verify
verify: verify-format verify-darwin lint verify-proto verify-operator verify-charts verify-images verify-monitoring verify-workflows verify-tidy verify-shell verify-vulnerabilities ## Check everything that can be checked without running the store
	@echo 'verify: all clean'

.PHONY: verify-format
verify-format: $(BIN)/golangci-lint $(BIN)/buf
	@golangci-lint fmt --diff
	@buf format --diff --exit-code --path proto/merchstore

# Excludes packages that link librdkafka, also in their tests, and those for Linux only
# (test/cluster).
.PHONY: verify-darwin
verify-darwin:
	@packages=$$(tools/list-packages darwin); export GOOS=darwin CGO_ENABLED=0; \
	go build $$(go list -f '{{if .GoFiles}}{{.ImportPath}}{{end}}' $$packages) && go vet $$packages

.PHONY: verify-proto
verify-proto: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc
	@tools/verify-proto

.PHONY: verify-operator
verify-operator: $(BIN)/controller-gen
	@tools/verify-operator

.PHONY: verify-charts
verify-charts: $(BIN)/helm $(BIN)/helm-docs
	@tools/verify-charts

.PHONY: verify-images
verify-images: packages-images build-loadgen
	@tools/verify-images

.PHONY: verify-monitoring
verify-monitoring: packages-verify
	@tools/verify-monitoring

# Not part of verify, because building skaffold takes minutes.
.PHONY: verify-skaffold
verify-skaffold: $(BIN)/skaffold $(BIN)/helm ## Check skaffold.yaml, and render each of its profiles
	@tools/verify-skaffold

.PHONY: verify-workflows
verify-workflows: packages-verify $(BIN)/actionlint
	@actionlint

.PHONY: verify-tidy
verify-tidy:
	@go mod tidy -diff

.PHONY: verify-shell
verify-shell: packages-verify
	@shellcheck .ci/run $$(grep -rlE '^#!.*\b(ba)?sh\b' tools test/cluster k8s)

.PHONY: verify-vulnerabilities
verify-vulnerabilities: $(BIN)/govulncheck
	@tools/verify-vulnerabilities

# --- prerequisites --------------------------------------------------------------------------------

.PHONY: packages-run packages-test packages-bench packages-cluster packages-verify packages-images packages-kind packages-docker packages-release
packages-run packages-test packages-bench packages-cluster packages-verify packages-images packages-kind packages-docker packages-release: packages-%:
	@tools/install-system-packages $*

$(BIN)/actionlint:          PACKAGE := github.com/rhysd/actionlint/cmd/actionlint
$(BIN)/buf:                 PACKAGE := github.com/bufbuild/buf/cmd/buf
$(BIN)/controller-gen:      PACKAGE := sigs.k8s.io/controller-tools/cmd/controller-gen
$(BIN)/cosign:              PACKAGE := github.com/sigstore/cosign/v3/cmd/cosign
$(BIN)/cyclonedx-gomod:     PACKAGE := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
$(BIN)/golangci-lint:       PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(BIN)/gotestsum:           PACKAGE := gotest.tools/gotestsum
$(BIN)/govulncheck:         PACKAGE := golang.org/x/vuln/cmd/govulncheck
$(BIN)/grpcurl:             PACKAGE := github.com/fullstorydev/grpcurl/cmd/grpcurl
$(BIN)/promtool:            PACKAGE := github.com/prometheus/prometheus/cmd/promtool
$(BIN)/helm:                PACKAGE := helm.sh/helm/v3/cmd/helm
$(BIN)/helm-docs:           PACKAGE := github.com/norwoodj/helm-docs/cmd/helm-docs
$(BIN)/kind:                PACKAGE := sigs.k8s.io/kind
$(BIN)/protoc-gen-go:       PACKAGE := google.golang.org/protobuf/cmd/protoc-gen-go
$(BIN)/protoc-gen-go-grpc:  PACKAGE := google.golang.org/grpc/cmd/protoc-gen-go-grpc

$(BIN)/buf:                 MODULE := tools/buf
$(BIN)/buf:                 tools/buf/go.mod
$(BIN)/cosign $(BIN)/cyclonedx-gomod: MODULE := tools/release
$(BIN)/cosign $(BIN)/cyclonedx-gomod: FLAGS := -gcflags=all=-dwarf=false -ldflags '-s -w'
$(BIN)/cosign $(BIN)/cyclonedx-gomod: tools/release/go.mod
$(BIN)/golangci-lint:       MODULE := tools/lint
$(BIN)/helm $(BIN)/helm-docs: MODULE := tools/helm
$(BIN)/helm $(BIN)/helm-docs: tools/helm/go.mod
# Without a cluster, helm assumes the Kubernetes version that it was built with.
$(BIN)/helm:                FLAGS := -ldflags '-s -w $(foreach part,pkg/chartutil pkg/lint/rules,\
	-X helm.sh/helm/v3/$(part).k8sVersionMajor=1 -X helm.sh/helm/v3/$(part).k8sVersionMinor=36)'
$(BIN)/golangci-lint:       tools/lint/go.mod
$(BIN)/promtool:            MODULE := tools/prometheus
$(BIN)/promtool:            FLAGS := -tags remove_all_sd,enable_kubernetes_sd
$(BIN)/promtool:            tools/prometheus/go.mod
$(BIN)/dlv:                 PACKAGE := github.com/go-delve/delve/cmd/dlv
$(BIN)/dlv:                 MODULE := tools/delve
$(BIN)/dlv:                 tools/delve/go.mod
$(BIN)/skaffold:            PACKAGE := github.com/GoogleContainerTools/skaffold/v2/cmd/skaffold
$(BIN)/skaffold:            MODULE := tools/skaffold
$(BIN)/skaffold:            tools/skaffold/go.mod
$(addprefix $(BIN)/,actionlint controller-gen gotestsum govulncheck grpcurl kind protoc-gen-go protoc-gen-go-grpc): MODULE := tools
$(addprefix $(BIN)/,actionlint controller-gen gotestsum govulncheck grpcurl kind protoc-gen-go protoc-gen-go-grpc): tools/go.mod

.PHONY: kubernetes
kubernetes: ## Build the Kubernetes API server, etcd and kubectl that the tests use (once; ten minutes)
	@tools/build-kubernetes etcd kube-apiserver kubectl

$(BIN)/%:
	@tools/build-tool $@ $(MODULE) $(PACKAGE) $(FLAGS)

$(BIN)/traefik: tools/traefik/go.mod tools/build-traefik
	@echo 'building traefik (only the first time; five minutes)'
	@tools/build-traefik $@

# zig comes as a Python package.
$(BIN)/ziglang/zig: tools/release/requirements.txt
	@$(MAKE) packages-release
	@echo 'installing zig (only this once)'
	@pip3 install --quiet --root-user-action=ignore --disable-pip-version-check --no-deps --require-hashes --upgrade --target $(BIN) --requirement $<
	@touch $@

# Generates requests from the OpenAPI document; a Python program, in an environment of its own.
$(BIN)/schemathesis: test/openapi/requirements.txt
	@echo 'installing $(@F) (only the first time)'
	@python3 -m venv --clear $(BIN)/python
	@$(BIN)/python/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	@ln -sf python/bin/schemathesis $@

# npm packages of the tests. npm's own lock of what is installed is the stamp.
NPM := $(patsubst %/package-lock.json,%/node_modules/.package-lock.json,$(wildcard test/*/package-lock.json))
.PHONY: npm
npm: $(NPM)

$(NPM): %/node_modules/.package-lock.json: %/package-lock.json
	@npm ci --prefix $* --no-audit --no-fund --loglevel=error
	@touch $@
