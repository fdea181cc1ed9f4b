package servers

import (
	"os"
	"slices"
	"strings"
)

// settings joins our lines with those that win over them, because a setting
// that is there twice is added up by one server, refused by the next and
// overwritten by the third. sep ends a setting's name.
func settings(ours, extra []string, sep string) string {
	wins := map[string]bool{}
	for _, line := range extra {
		name, _, _ := strings.Cut(line, sep)
		wins[name] = true
	}
	kept := slices.DeleteFunc(slices.Clone(ours), func(line string) bool {
		name, _, _ := strings.Cut(line, sep)
		return wins[name]
	})
	return strings.Join(append(kept, extra...), "\n") + "\n"
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }
