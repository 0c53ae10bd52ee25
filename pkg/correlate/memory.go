package correlate

// memory lends slices of floats. What has been lent since a mark is given back all
// at once; the blocks are kept, so that work of the same size allocates once.
type memory struct {
	blocks [][]float64
	at     mark
}

// mark is how far a memory was lent.
type mark struct{ block, used int }

// blockMin is the least floats of a block.
const blockMin = 1 << 14

// floats lends n zeros.
func (m *memory) floats(n int) []float64 {
	for {
		if m.at.block == len(m.blocks) {
			m.blocks = append(m.blocks, make([]float64, max(n, blockMin<<min(m.at.block, 8))))
		}
		if b := m.blocks[m.at.block]; m.at.used+n <= len(b) {
			v := b[m.at.used : m.at.used+n : m.at.used+n]
			m.at.used += n
			clear(v)
			return v
		}
		m.at = mark{block: m.at.block + 1}
	}
}

// release gives back what was lent since the mark.
func (m *memory) release(to mark) { m.at = to }
