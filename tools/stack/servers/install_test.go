package servers_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pixelwall/tools/stack/servers"
	"pixelwall/tools/stack/stacktest"
)

func TestARegistryOutOfReachIsToldInOneLine(t *testing.T) {
	if _, err := exec.LookPath("mvn"); err != nil {
		stacktest.Missing(t, "Maven", err.Error())
	}
	home, cache := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".m2"), 0o755); err != nil {
		t.Fatal(err)
	}
	settings := `<settings><mirrors><mirror><id>none</id><mirrorOf>*</mirrorOf><url>http://127.0.0.1:1/</url></mirror></mirrors></settings>`
	if err := os.WriteFile(filepath.Join(home, ".m2", "settings.xml"), []byte(settings), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MAVEN_OPTS", "-Duser.home="+home)
	o := servers.Options{Kafka: &servers.KafkaOptions{Brokers: 1}, Dir: t.TempDir(), Cache: cache, Install: true}
	_, err := servers.Up(t.Context(), o)
	var missing *servers.MissingError
	if !errors.As(err, &missing) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("Up = %v, want one line that names the host", err)
	}
	if left, _ := os.ReadDir(cache); len(left) > 0 {
		t.Errorf("%s stays behind", left[0].Name())
	}
	if left, _ := os.ReadDir(o.Dir); len(left) > 0 {
		t.Errorf("a failed start leaves %s", left[0].Name())
	}
	o.SkipMissing = true
	stack, err := servers.Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(stack.All()) != 0 || len(stack.Missing) != 1 || stack.Missing[0] != missing.Error() {
		t.Errorf("a server that cannot be had leaves %+v", stack)
	}
}
