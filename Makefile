# Every recipe finds the checkout's own tools first, the current Node among them.
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(PATH):/usr/sbin:/sbin
IMAGE ?= sip-router-operator:dev
IMAGE_KAMAILIO ?= sip-router-kamailio:dev
IMAGE_STANDALONE ?= sip-router-standalone:dev

.DEFAULT_GOAL := help
.PHONY: help packages manifests bench demo test check e2e format crds image image-kamailio image-standalone clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

packages:
	@hack/install-packages

demo: packages ## real calls through a router on this machine (KEEP=1 leaves it running)
	@hack/demo/run

test: packages ## all tests: unit, data plane, integration; installs what they need
	@hack/run-tests

check: packages ## types, lint, format, generated files, scripts, documentation
	@hack/check

e2e: packages ## real phones and PBXes on the cluster that KUBECONFIG names (SCENARIOS="forward edge"; docs/testing.md)
	@hack/e2e/run $(SCENARIOS)

format: packages ## formats the sources
	@oxfmt .

bench: packages ## what a call costs beside a minimal proxy, what a change takes, how the operator grows
	@hack/install-programs kamailio sipp
	@node hack/bench/main.ts
	@node hack/bench/registrations.ts
	@node hack/kube-assets/main.ts >/dev/null
	@node hack/bench/change.ts
	@node hack/bench/scale.ts

manifests: packages ## generates config/, charts/ and crds/ from src/api and hack/manifests
	@node hack/generate.ts

crds: packages ## generates crds/ and the API reference from src/api
	@node hack/generate.ts

image: ## container image of the operator (IMAGE=name:tag), by docker, podman or buildah
	@hack/image/build operator $(IMAGE)

image-kamailio: ## container image of Kamailio with a router's modules (IMAGE_KAMAILIO=name:tag)
	@hack/image/build kamailio $(IMAGE_KAMAILIO)

image-standalone: ## both in one image, for compose.yaml (IMAGE_STANDALONE=name:tag)
	@OPERATOR_IMAGE=$(IMAGE) BASE_IMAGE=$(IMAGE_KAMAILIO) hack/image/build standalone $(IMAGE_STANDALONE)

clean: ## removes what was built (not the installed packages)
	rm -rf dist .cache
