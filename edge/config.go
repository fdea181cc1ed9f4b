package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"pixelwall/core"
	"pixelwall/edge/api"
	"pixelwall/edge/gateway"
	"pixelwall/edge/token"
)

// Config is every flag of the edge. A flag --some-name is also read from the
// environment as PIXELWALL_SOME_NAME and from the file of --config as
// "some-name"; flag wins over environment, environment over file, file over
// default. What the data folder holds wins over defaults, too.
type Config struct {
	Listen      string  `help:"host:port for browsers, clients and REST" default:":8080"`
	AdminListen string  `help:"host:port for metrics, profiles and the admin API; without it /metrics is on --listen" placeholder:"HOST:PORT"`
	AdminToken  *string `help:"what the admin API asks for as bearer token, needed unless it listens on loopback; better in the environment" placeholder:"SECRET" json:"-"`
	Data        string  `help:"folder of the canvas and its history" default:"./pixelwall-data" type:"path"`

	Redis          []string      `help:"host:port of Redis: one server, a master and its replicas, or nodes of a Redis Cluster. Many edges share its canvas; --data then holds the archive of a process with that role, where there is no --scylla" placeholder:"HOST:PORT"`
	RedisUser      string        `help:"ACL user for Redis" placeholder:"NAME"`
	RedisPassword  string        `help:"its password; better in the environment" placeholder:"SECRET" json:"-"`
	RedisPrefix    string        `help:"first part of every Redis key; one canvas a prefix" default:"pw"`
	LimiterRedis   []string      `help:"a Redis of its own for cooldowns" placeholder:"HOST:PORT"`
	Kafka          []string      `help:"host:port of Kafka brokers: the log that all edges follow" placeholder:"HOST:PORT"`
	KafkaTopic     string        `help:"topic of the log" default:"pixel_events"`
	KafkaPatience  time.Duration `help:"silence of Kafka after which an edge follows Redis, half of it when fetches fail" default:"300ms"`
	Region         string        `help:"follow the mirrored topic <topic>.<region> instead; placements still go to --redis" placeholder:"NAME"`
	Scylla         []string      `help:"host:port of ScyllaDB or Cassandra: history and snapshots" placeholder:"HOST:PORT"`
	ScyllaKeyspace string        `help:"keyspace; one canvas a keyspace" default:"pixelwall"`
	ScyllaUser     string        `help:"user for CQL" placeholder:"NAME"`
	ScyllaPassword string        `help:"its password; better in the environment" placeholder:"SECRET" json:"-"`
	Roles          []string      `help:"what this process does in a cluster: gateway, relay, archive, snapshot" default:"gateway,relay,archive,snapshot"`

	Size        string `help:"size of a new canvas (1000x1000 if not given)" placeholder:"WxH"`
	Palette     string `help:"place2017, place2022, or a file with a line \"name #rrggbb\" for each colour (place2017 if not given)" placeholder:"NAME|FILE"`
	StartCanvas string `help:"fills a new canvas from a PNG or a .pxt.gz trace; its size is the file's" placeholder:"FILE" type:"path"`
	Cooldown    string `help:"time between two placements of a user, 0 for none (5s if not given)" placeholder:"TIME"`

	Tick      string        `help:"time between two batches, 20ms to 10s, or auto: the shortest that fits" default:"1s"`
	RingAge   time.Duration `help:"how long a client may be away and still resume" default:"5m"`
	RingBytes int           `help:"most memory for that, at least 1 MiB" default:"67108864"`

	CanvasURL      string   `help:"where clients fetch the canvas, if not here: the address of a CDN in front of this server" placeholder:"URL"`
	PublicURL      string   `help:"address of this server, for links and the pictures of shared ones" placeholder:"URL"`
	Origin         []string `help:"pages on these origins may connect too, as scheme://host[:port]; * allows all" placeholder:"ORIGIN"`
	TrustedProxies []string `help:"addresses of proxies whose X-Forwarded-For counts, as CIDR" placeholder:"CIDR"`
	FrameAncestors []string `help:"pages on these origins may embed the page" placeholder:"ORIGIN"`

	KeyFile         string        `help:"keys of guest tokens, the same on every edge of a fleet (made in the data folder if not given)" placeholder:"FILE" type:"path"`
	GuestsPerHour   int           `help:"guest sessions an address (IPv6: /64) may make in an hour" default:"60"`
	LookupsPerMin   int           `help:"lookups in the history and pictures that an address (IPv6: /64) may ask for in a minute; 0 for no limit" default:"1200"`
	ConnsMax        int           `help:"connections at most; 0 is what the descriptor limit leaves" default:"0"`
	ConnsPerAddress int           `help:"connections of one address (IPv6: /64, and eight times as many of a /48); negative for no limit" default:"64"`
	MessagesPerSec  float64       `help:"messages a second that a client may send, 0.1 to 10000" default:"20"`
	MessageBurst    int           `help:"messages that it may send at once" default:"40"`
	BacklogBytes    int           `help:"unread bytes that are kept for a client, at least 64 KiB" default:"262144"`
	BacklogTotal    int64         `help:"unread bytes that are kept for all clients together, at least --backlog-bytes; 0 is a quarter of the memory" default:"0"`
	StuckAfter      time.Duration `help:"time in which a client that lags has to read 16 KiB, or is closed" default:"30s"`
	PingEvery       time.Duration `help:"silence after which a client is asked whether it lives" default:"25s"`
	DeadAfter       time.Duration `help:"silence after which a client is dropped" default:"60s"`
	Drain           time.Duration `help:"most time to say goodbye after SIGTERM" default:"10s"`

	LogFormat string `help:"text or json" default:"text" enum:"text,json"`
	LogLevel  string `help:"debug, info, warn or error" default:"info" enum:"debug,info,warn,error"`
}

// settings is a Config after its texts have been read.
type settings struct {
	Config
	adminToken    string        // "": none
	width, height int           // 0: not asked for
	palette       core.Palette  // nil: not asked for
	cooldownMS    *int64        // nil: not asked for
	tick          time.Duration // the first one, when auto
	tickAuto      bool
	proxies       []netip.Prefix
	roles         map[string]bool
}

const (
	defaultSide       = 1000
	defaultPalette    = "place2017"
	defaultCooldownMS = 5000
	firstAutoTick     = 250 * time.Millisecond

	messagesPerSecMin = 0.1
	messagesPerSecMax = 10_000
	backlogBytesMin   = 64 << 10 // a batch of a busy canvas fits
	ringBytesMin      = 1 << 20  // the hub keeps 16 KiB of each of 64 shards
)

// read checks all of c and reports every mistake at once.
func (c Config) read() (settings, error) {
	s := settings{Config: c}
	var errs []error
	wrong := func(flag, format string, args ...any) {
		errs = append(errs, fmt.Errorf("--%s: %s", flag, fmt.Sprintf(format, args...)))
	}
	for flag, addr := range map[string]string{"listen": c.Listen, "admin-listen": c.AdminListen} {
		if _, port, err := net.SplitHostPort(addr); addr != "" && (err != nil || !isPort(port)) {
			wrong(flag, "%q is not host:port", addr)
		}
	}
	s.readAdmin(wrong)
	if c.Size != "" {
		s.readSize(wrong)
	}
	if c.Size != "" && c.StartCanvas != "" {
		wrong("size", "contradicts --start-canvas, whose file has a size")
	}
	if c.StartCanvas != "" {
		if _, err := os.Stat(c.StartCanvas); err != nil {
			wrong("start-canvas", "%v", err)
		}
	}
	if c.Palette != "" {
		s.readPalette(wrong)
	}
	if c.Cooldown != "" {
		d, err := time.ParseDuration(c.Cooldown)
		switch {
		case err != nil:
			wrong("cooldown", "%q is not a time such as 5s, 300ms or 0", c.Cooldown)
		case d < 0 || d.Milliseconds() > core.CooldownMSMax:
			wrong("cooldown", "%v: must be 0 to 168h", d)
		default:
			ms := d.Milliseconds()
			s.cooldownMS = &ms
		}
	}
	s.readTick(wrong)
	s.readCluster(wrong)
	if s.roles[roleGateway] {
		if err := token.CheckFile(s.keyFile()); err != nil {
			wrong("key-file", "%v", err)
		}
	}
	s.readAddresses(wrong)
	s.readLimits(wrong)
	for flag, d := range map[string]time.Duration{"stuck-after": c.StuckAfter, "ping-every": c.PingEvery, "dead-after": c.DeadAfter, "ring-age": c.RingAge} {
		if d < time.Millisecond {
			wrong(flag, "%v: must be at least 1ms", d)
		}
	}
	if c.DeadAfter <= c.PingEvery {
		wrong("dead-after", "%v leaves no time to answer a ping sent after %v", c.DeadAfter, c.PingEvery)
	}
	if c.Drain < 0 {
		wrong("drain", "%v: must not be negative", c.Drain)
	}
	return s, errors.Join(errs...)
}

type wrongFunc func(flag, format string, args ...any)

// readAdmin checks who can reach the admin API. Without a token everybody on this
// machine may use it, and nobody else.
func (s *settings) readAdmin(wrong wrongFunc) {
	if s.AdminListen != "" && s.AdminListen == s.Listen && !strings.HasSuffix(s.Listen, ":0") {
		wrong("admin-listen", "%s is --listen already", s.AdminListen)
	}
	switch {
	case s.AdminToken == nil:
		if s.AdminListen != "" && !isLoopback(s.AdminListen) {
			wrong("admin-listen", "%s can be reached by others: it needs --admin-token, or 127.0.0.1 as its host", s.AdminListen)
		}
	case *s.AdminToken == "":
		wrong("admin-token", "is empty; leave it out, also of the environment, if there is none")
	case s.AdminListen == "":
		wrong("admin-token", "there is no admin API without --admin-listen")
	default:
		s.adminToken = *s.AdminToken
	}
}

// isLoopback reports whether only this machine reaches addr, a host:port.
func isLoopback(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// keyFile is where the keys of guest tokens are.
func (s *settings) keyFile() string {
	if s.KeyFile != "" {
		return s.KeyFile
	}
	return filepath.Join(s.Data, "guest-keys")
}

// readAddresses checks what the flags say of pages, links and proxies.
func (s *settings) readAddresses(wrong wrongFunc) {
	for flag, text := range map[string]string{"canvas-url": s.CanvasURL, "public-url": s.PublicURL} {
		if text != "" && !api.ValidURL(text) {
			wrong(flag, "%q is not an address such as https://cdn.example.org/canvas, without query and fragment", text)
		}
	}
	for _, text := range s.Origin {
		if !gateway.ValidOrigin(text) {
			wrong("origin", "%q is not scheme://host[:port], nor *", text)
		}
	}
	for _, text := range s.FrameAncestors {
		if !api.ValidSource(text) {
			wrong("frame-ancestors", "%q is not a source as in a Content-Security-Policy, without ; and ,", text)
		}
	}
	for _, text := range s.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			wrong("trusted-proxies", "%q is not a CIDR such as 10.0.0.0/8", text)
		}
		s.proxies = append(s.proxies, p)
	}
}

// readLimits checks what clients may do and take.
func (s *settings) readLimits(wrong wrongFunc) {
	for _, limit := range []struct {
		flag     string
		n, least int
	}{
		{"guests-per-hour", s.GuestsPerHour, 1}, {"lookups-per-min", s.LookupsPerMin, 0}, {"message-burst", s.MessageBurst, 1},
		{"backlog-bytes", s.BacklogBytes, backlogBytesMin}, {"ring-bytes", s.RingBytes, ringBytesMin},
	} {
		if limit.n < limit.least {
			wrong(limit.flag, "%d: must be at least %d", limit.n, limit.least)
		}
	}
	if !(s.MessagesPerSec >= messagesPerSecMin && s.MessagesPerSec <= messagesPerSecMax) {
		wrong("messages-per-sec", "%v: must be %v to %v", s.MessagesPerSec, messagesPerSecMin, messagesPerSecMax)
	}
	if s.BacklogTotal != 0 && s.BacklogTotal < int64(s.BacklogBytes) {
		wrong("backlog-total", "%d: must be 0, or at least --backlog-bytes (%d)", s.BacklogTotal, s.BacklogBytes)
	}
	if s.ConnsPerAddress == 0 {
		wrong("conns-per-address", "0: must be at least 1, or negative for no limit")
	}
	switch most := gateway.ConnsMax(gateway.FilesReserve); {
	case s.ConnsMax < 0:
		wrong("conns-max", "%d: must be 0 or more", s.ConnsMax)
	case s.ConnsMax > most && s.roles[roleGateway]:
		wrong("conns-max", "%d: the descriptor limit leaves room for %d; raise it (ulimit -n, LimitNOFILE of the unit)", s.ConnsMax, most)
	}
}

func (s *settings) readSize(wrong wrongFunc) {
	w, h, ok := strings.Cut(strings.ToLower(s.Size), "x")
	width, err1 := strconv.Atoi(w)
	height, err2 := strconv.Atoi(h)
	if !ok || err1 != nil || err2 != nil {
		wrong("size", "%q is not a size such as 1000x1000", s.Size)
		return
	}
	if err := (core.Geometry{Width: width, Height: height, Bits: 4}).Validate(); err != nil {
		wrong("size", "%s: each side must be 1 to %d", s.Size, core.SideMax)
		return
	}
	s.width, s.height = width, height
}

func (s *settings) readPalette(wrong wrongFunc) {
	if p, ok := core.NamedPalette(s.Palette); ok {
		s.palette = p
		return
	}
	text, err := os.ReadFile(s.Palette)
	if err != nil {
		wrong("palette", "%q is neither place2017 nor place2022 nor a file that can be read: %v", s.Palette, err)
		return
	}
	if s.palette, err = core.ParsePalette(string(text)); err != nil {
		wrong("palette", "%s: %v", s.Palette, err)
	}
}

func (s *settings) readTick(wrong wrongFunc) {
	if s.Tick == "auto" {
		s.tick, s.tickAuto = firstAutoTick, true
		return
	}
	d, err := time.ParseDuration(s.Tick)
	if err != nil {
		wrong("tick", "%q is neither a time such as 1s nor auto", s.Tick)
		return
	}
	if d < 20*time.Millisecond || d > 10*time.Second {
		wrong("tick", "%v: must be 20ms to 10s", d)
	}
	s.tick = d
}

func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 0 && n <= 65535
}
