# Two commands do everything: `go run ./edge` runs the product, `make test`
# installs what the tests need and runs them all.

FUZZTIME ?= 60s
GO       ?= go
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pixelwall
export PATH := $(CACHE)/venv/bin:$(PATH)

.PHONY: all build deps web lint test race fuzz bench
all: lint test race

build:
	$(GO) build -o bin/ ./edge ./loadtest

# What tests need beside Go: a browser, the Autobahn cases, TypeScript.
deps:
	@tools/deps/install

web:
	$(GO) generate ./edge/web

lint: deps
	@tools/deps/lint

test: deps
	$(GO) test -timeout 20m ./...

# Everything but browser, Autobahn and replay, which -short leaves out.
race:
	$(GO) test -race -short -timeout 20m ./...

# Every fuzz target for FUZZTIME.
fuzz:
	@tools/deps/fuzz $(FUZZTIME)

# Figures with a time in them, each with a bound and an exit code.
bench:
	@tools/deps/bench
