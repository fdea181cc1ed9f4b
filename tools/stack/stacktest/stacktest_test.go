package stacktest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pixelwall/tools/stack/stacktest"
)

const asked = "STACKTEST_ASKED" // set in the processes that the tests here start

// TestThatNeedsKafka is what the tests below run as go test would.
func TestThatNeedsKafka(t *testing.T) {
	if os.Getenv(asked) == "" {
		return
	}
	t.Logf("brokers: %q", stacktest.Kafka(t))
}

func needKafka(t *testing.T, env ...string) (out string, err error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestThatNeedsKafka$", "-test.v")
	cmd.Env = append(os.Environ(), asked+"=1", "CI=", "PIXELWALL_TEST_KAFKA=", "PIXELWALL_TEST_MISSING=")
	cmd.Env = append(cmd.Env, env...)
	text, err := cmd.CombinedOutput()
	return string(text), err
}

func TestATestGetsTheAddresses(t *testing.T) {
	out, err := needKafka(t, "PIXELWALL_TEST_KAFKA=127.0.0.1:1,127.0.0.1:2")
	if err != nil || !strings.Contains(out, `brokers: ["127.0.0.1:1" "127.0.0.1:2"]`) {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestATestWithoutItsServerIsNoted(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "notes")
	for range 2 {
		out, err := needKafka(t, "PIXELWALL_TEST_MISSING="+notes)
		if err != nil || !strings.Contains(out, "--- SKIP: TestThatNeedsKafka") || !strings.Contains(out, "needs Apache Kafka: PIXELWALL_TEST_KAFKA is not set: run make test") {
			t.Errorf("%v:\n%s", err, out)
		}
	}
	const line = "stacktest.TestThatNeedsKafka needs Apache Kafka\n"
	if text, err := os.ReadFile(notes); err != nil || string(text) != line+line {
		t.Errorf("noted %q, %v", text, err)
	}
}

func TestInCIAMissingServerIsAFailure(t *testing.T) {
	out, err := needKafka(t, "CI=true")
	if err == nil || !strings.Contains(out, "--- FAIL: TestThatNeedsKafka") {
		t.Errorf("%v:\n%s", err, out)
	}
}
