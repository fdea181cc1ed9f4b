# Two commands do everything: `go run ./edge` runs the product, `make test`
# installs what the tests need and runs them all.

FUZZTIME ?= 60s
GO       ?= go
CACHE    := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pixelwall
export PATH := $(CACHE)/venv/bin:$(PATH)

.PHONY: all build deps web lint test test-cql race fuzz bench soak drain chaos chaos-short
all: lint test race

build:
	$(GO) build -o bin/ ./edge ./loadtest

# A folder with recorded traces, .pxt.gz. What needs one is left out without it.
override TRACES := $(abspath $(TRACES))
export TRACES

# What tests need beside Go: a browser, the Autobahn cases, TypeScript, and the
# servers of a cluster.
deps:
	@tools/deps/install

web:
	$(GO) generate ./edge/web

lint: deps
	@tools/deps/lint

# Against a real Redis, Kafka and Cassandra, which live as long as the tests.
test: deps
	@tools/deps/test -timeout 30m ./...

# The CQL store against a ScyllaDB or Cassandra of yours: make test-cql CQL=host:port
test-cql:
	@test -n "$(CQL)" || { echo "make test-cql CQL=host:port"; exit 1; }
	PIXELWALL_TEST_SCYLLA=$(CQL) $(GO) test -count=1 -timeout 20m ./persist/scylla/...

# Everything but browser, Autobahn and replay, which -short leaves out.
race:
	@tools/deps/test -race -short -timeout 20m ./...

# Every fuzz target for FUZZTIME.
fuzz:
	@tools/deps/fuzz $(FUZZTIME)

# Figures with a time in them, each with a bound and an exit code.
bench:
	@tools/deps/bench

# Three edges over three brokers and three CQL nodes, a recorded r/place, and
# everything killed once: make soak TRACE=place.pxt.gz. loadtest pack makes one of the
# events that Reddit published, with its PALETTE=place.palette.
soak: deps
	@test -n "$(TRACE)" || { echo "make soak TRACE=place.pxt.gz"; exit 1; }
	PIXELWALL_SOAK_TRACE=$(abspath $(TRACE)) PIXELWALL_SOAK_PALETTE=$(or $(abspath $(wildcard $(PALETTE))),$(PALETTE)) $(GO) test -count=1 -timeout 90m -run '^TestSoak$$' -v ./tools/chaos

# A log of a million placements is archived while the worker is killed five times
# and its CQL node twice.
drain: deps
	$(GO) test -count=1 -timeout 40m -run '^TestDrain$$' -v ./tools/chaos -drain.events $(or $(EVENTS),1000000)

# Faults over real servers, under the load of real clients: all of them, or those
# that CHAOS names (CHAOS=T4,T9); SEED repeats a run.
chaos: deps
	@SEED=$(SEED) tools/deps/chaos "$(or $(CHAOS),all)"

# The faults that every change has to survive.
chaos-short: deps
	@SEED=$(SEED) tools/deps/chaos short
