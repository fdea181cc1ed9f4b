package redis

import (
	"context"
	_ "embed"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"pixelwall/core"
)

//go:embed library.lua
var libraryText string

// libraryName is pixelwall_<version>, from the first line of the text. Function
// names begin with it, so that two versions can be loaded at once: an edge of the
// old one then finds nothing armed, instead of a function that does something else.
// Whoever changes what a function does changes the version.
var libraryName = strings.TrimPrefix(strings.SplitN(libraryText, "\n", 2)[0], "#!lua name=")

var (
	fnPlace     = libraryName + "_place"
	fnStand     = libraryName + "_stand"
	fnFence     = libraryName + "_fence"
	fnRebuild   = libraryName + "_rebuild"
	fnRecall    = libraryName + "_recall"
	fnArm       = libraryName + "_arm"
	fnConfigure = libraryName + "_configure"
	fnTrim      = libraryName + "_trim"
	fnReport    = libraryName + "_report"
	fnPublish   = libraryName + "_publish"
)

// fcall calls a function of the library on shard s.
func (c *Client) fcall(ctx context.Context, s core.ShardID, function string, keys []string, args ...string) (rueidis.RedisMessage, error) {
	return c.do(ctx, s, func(r rueidis.Client) rueidis.Completed {
		return r.B().Fcall().Function(function).Numkeys(int64(len(keys))).Key(keys...).Arg(args...).Build()
	})
}

// load loads the library where it is missing. Never REPLACE: that would clear
// what is armed.
func (c *Client) load(ctx context.Context) error {
	r, err := c.link.get()
	if err != nil {
		return err
	}
	var errs []error
	for _, node := range r.Nodes() {
		ctx, cancel := context.WithTimeout(ctx, 4*c.opts.CommandTimeout)
		err := node.Do(ctx, node.B().FunctionLoad().FunctionCode(libraryText).Build()).Error()
		cancel()
		// A replica gets it from its master.
		if err != nil && !strings.Contains(err.Error(), "already exists") && !strings.Contains(err.Error(), "READONLY") {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func decimal[N uint32 | uint64 | int64 | uint8](n N) string {
	if n, ok := any(n).(int64); ok {
		return strconv.FormatInt(n, 10)
	}
	return strconv.FormatUint(uint64(n), 10)
}
