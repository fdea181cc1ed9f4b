package main

import "pixelwall/wire"

// How many observations a guess from wider counts is worth. Classes that the
// trace hardly has begin near the guess, the others near their own counts.
const (
	gapPrior  = 100
	rankPrior = 4
)

// A probability of exactly 0 or 1 would make the other bit impossible, and one
// below 64/65536 could never move again.
const probMin, probMax = 64, 65535 - 64

func prob(ones, all float64) uint16 {
	return uint16(min(max(ones/all*65536+0.5, probMin), probMax))
}

func tablesOf(counts *wire.RangeCounts) (t wire.RangeTables) {
	gapTables(&t, counts)
	for class := range t.Mant {
		for node := range t.Mant[class] {
			n := counts.Mant[class][node]
			t.Mant[class][node] = prob(float64(n[1])+1, float64(n[0])+float64(n[1])+2)
		}
	}
	for r := range t.Rank {
		rankTables(&t.Rank[r], &counts.Rank[r])
	}
	return t
}

// gapTables turns the counts of each class of mean gap into a tree. The shape
// of the distribution relative to its mean is nearly the same everywhere, so
// the shape over all classes is the guess for the rare ones.
func gapTables(t *wire.RangeTables, counts *wire.RangeCounts) {
	const leaves = len(t.Gap[0])
	const offset = len(t.Gap) // keeps e - class from going below zero
	var shape [leaves + offset]float64
	var total float64
	leaf := func(class, e int) float64 { return float64(counts.Gap[class][(leaves+e)/2][e&1]) }
	for class := range t.Gap {
		for e := range leaves {
			shape[e-class+offset] += leaf(class, e)
			total += leaf(class, e)
		}
	}
	for class := range t.Gap {
		var weight [2 * leaves]float64 // of each node's leaves, the root is 1
		for e := range leaves {
			weight[leaves+e] = leaf(class, e) + gapPrior*shape[e-class+offset]/total + 1e-6
		}
		for node := leaves - 1; node > 0; node-- {
			weight[node] = weight[2*node] + weight[2*node+1]
		}
		t.Gap[class][0] = 1 << 15
		for node := 1; node < leaves; node++ {
			t.Gap[class][node] = prob(weight[2*node+1], weight[node])
		}
	}
}

// rankTables guesses a cell by its row, and a row by the whole rank.
func rankTables(t *[16][16]uint16, counts *[16][16]wire.BitCount) {
	var all wire.BitCount
	var rows [len(*t)]wire.BitCount
	for w, row := range *counts {
		for _, n := range row {
			rows[w][0], rows[w][1] = rows[w][0]+n[0], rows[w][1]+n[1]
		}
		all[0], all[1] = all[0]+rows[w][0], all[1]+rows[w][1]
	}
	guess := share(all, 0.5, 2)
	for w := range *t {
		row := share(rows[w], guess, rankPrior)
		for next := range (*t)[w] {
			(*t)[w][next] = prob(share((*counts)[w][next], row, rankPrior), 1)
		}
	}
}

// share is the share of ones in n, with a guess worth some observations.
func share(n wire.BitCount, guess, worth float64) float64 {
	return (float64(n[1]) + guess*worth) / (float64(n[0]) + float64(n[1]) + worth)
}
