package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
	"github.com/sony/gobreaker/v2"

	"pixelwall/core"
)

// A conclusion is what a command's error lets us conclude.
type conclusion uint8

const (
	done     conclusion = iota // it was carried out
	refused                    // Redis said no: it was not
	notSent                    // it never left us: it was not
	unfenced                   // refused: another epoch is armed, or none
	otherConfig
	unknown // sent, and no answer
)

var (
	errDown     = errors.New("no server of Redis answers")
	errInFlight = errors.New("too many commands are in flight")
	errNoAnswer = errors.New("no answer from Redis, which may have done it")
	// errJudgedBefore says that what waits was found bad by an older configuration
	// than the one that it would be sent under.
	errJudgedBefore = errors.New("the configuration has changed since it was judged")
)

// errUnsent says that an answer is missing to what was asked before the placements.
var errUnsent = errors.New("the placements were not sent yet")

// unsent keeps err, of a question before a batch, from being taken for a batch without
// an answer.
func unsent(err error) error {
	if conclude(err) == unknown {
		return fmt.Errorf("%w: %w", errUnsent, err)
	}
	return err
}

// conclude judges err, of a command that changes something or reads.
func conclude(err error) conclusion {
	if err == nil || rueidis.IsRedisNil(err) {
		return done
	}
	if re, ok := rueidis.IsRedisErr(err); ok {
		switch word, _, _ := strings.Cut(re.Error(), " "); {
		case word == "UNFENCED", noFunction(err):
			return unfenced
		case word == "CONFIG":
			return otherConfig
		default:
			return refused
		}
	}
	var dial *net.OpError
	switch {
	case errors.Is(err, errJudgedBefore):
		return otherConfig
	case errors.Is(err, errUnsent), errors.Is(err, errDown), errors.Is(err, errInFlight), errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests),
		errors.Is(err, rueidis.ErrNoSlot), errors.As(err, &dial) && dial.Op == "dial":
		return notSent
	}
	// Among these is rueidis.ErrClosing: a connection that breaks while its client is
	// closed gives it to commands that were written as well.
	return unknown
}

// noFunction reports whether the library is not loaded: nobody has armed anything
// since that server was empty.
func noFunction(err error) bool {
	re, ok := rueidis.IsRedisErr(err)
	return ok && strings.Contains(re.Error(), "Function not found")
}

// moveOn reports whether err says that another server may be the master now.
func moveOn(err error) bool {
	re, ok := rueidis.IsRedisErr(err)
	if !ok {
		return err != nil && !errors.Is(err, context.Canceled)
	}
	word, _, _ := strings.Cut(re.Error(), " ")
	return word == "READONLY" || word == "NOREPLICAS" || word == "MASTERDOWN"
}

// stance reads "UNFENCED <epoch> <armed>"; zero when the library is not loaded.
func stance(err error) (epoch uint32, armed bool) {
	if f := strings.Fields(err.Error()); len(f) >= 3 && f[0] == "UNFENCED" {
		e, _ := strconv.ParseUint(f[1], 10, 32)
		return uint32(e), f[2] == "1"
	}
	return 0, false
}

const retryAfter = time.Second

// unavailable is what a user hears while Redis cannot take placements.
func unavailable(cause error) *core.Error {
	return &core.Error{Code: core.CodeUnavailable, Msg: "the canvas cannot be painted just now", RetryAfter: retryAfter, Err: cause}
}

// asError turns a command's error into one with a code.
func asError(err error) error {
	if err == nil {
		return nil
	}
	if re, ok := rueidis.IsRedisErr(err); ok {
		switch word, rest, _ := strings.Cut(re.Error(), " "); word {
		case "EPOCH", "ARMED":
			return &core.Error{Code: core.CodeMismatch, Msg: "another epoch than " + rest + " is asked for", Err: err}
		case "CONFIG":
			return &core.Error{Code: core.CodeMismatch, Msg: "the configuration has version " + rest, Err: err}
		case "BADARG":
			return &core.Error{Code: core.CodeInternal, Msg: "Redis refuses our arguments", Err: err}
		}
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return unavailable(err)
}
