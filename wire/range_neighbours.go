package wire

// Weights of a neighbour's colour: beside or diagonal, and what is added when
// this batch has changed it already, because people paint areas together.
const (
	weightBeside   = 3
	weightDiagonal = 1
	weightChanged  = 2
)

// neighbours ranks the colours around a pixel: what its eight neighbours show
// when the coded part of the batch is applied, without the colour that the
// pixel has itself.
type neighbours struct {
	c     Canvas
	above int // the first coded pixel that can touch the next one from above

	n       int
	colors  [8]uint8 // the heaviest first; at equal weight the first met
	weights [8]uint8
	byColor [256]uint8 // weight so far; all zero between two pixels
}

// start begins a batch on c.
func (nb *neighbours) start(c *Canvas) { nb.c, nb.above = *c, 0 }

// rank fills n, colors and weights for the pixel at index, given those coded
// before it. Indexes must rise from call to call.
func (nb *neighbours) rank(coded []Pixel, index int) {
	c := &nb.c
	y := index / c.Width
	x := index - y*c.Width
	p := y*c.Stride + x
	own := c.At(p)
	left, right, up, down := x > 0, x+1 < c.Width, y > 0, y+1 < c.Height

	nb.n = 0
	if left {
		if k := len(coded) - 1; k >= 0 && int(coded[k].Index) == index-1 {
			nb.add(own, coded[k].Color, weightBeside+weightChanged)
		} else {
			nb.add(own, c.At(p-1), weightBeside)
		}
	}
	var nwColor, neColor, nwWeight, neWeight uint8
	if up {
		first := index - c.Width - 1
		for nb.above < len(coded) && int(coded[nb.above].Index) < first {
			nb.above++
		}
		near := coded[nb.above:]
		nwColor, nwWeight, near = nb.fromAbove(near, first, p-c.Stride-1, left, weightDiagonal)
		nColor, nWeight, near := nb.fromAbove(near, first+1, p-c.Stride, true, weightBeside)
		neColor, neWeight, _ = nb.fromAbove(near, first+2, p-c.Stride+1, right, weightDiagonal)
		nb.add(own, nColor, nWeight)
	}
	if right {
		nb.add(own, c.At(p+1), weightBeside)
	}
	if down {
		nb.add(own, c.At(p+c.Stride), weightBeside)
	}
	if up && left {
		nb.add(own, nwColor, nwWeight)
	}
	if up && right {
		nb.add(own, neColor, neWeight)
	}
	if down && left {
		nb.add(own, c.At(p+c.Stride-1), weightDiagonal)
	}
	if down && right {
		nb.add(own, c.At(p+c.Stride+1), weightDiagonal)
	}
	nb.sort()
}

// fromAbove returns the colour at index (position p) in the row above and its
// weight, from the coded pixels near when it is among them. inside is whether
// the row has that pixel; without it the answer means nothing.
func (nb *neighbours) fromAbove(near []Pixel, index, p int, inside bool, weight uint8) (uint8, uint8, []Pixel) {
	if len(near) > 0 && int(near[0].Index) == index {
		return near[0].Color, weight + weightChanged, near[1:]
	}
	if !inside {
		return 0, 0, near
	}
	return nb.c.At(p), weight, near
}

func (nb *neighbours) add(own, color, weight uint8) {
	if color == own {
		return
	}
	if nb.byColor[color] == 0 {
		nb.colors[nb.n] = color
		nb.n++
	}
	nb.byColor[color] += weight
}

// sort is a stable insertion sort, and clears byColor.
func (nb *neighbours) sort() {
	for i := range nb.n {
		color := nb.colors[i]
		weight := nb.byColor[color]
		nb.byColor[color] = 0
		k := i
		for ; k > 0 && nb.weights[k-1] < weight; k-- {
			nb.colors[k], nb.weights[k] = nb.colors[k-1], nb.weights[k-1]
		}
		nb.colors[k], nb.weights[k] = color, weight
	}
}
