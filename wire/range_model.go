package wire

import "math/bits"

// The model: what a range-coded batch is made of, and how likely each of its
// bits is. For each pixel that is
//
//	the gap: g+1 = 1mmm in binary; the number of bits behind the one by a
//	binary tree, the first two of them by the model, the others direct
//	the colour: for up to four colours of the neighbourhood, the heaviest
//	first, "is it this one?"; when it was none of them the literal, by a
//	binary tree
//
// The model begins every batch as the tables say and learns while it codes.

const (
	gapClasses  = 20 // mean gap of a batch, log2
	gapNodes    = 32 // binary tree of five bits, node 0 is not used
	mantClasses = 10 // bits of a gap against those of the mean
	mantNodes   = 4  // binary tree of two bits, node 0 is not used
	ranks       = 4  // neighbour colours that are tried
	rankWeights = 16 // weights that are told apart

	// mantClassMean is the class of a gap as long as the mean.
	mantClassMean = 6

	// gapBitsMax bounds a gap before anything is computed with it.
	gapBitsMax = 22

	// countLast is the parameter from which on the count follows in full.
	countLast = MaxParam
	countBits = 22
)

// RangeTables holds the probabilities of a one with which a batch begins, in
// 1/65536, from 64 to 65471. tools/train computes them.
type RangeTables struct {
	Gap  [gapClasses][gapNodes]uint16 // by log2 of the mean gap
	Mant [mantClasses][mantNodes]uint16
	Rank [ranks][rankWeights][rankWeights]uint16 // by rank, weight-1, next weight
}

// A rangeModel is the state of one batch's coding.
type rangeModel struct {
	gap     [gapNodes]uint16
	mant    [mantClasses][mantNodes]uint16
	rank    [ranks][rankWeights][rankWeights]uint16
	literal [256]uint16

	gapClass int // log2 of the mean gap
	width    uint
	tried    [ranks]uint8 // colours that the literal cannot be
	triedN   int
}

func (m *rangeModel) reset(t *RangeTables, area, n int, width uint) {
	m.gapClass = min(bits.Len(uint(area/n))-1, gapClasses-1)
	m.width = width
	m.gap, m.mant, m.rank = t.Gap[m.gapClass], t.Mant, t.Rank
	for i := range m.literal[:1<<width] {
		m.literal[i] = 1 << (modelBits - 1)
	}
}

// mantOf returns the tree for the first two bits of a gap of e bits.
func (m *rangeModel) mantOf(e int) *[mantNodes]uint16 {
	return &m.mant[min(max(e-m.gapClass+mantClassMean, 0), mantClasses-1)]
}

// rankOf returns the probability that the pixel takes the candidate r.
func (m *rangeModel) rankOf(r int, nb *neighbours) *uint16 {
	next := uint8(0)
	if r+1 < nb.n {
		next = nb.weights[r+1]
	}
	return &m.rank[r][min(nb.weights[r], rankWeights)-1][min(next, rankWeights-1)]
}

// free reports whether a literal can still begin with prefix, when shift bits
// follow: not all of these colours have been tried.
func (m *rangeModel) free(prefix, shift uint) bool {
	if ranks < 1<<shift {
		return true
	}
	taken := 0
	for _, c := range m.tried[:m.triedN] {
		if uint(c)>>shift == prefix {
			taken++
		}
	}
	return taken < 1<<shift
}

// countParam returns the parameter for n ≥ 1 pixels: the place of the highest
// one of n and the bit behind it.
func countParam(n int) (param uint8) {
	if n == 1 {
		return 0
	}
	e := bits.Len(uint(n)) - 1
	return uint8(min(2*e+n>>(e-1)&1-1, countLast))
}

// countOf returns the smallest count for param, and how many direct bits are
// to be added to it.
func countOf(param uint8) (base int, extra uint) {
	switch {
	case param == 0:
		return 1, 0
	case param >= countLast:
		return 1 << (countLast/2 + 1), countBits
	}
	e := uint(param+1) / 2
	return int(2+(param+1)&1) << (e - 1), e - 1
}
