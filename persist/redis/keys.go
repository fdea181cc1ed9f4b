package redis

import (
	"strconv"

	"pixelwall/core"
)

// tags are the hash tags of the shards: each falls in another one of 64 equal
// ranges of slots, and the first sixteen in another one of sixteen, so that any
// number of masters shares any number of shards evenly. They are stored: never
// change one.
var tags = [core.ShardsMax]string{
	"s00b0", "s01c0", "s02p0", "s03a0", "s04f0", "s05g0", "s06d0", "s07e0", "s08j0", "s09k0", "s10i0", "s11h0", "s12d0", "s13e0", "s14m0", "s15l0",
	"s16n0", "s17o0", "s18a0", "s19p0", "s20g0", "s21f0", "s22e0", "s23d0", "s24m0", "s25l0", "s26o0", "s27n0", "s28p1", "s29q1", "s30l0", "s31m0",
	"s32o0", "s33n0", "s34v0", "s35g0", "s36k0", "s37j0", "s38t0", "s39u0", "s40t0", "s41u0", "s42f0", "s43g0", "s44p0", "s45a0", "s46r0", "s47s0",
	"s48s9", "s49r9", "s50p1", "s51n0", "s52r0", "s53s0", "s54t1", "s55z0", "s56x0", "s57y0", "s58g8", "s59f8", "s60q8", "s61o9", "s62s0", "s63r0",
}

// shardKeys are the keys of one shard, all in one slot. library.lua says what
// each holds.
type shardKeys struct {
	bmp, meta, out, latest string
	requests               [2]string // of even and odd generations
	base                   string    // what every key of the shard begins with
}

func makeKeys(prefix string) (all [core.ShardsMax]shardKeys) {
	for s := range all {
		base := prefix + ":{" + tags[s] + "}:"
		all[s] = shardKeys{
			bmp: base + "bmp", meta: base + "meta", out: base + "out", latest: base + "latest",
			requests: [2]string{base + "req:0", base + "req:1"}, base: base,
		}
	}
	return all
}

// copyKey is where a published copy lies, under the name that the pointer says.
func (k *shardKeys) copyKey(name string) string {
	const digits = "0123456789abcdef"
	b := append(make([]byte, 0, len(k.base)+5+2*len(name)), k.base...)
	b = append(b, "snap:"...)
	for i := range len(name) {
		b = append(b, digits[name[i]>>4], digits[name[i]&15])
	}
	return string(b)
}

func (k *shardKeys) leaseKey(role string) string { return k.base + "lease:" + role }

// userKey is where a user's charge lies, see charger.
func (c *Client) userKey(rule core.Cooldown, user uint64) string {
	kind := ":cd:"
	if rule.Max > 1 {
		kind = ":tat:"
	}
	return c.opts.Prefix + kind + strconv.FormatUint(user, 10)
}
