package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"pixelwall/loadtest/source"
)

// PackOptions is every flag of pack.
type PackOptions struct {
	Events string `arg:"" help:"Reddit's .csv, .csv.gz or .csv.gzip of 2022 or 2023, as far as its canvas has no more than 4194304 pixels" type:"existingfile"`
	Trace  string `arg:"" help:"the .pxt.gz that is written; its colours go into a .palette beside it, for --palette of the server" type:"path"`
}

const packedSuffix = ".pxt.gz"

// pack writes a trace, which a server can begin with and a replay can paint.
func pack(o PackOptions, out io.Writer) error {
	name, ok := strings.CutSuffix(o.Trace, packedSuffix)
	if !ok {
		return fmt.Errorf("%s: must end in %s", o.Trace, packedSuffix)
	}
	t, err := source.Open(o.Events)
	if err != nil {
		return err
	}
	packed, palette, err := t.Pack()
	if err != nil {
		return fmt.Errorf("%s: %w", o.Events, err)
	}
	f, err := os.Create(o.Trace)
	if err != nil {
		return err
	}
	if err := errors.Join(packed.Write(f), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", o.Trace, err), os.Remove(o.Trace))
	}
	var colors strings.Builder
	for i, rgb := range palette {
		fmt.Fprintf(&colors, "colour %d #%06x\n", i+1, rgb)
	}
	if err := os.WriteFile(name+".palette", []byte(colors.String()), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: %d x %d, %d events in %d colours, which are in %s.palette\n",
		o.Trace, packed.Width, packed.Height, len(packed.Events), len(palette), name)
	return err
}
