package wire

// A BitCount is how often a probability of the model met a zero and a one.
type BitCount [2]uint32

// RangeCounts has a BitCount for each probability of RangeTables.
type RangeCounts struct {
	Gap  [gapClasses][gapNodes]BitCount
	Mant [mantClasses][mantNodes]BitCount
	Rank [ranks][rankWeights][rankWeights]BitCount
}

// A RangeTrainer counts what the range coder meets in batches, from which
// tools/train computes the tables.
type RangeTrainer struct {
	Counts RangeCounts

	coder rangeCoder
	out   []byte
}

// NewRangeTrainer returns a trainer that has seen nothing.
func NewRangeTrainer() *RangeTrainer {
	t := &RangeTrainer{}
	m := &t.coder.model
	t.coder.counts = map[*uint16]*BitCount{}
	for class := range mantClasses {
		for node := range mantNodes {
			t.coder.counts[&m.mant[class][node]] = &t.Counts.Mant[class][node]
		}
	}
	for r := range ranks {
		for w := range rankWeights {
			for next := range rankWeights {
				t.coder.counts[&m.rank[r][w][next]] = &t.Counts.Rank[r][w][next]
			}
		}
	}
	return t
}

// Add counts one batch, whose conditions are those of Encoder.Append.
func (t *RangeTrainer) Add(c Canvas, px []Pixel) {
	if len(px) == 0 {
		return
	}
	m := &t.coder.model
	width := riceWidth(&c, px)
	m.reset(&primed, c.Area(), len(px), width)
	for node := range gapNodes {
		t.coder.counts[&m.gap[node]] = &t.Counts.Gap[m.gapClass][node]
	}
	t.coder.encode(t.out[:0], &c, px, width)
	t.out = t.coder.coder.finish()
}

// RangeTablesNow returns the tables that this build codes with.
func RangeTablesNow() RangeTables { return primed }
