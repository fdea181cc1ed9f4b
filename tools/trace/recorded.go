package trace

import (
	"fmt"
	"os"
	"path/filepath"
)

// FolderEnv is the environment variable that names a folder with recorded traces,
// which are too large to come with the source.
const FolderEnv = "TRACES"

// Recorded returns the path of the recorded trace of that name. The error says in
// one line what is missing where it is not there.
func Recorded(name string) (path string, err error) {
	folder := os.Getenv(FolderEnv)
	if folder == "" {
		return "", fmt.Errorf("no recorded %s: %s names no folder", name, FolderEnv)
	}
	path = filepath.Join(folder, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no recorded trace where %s says: %w", FolderEnv, err)
	}
	return path, nil
}
