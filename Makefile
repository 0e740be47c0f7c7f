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
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: packages-run build ## Start the whole store on this machine, with a PostgreSQL and a Kafka of its own (Ctrl-C stops it)
	@exec build/bin/local

# Without vetting, which is a part of `make verify`.
.PHONY: test
test: packages-test kubernetes $(BIN)/gotestsum $(BIN)/grpcurl npm ## Run every test, against a real PostgreSQL, Kafka broker, Kubernetes API server and browser
	@gotestsum --format pkgname-and-test-fails -- -race -shuffle=on -vet=off -timeout=$(TEST_TIMEOUT) $(PACKAGES)

.PHONY: test-unit
test-unit: ## Run the tests that need nothing installed but Go, and PostgreSQL if it is there (under a minute)
	@go test -vet=off $$(tools/list-packages unit)

.PHONY: test-charts
test-charts: kubernetes $(BIN)/helm $(BIN)/promtool ## Test the Helm charts against a real Kubernetes API server
	@go test -race -shuffle=on -vet=off -tags e2e ./test/charts

.PHONY: bench
bench: packages-bench kubernetes build build-operator ## Measure the store beside bare baselines and print one report
	@go run ./test/bench

.PHONY: generate
generate: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc $(BIN)/controller-gen $(BIN)/helm ## Write what comes from proto/, from the operator's types, from the charts and from the dashboards' code
	@buf generate
	@tools/generate-operator .
	@tools/generate-dashboards .
	@tools/generate-charts .

.PHONY: fmt
fmt: $(BIN)/golangci-lint $(BIN)/buf ## Format Go and proto files
	@golangci-lint fmt
	@buf format --write --path proto/merchstore

.PHONY: lint
lint: packages-verify $(BIN)/golangci-lint ## Look for mistakes in the Go code
	@golangci-lint run

# --- build ------------------------------------------------------------------------------------------------------------

# Every binary is static, so that an image needs nothing else. The logging service links librdkafka, which is C, and is built
# against musl, with threads that have glibc's stack size. The tags leave out what the store does not use: gRPC's trace pages, MessagePack in Gin.
SERVICES      := api db loadgen logging
TAGS          := grpcnotrace,nomsgpack

# Without what only debuggers read.
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
	@CGO_ENABLED=1 CC=musl-gcc go build -trimpath -tags $(TAGS),musl -ldflags '$(LDFLAGS) -linkmode external -extldflags "-static -Wl,-z,stack-size=8388608"' -o build/bin/ ./services/logging

TAG           ?= dev
.PHONY: images
images: packages-images build build-operator ## Put the programs into images, build/images/*.tar, without a container engine
	@tools/build-images $(foreach program,$(SERVICES) operator,merchstore/$(program):$(TAG) $(program))

# --- a Kubernetes cluster ---------------------------------------------------------------------------------------------

CLUSTER_PROGRAMS := coredns etcd metrics-server kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubectl kubelet prometheus
# On kind where Docker runs, otherwise as root on the cluster of `make cluster-up`. Deferred: asked only where it matters.
ENGINE         = $(shell docker info >/dev/null 2>&1 && echo docker || echo none)

# Programs that say which commit they are of would all be others after each.
up dev e2e-kind verify-images: export GOFLAGS += -buildvcs=false
.PHONY: up
up: build build-operator $(BIN)/helm ## Put the whole store on Kubernetes: on kind where Docker runs, otherwise on a cluster without a container engine (as root)
	@$(MAKE) cluster-$(ENGINE)
	@tools/up

.PHONY: dev
dev: packages-run $(BIN)/helm $(BIN)/skaffold ## The same for development: builds and deploys after each change, until Ctrl-C
	@$(MAKE) cluster-$(ENGINE)
	@exec tools/dev $(DEV)

.PHONY: cluster-docker cluster-none
cluster-docker: $(BIN)/kind kubectl-any
	@tools/start-cluster docker
cluster-none: packages-images build-cluster
	@tools/start-cluster none

.PHONY: down
down: ## Remove that cluster, the store and all its data with it
	@$(MAKE) down-$(ENGINE)
	@rm -f build/cluster/env

.PHONY: down-docker down-none
down-docker: $(BIN)/kind
	@KUBECONFIG=$(CURDIR)/build/cluster/kind.kubeconfig:$${KUBECONFIG:-$$HOME/.kube/config} kind delete cluster --name merchstore
down-none: cluster-down

.PHONY: e2e
e2e: up ## Test the store on that cluster, under traffic: updates, scaling, deletions, drained nodes, killed processes, alerts
	@. build/cluster/env && go test -tags e2e -count=1 -timeout=1h -v ./test/e2e -url "$$URL"

# Where Docker runs, it is given the image; the archive is kept anyway.
.PHONY: kind-image
kind-image: kind-programs ## Make a node image for kind, for a machine that reaches no registry (as root; first time: 20 minutes)
	@archive=$$(tools/build-kind-image) && if [ $(ENGINE) = docker ]; then docker load --input "$$archive"; else echo "$$archive"; fi

.PHONY: kind-programs
kind-programs: packages-kind packages-docker build-cluster $(BIN)/kind
	@tools/build-kubernetes crictl kubeadm local-path-provisioner

.PHONY: e2e-kind
e2e-kind: kind-programs build build-operator $(BIN)/helm $(BIN)/skaffold ## Test make up, dev, e2e and down on kind, with a Docker of its own if none runs (as root)
	@tools/e2e-kind

.PHONY: cluster-up
cluster-up: build-cluster ## Start a real Kubernetes cluster on this machine, without a container engine (as root; first time: 15 minutes)
	@build/cluster/cluster up

.PHONY: cluster-down
cluster-down: ## Remove that cluster and all that it made, also after a crash
	@mkdir -p build/cluster
	@CGO_ENABLED=0 go build -trimpath -o build/cluster/ ./test/cluster
	@build/cluster/cluster down

.PHONY: test-cluster
test-cluster: build-cluster ## Test that cluster: what runs in it, and that it leaves nothing behind (as root)
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

# The one that is there, if it is not more than a minor version off, as Kubernetes wants it.
.PHONY: kubectl-any
kubectl-any:
	@tools/link-kubectl || $(MAKE) kubectl

.PHONY: clean
clean: ## Remove what was built: programs, tools and test dependencies (the store's data stays)
	@rm -rf build $(BIN) test/postman/node_modules

# --- verify -----------------------------------------------------------------------------------------------------------

.PHONY: verify
verify: verify-format verify-vet verify-darwin lint verify-proto verify-operator verify-charts verify-images verify-monitoring verify-tidy verify-shell verify-vulnerabilities ## Check everything that can be checked without running it
	@echo 'verify: all clean'

.PHONY: verify-format
verify-format: $(BIN)/golangci-lint $(BIN)/buf
	@golangci-lint fmt --diff
	@buf format --diff --exit-code --path proto/merchstore

.PHONY: verify-vet
verify-vet: packages-verify
	@go vet -tags e2e ./...

# What links librdkafka, also in its tests, or is for Linux only (test/cluster) is left out.
.PHONY: verify-darwin
verify-darwin:
	@packages=$$(tools/list-packages darwin); export GOOS=darwin CGO_ENABLED=0; go build $$packages && go vet $$packages

.PHONY: verify-proto
verify-proto: $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc
	@tools/verify-proto

.PHONY: verify-operator
verify-operator: $(BIN)/controller-gen
	@tools/verify-operator

.PHONY: verify-charts
verify-charts: $(BIN)/helm
	@tools/verify-charts

.PHONY: verify-images
verify-images: packages-images build-loadgen
	@tools/verify-images

.PHONY: verify-monitoring
verify-monitoring: packages-verify
	@tools/verify-monitoring

# Not a part of verify: skaffold takes minutes to build.
.PHONY: verify-skaffold
verify-skaffold: $(BIN)/skaffold $(BIN)/helm ## Check that skaffold understands skaffold.yaml, and render each of its profiles
	@tools/verify-skaffold

.PHONY: verify-tidy
verify-tidy:
	@go mod tidy -diff

.PHONY: verify-shell
verify-shell: packages-verify
	@shellcheck .ci/run $$(grep -rlE '^#!.*\b(ba)?sh\b' tools test/cluster k8s)

.PHONY: verify-vulnerabilities
verify-vulnerabilities: $(BIN)/govulncheck
	@tools/verify-vulnerabilities

# --- what the commands need -------------------------------------------------------------------------------------------

.PHONY: packages-run packages-test packages-bench packages-cluster packages-verify packages-images packages-kind packages-docker
packages-run packages-test packages-bench packages-cluster packages-verify packages-images packages-kind packages-docker: packages-%:
	@tools/install-system-packages $*

$(BIN)/buf:                 PACKAGE := github.com/bufbuild/buf/cmd/buf
$(BIN)/controller-gen:      PACKAGE := sigs.k8s.io/controller-tools/cmd/controller-gen
$(BIN)/golangci-lint:       PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(BIN)/gotestsum:           PACKAGE := gotest.tools/gotestsum
$(BIN)/govulncheck:         PACKAGE := golang.org/x/vuln/cmd/govulncheck
$(BIN)/grpcurl:             PACKAGE := github.com/fullstorydev/grpcurl/cmd/grpcurl
$(BIN)/promtool:            PACKAGE := github.com/prometheus/prometheus/cmd/promtool
$(BIN)/helm:                PACKAGE := helm.sh/helm/v3/cmd/helm
$(BIN)/kind:                PACKAGE := sigs.k8s.io/kind
$(BIN)/protoc-gen-go:       PACKAGE := google.golang.org/protobuf/cmd/protoc-gen-go
$(BIN)/protoc-gen-go-grpc:  PACKAGE := google.golang.org/grpc/cmd/protoc-gen-go-grpc

$(BIN)/buf:                 MODULE := tools/buf
$(BIN)/buf:                 tools/buf/go.mod
$(BIN)/golangci-lint:       MODULE := tools/lint
$(BIN)/helm:                MODULE := tools/helm
$(BIN)/helm:                tools/helm/go.mod
# Without a cluster, helm takes the version of Kubernetes from its build.
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
$(addprefix $(BIN)/,controller-gen gotestsum govulncheck grpcurl kind protoc-gen-go protoc-gen-go-grpc): MODULE := tools
$(addprefix $(BIN)/,controller-gen gotestsum govulncheck grpcurl kind protoc-gen-go protoc-gen-go-grpc): tools/go.mod

.PHONY: kubernetes
kubernetes: ## Build the Kubernetes API server, etcd and kubectl that the tests use (once; ten minutes)
	@tools/build-kubernetes etcd kube-apiserver kubectl

$(BIN)/%:
	@echo 'building $(@F) (only this once)'
	@CGO_ENABLED=0 go build -C $(MODULE) $(FLAGS) -o $@ $(PACKAGE)
	@touch $@

# What tests have from npm; its own record of what it installed serves as the stamp.
NPM := $(patsubst %/package-lock.json,%/node_modules/.package-lock.json,$(wildcard test/*/package-lock.json))
.PHONY: npm
npm: $(NPM)

$(NPM): %/node_modules/.package-lock.json: %/package-lock.json
	@npm ci --prefix $* --no-audit --no-fund --loglevel=error
	@touch $@
