// Depcheck checks that the packages of Pixelwall import each other only along
// the arrows of the architecture.
//
//	go list -json ./... -> Package -> check against rules -> a line for each import that has no arrow
//
// It reads what go list says and nothing else. A package without a rule is a
// finding too, so that a new folder says what it may know of.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

func main() {
	packages, err := list()
	if err != nil {
		fmt.Fprintln(os.Stderr, "depcheck:", err)
		os.Exit(2)
	}
	findings := check(packages)
	for _, f := range findings {
		fmt.Println(f)
	}
	if len(findings) > 0 {
		fmt.Printf("depcheck: %d imports have no arrow\n", len(findings))
		os.Exit(1)
	}
}

// A Package is what go list tells of one.
type Package struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// list asks go list for all packages of the module in the working directory.
func list() ([]Package, error) {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	packages, err := decode(out)
	return packages, errors.Join(err, cmd.Wait())
}

func decode(r io.Reader) (packages []Package, err error) {
	for d := json.NewDecoder(r); ; {
		var p Package
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return packages, err
		}
		packages = append(packages, p)
	}
}
