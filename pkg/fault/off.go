//go:build !faults

package fault

import (
	"errors"
	"slices"
	"strings"
)

// Enabled says whether this build acts on rules.
const Enabled = false

// Reached says that a point is passed. It does nothing in this build.
func Reached(Point) {}

// Arm takes the rules out of the environment of the process. This build knows
// none and refuses them.
func Arm(environ []string) ([]string, error) {
	if slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, Variable+"=") }) {
		return nil, errors.New(Variable + " is set, but this binary cannot be stopped at points: unset it, or build with -tags faults")
	}
	return environ, nil
}
