package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"pixelwall/core"
)

// A query is the parameters of a request. It collects everything that is wrong
// with them, so that one answer tells all.
type query struct {
	values url.Values
	wrong  []string
}

// parseQuery reads raw. A parameter that is not among known is refused: a typing
// error must not be taken for a default.
func parseQuery(raw []byte, known []string) (query, error) {
	q := query{}
	var err error
	if q.values, err = url.ParseQuery(string(raw)); err != nil {
		return q, core.NewError(core.CodeInvalid, "the query is not name=value&… with %-escapes")
	}
	for name, values := range q.values {
		switch {
		case !slices.Contains(known, name):
			q.wrong = append(q.wrong, fmt.Sprintf("unknown parameter %q", clip(name)))
		case len(values) > 1:
			q.wrong = append(q.wrong, fmt.Sprintf("%s is given %d times", name, len(values)))
		}
	}
	if len(q.wrong) > 0 {
		slices.Sort(q.wrong)
		if len(known) > 0 {
			q.wrong = append(q.wrong, "known are "+strings.Join(known, ", "))
		}
	}
	return q, q.err()
}

// has reports whether the parameter is there.
func (q *query) has(name string) bool { return q.values.Has(name) }

// number returns the parameter name, or def when it is missing.
func (q *query) number(name string, def, least, most int64) int64 {
	if !q.has(name) {
		return def
	}
	return q.required(name, least, most)
}

// required returns the parameter name, which must be there.
func (q *query) required(name string, least, most int64) int64 {
	text := q.values.Get(name)
	n, err := strconv.ParseUint(text, 10, 63)
	switch {
	case !q.has(name):
		q.wrong = append(q.wrong, name+" is missing")
	case err != nil || strconv.FormatUint(n, 10) != text:
		q.wrong = append(q.wrong, fmt.Sprintf("%s=%q is not a whole number of 0 or more", name, clip(text)))
	case int64(n) < least || int64(n) > most:
		q.wrong = append(q.wrong, fmt.Sprintf("%s=%d is not within %d to %d", name, n, least, most))
	}
	return int64(n)
}

// err returns what is wrong so far.
func (q *query) err() error {
	if len(q.wrong) == 0 {
		return nil
	}
	return core.NewError(core.CodeInvalid, strings.Join(q.wrong, "; "))
}

// clip shortens what an error repeats of a request.
func clip(s string) string {
	if len(s) > 32 {
		return strings.ToValidUTF8(s[:32], "") + "…"
	}
	return s
}
