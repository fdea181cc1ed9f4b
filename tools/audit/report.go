package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"

	"pixelwall/core"
)

// Names of those who say something about a shard.
const (
	redisCopy   = "redis"
	kafkaFold   = "kafka"
	streamFold  = "stream"
	historyFold = "history"
)

// A Report is what an audit found.
type Report struct {
	Shards []*Row

	mu      sync.Mutex // protects following, and the rows while folds run
	missing []string   // sources that are down or incomplete, and why
	folds   map[string]map[spot]uint32
	names   []string // folds that were asked for
}

// A Row is one shard. A checksum is eight hexadecimal digits, "" where a source
// gave none.
type Row struct {
	Shard   core.ShardID `json:"shard"`
	Epoch   uint32       `json:"epoch"`
	Seq     uint64       `json:"seq"`     // of the copy in Redis, at which the folds are compared
	Redis   string       `json:"redis"`   // of that copy
	Kafka   string       `json:"kafka"`   // of the fold of the log: Kafka, or the stream where there is none
	History string       `json:"history"` // of the fold of event_log
	Edges   []EdgeRow    `json:"edges"`
	Equal   bool         `json:"equal"`

	differs bool
}

// An EdgeRow is what one edge holds of a shard, and whether the log leads there.
type EdgeRow struct {
	URL   string `json:"url"`
	Seq   uint64 `json:"seq"`
	CRC   string `json:"crc"`
	Equal bool   `json:"equal"`
}

func newReport(o *Options, published *core.Snapshot) *Report {
	r := &Report{folds: make(map[string]map[spot]uint32)}
	if len(o.Kafka) > 0 {
		r.names = append(r.names, kafkaFold)
	} else {
		r.names = append(r.names, streamFold)
	}
	if len(o.Scylla) > 0 {
		r.names = append(r.names, historyFold)
	}
	for _, s := range published.Config.Geometry().Shards() {
		r.Shards = append(r.Shards, &Row{Shard: s, Epoch: published.Holders[s].Epoch, Edges: []EdgeRow{}})
	}
	return r
}

func (r *Report) incomplete(source string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.missing = append(r.missing, fmt.Sprintf("%s: %v", source, err))
}

// folded takes what a fold came to.
func (r *Report) folded(name string, crcs map[spot]uint32, err error) {
	if err != nil {
		r.incomplete(name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.folds[name] = crcs
}

// conclude compares every claim with every fold.
func (r *Report) conclude(claims []claim) {
	rows := make(map[core.ShardID]*Row)
	for _, row := range r.Shards {
		rows[row.Shard] = row
	}
	for _, c := range claims {
		row := rows[c.shard]
		if row == nil {
			r.incomplete(c.source, fmt.Errorf("shard %d is not in Redis", c.shard))
			continue
		}
		complete, equal := true, true
		found := make(map[string]string)
		for _, name := range r.names {
			crc, ok := r.folds[name][spot{c.shard, c.seq}]
			switch {
			case !ok:
				complete = false
			case crc != c.crc:
				equal = false
			}
			if ok {
				found[name] = hex(crc)
			}
		}
		row.differs = row.differs || !equal
		if c.source == redisCopy {
			row.Seq, row.Redis, row.History = c.seq, hex(c.crc), found[historyFold]
			row.Kafka = found[kafkaFold] + found[streamFold]
			row.Equal = complete && equal
			continue
		}
		row.Edges = append(row.Edges, EdgeRow{c.source, c.seq, hex(c.crc), complete && equal})
	}
	for _, row := range r.Shards {
		for _, e := range row.Edges {
			row.Equal = row.Equal && e.Equal
		}
		if !row.Equal && !row.differs && len(r.missing) == 0 {
			r.missing = append(r.missing, fmt.Sprintf("shard %d: no record of the log ends where somebody stands", row.Shard))
		}
	}
}

func hex(crc uint32) string { return fmt.Sprintf("%08x", crc) }

// exit is the exit code: a difference counts for more than what is missing.
func (r *Report) exit() int {
	code := exitEqual
	for _, row := range r.Shards {
		switch {
		case row.differs:
			return exitDiffers
		case !row.Equal:
			code = exitIncomplete
		}
	}
	if len(r.missing) > 0 {
		return exitIncomplete
	}
	return code
}

func (r *Report) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	for _, row := range r.Shards {
		if err := e.Encode(row); err != nil {
			return err
		}
	}
	return nil
}

func (r *Report) writeText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "shard\tepoch\tseq\tredis\tlog\thistory\tedges\t")
	for _, row := range r.Shards {
		same := 0
		for _, e := range row.Edges {
			if e.Equal {
				same++
			}
		}
		word := "equal"
		switch {
		case row.differs:
			word = "DIFFERS"
		case !row.Equal:
			word = "incomplete"
		}
		fmt.Fprintf(t, "%d\t%d\t%d\t%s\t%s\t%s\t%d/%d\t%s\n", row.Shard, row.Epoch, row.Seq, row.Redis, dash(row.Kafka), dash(row.History), same, len(row.Edges), word)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, m := range r.missing {
		fmt.Fprintln(w, "incomplete:", m)
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
