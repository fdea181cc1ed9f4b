package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// restart paints in a child that ends without closing its store, and measures
// how long the folder takes to open after that.
func restart(c *config, r *report) error {
	args := append([]string{}, os.Args[1:]...)
	child := exec.Command(os.Args[0], append(args, "--restart=false", "--min=0", "--max-lag=0", "--crash", "--json", "--dir", c.dir)...)
	child.Stderr = os.Stderr
	out, err := child.Output()
	if err != nil {
		return fmt.Errorf("painting: %w", err)
	}
	if err := json.Unmarshal(out, r); err != nil {
		return err
	}
	begin := time.Now()
	store, err := open(c)
	if err != nil {
		return err
	}
	r.StartS = time.Since(begin).Seconds()
	lag, err := indexLag(store)
	r.StartIndexS = lag.Seconds()
	return errors.Join(err, store.Close())
}
