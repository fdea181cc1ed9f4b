package core

import (
	"errors"
	"fmt"
	"regexp"
	"testing"
)

func TestEveryCodeHasANameOfItsOwn(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	seen := map[string]Code{}
	for i, c := range Codes() {
		if int(c) != i {
			t.Fatalf("Codes()[%d] = %d", i, c)
		}
		name := c.String()
		if !snake.MatchString(name) {
			t.Errorf("code %d has the name %q", c, name)
		}
		if other, taken := seen[name]; taken {
			t.Errorf("codes %d and %d are both %q", other, c, name)
		}
		seen[name] = c
	}
	if got := Code(200).String(); got != "internal" {
		t.Errorf("an unknown code is %q", got)
	}
}

// The numbers travel on the wire and are stored by clients.
func TestCodesNeverChangeTheirNumber(t *testing.T) {
	for c, want := range map[Code]int{
		CodeInternal: 0, CodeMalformed: 1, CodeInvalid: 2, CodeOutOfCanvas: 3, CodeUnknownColor: 4, CodeCooldown: 5,
		CodeUnauthorized: 6, CodeTokenExpired: 7, CodeHelloRequired: 8, CodeUnknownMessage: 9, CodeUnknownShard: 10,
		CodeExpired: 11, CodeReadOnly: 12, CodeUnavailable: 13, CodeTooMany: 14, CodeNotFound: 15, CodeMismatch: 16, CodeDraining: 17,
	} {
		if int(c) != want {
			t.Errorf("%v is %d, want %d", c, int(c), want)
		}
	}
}

func TestCodeOfFindsTheCodeInAChain(t *testing.T) {
	cause := errors.New("disk on fire")
	e := &Error{Code: CodeReadOnly, Msg: "the store is full", Err: cause}
	wrapped := fmt.Errorf("placing: %w", e)
	for _, tt := range []struct {
		name string
		err  error
		want Code
	}{
		{"an error itself", e, CodeReadOnly},
		{"a wrapped error", wrapped, CodeReadOnly},
		{"a foreign error is internal", cause, CodeInternal},
		{"no error is internal", nil, CodeInternal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := CodeOf(tt.err); got != tt.want {
				t.Errorf("CodeOf = %v, want %v", got, tt.want)
			}
		})
	}
	if !errors.Is(wrapped, &Error{Code: CodeReadOnly}) || errors.Is(wrapped, &Error{Code: CodeInvalid}) {
		t.Error("errors.Is does not compare codes alone")
	}
	if !errors.Is(wrapped, cause) {
		t.Error("the cause is lost")
	}
	if got, want := e.Error(), "read_only: the store is full: disk on fire"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
