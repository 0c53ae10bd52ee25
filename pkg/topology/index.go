package topology

// index finds places in a list by hash, with open addressing. What lies at a place
// its user knows, and whether it is what is looked for.
type index struct {
	places []uint32 // a place + 1; 0 where there is none
	used   int
}

const indexMin = 8

// find returns the entry where a place is or belongs, and the place; is tells
// whether it is the one.
func (x *index) find(hash uint32, is func(place int) bool) (entry, place int, found bool) {
	if len(x.places) == 0 {
		return 0, 0, false
	}
	mask := len(x.places) - 1
	for entry = int(hash) & mask; ; entry = (entry + 1) & mask {
		at := x.places[entry]
		if at == 0 {
			return entry, 0, false
		}
		if place = int(at - 1); is(place) {
			return entry, place, true
		}
	}
}

// full says whether the index must be built anew before one more is put into it.
func (x *index) full() bool { return 4*(x.used+1) > 3*len(x.places) }

// reset empties the index and makes room for n places and as many more.
func (x *index) reset(n int) {
	size := indexMin
	for 4*(n+1) > 2*size {
		size *= 2
	}
	*x = index{places: make([]uint32, size)}
}

// put puts a new place where find found that it belongs.
func (x *index) put(entry, place int) {
	x.places[entry] = uint32(place) + 1
	x.used++
}

// add puts a place, with the hash of what lies there, that is not in the index.
func (x *index) add(hash uint32, place int) {
	entry, _, _ := x.find(hash, func(int) bool { return false })
	x.put(entry, place)
}

// bytes is the memory it takes.
func (x *index) bytes() int { return 4 * cap(x.places) }
