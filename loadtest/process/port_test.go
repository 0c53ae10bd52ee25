package process

import "testing"

func TestPortsAreDifferent(t *testing.T) {
	ports, err := FreePorts(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[int]bool)
	for _, p := range ports {
		if seen[p] || p < portMin || p >= portMax {
			t.Errorf("port %d of %v", p, ports)
		}
		seen[p] = true
	}
}
