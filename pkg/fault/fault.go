// Package fault names the places where a crash would hurt most, so that a test
// may stop a process exactly there. In a build without the tag `faults`
// [Reached] is empty and the compiler removes it. With the tag, the variable
// FLYWHEEL_FAULT says at which passing of which point the process is killed,
// stopped or held up:
//
//	FLYWHEEL_FAULT='processor.flushed@3=kill;sink.inserted@1=stop;processor.restoring@2=sleep:5s'
//
// Passings are counted from 1 by the process, over all its goroutines.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Variable is the environment variable that holds the rules.
const Variable = "FLYWHEEL_FAULT"

// Point is a place in the code that says when it is passed.
type Point string

// The points; [Points] explains them.
const (
	ProcessorAssigned  Point = "processor.assigned"
	ProcessorRestoring Point = "processor.restoring"
	ProcessorRevoked   Point = "processor.revoked"
	ProcessorFlushing  Point = "processor.flushing"
	ProcessorFlushed   Point = "processor.flushed"
	ProcessorEnded     Point = "processor.ended"
	SinkInserting      Point = "sink.inserting"
	SinkInserted       Point = "sink.inserted"
	SinkCommitted      Point = "sink.committed"
	MigrateApplied     Point = "migrate.applied"
	MigrateRecorded    Point = "migrate.recorded"
)

// Place is a point and where in the work it lies.
type Place struct {
	Point Point
	Doc   string
}

// Points returns every point there is, in the order of the work.
func Points() []Place {
	return []Place{
		{ProcessorAssigned, "In the middle of a rebalance: the group has given out the partitions, and nothing of them is restored."},
		{ProcessorRestoring, "In the middle of restoring: a batch of changelog records of one partition is applied, more may follow."},
		{ProcessorRevoked, "In the middle of a rebalance: the group has taken the partitions away."},
		{ProcessorFlushing, "Results and changes are produced, and nobody has waited until the broker holds them."},
		{ProcessorFlushed, "The broker holds all records of the transaction, and is not asked to end it yet."},
		{ProcessorEnded, "The broker has committed the transaction, and the memory does not know it yet."},
		{SinkInserting, "Rows are gathered, and the next batch is not sent to ClickHouse yet."},
		{SinkInserted, "ClickHouse has acknowledged all rows of the flush, and their offsets are not committed yet."},
		{SinkCommitted, "The offsets of the flush are committed, and the memory still holds its rows."},
		{MigrateApplied, "A statement of the schema is executed, and not recorded as applied yet."},
		{MigrateRecorded, "A migration is applied and recorded, and the next has not begun."},
	}
}

// Action is what a rule does to the process.
type Action string

// The actions.
const (
	Kill  Action = "kill"  // SIGKILL
	Stop  Action = "stop"  // SIGSTOP, until a SIGCONT
	Sleep Action = "sleep" // the goroutine that has passed the point sleeps
)

// Rule says what happens when a point is passed for the nth time.
type Rule struct {
	Point   Point
	Passing int // from 1
	Action  Action
	Pause   time.Duration // of Sleep
}

// String returns the rule as the variable holds it.
func (r Rule) String() string {
	s := fmt.Sprintf("%s@%d=%s", r.Point, r.Passing, r.Action)
	if r.Action == Sleep {
		s += ":" + r.Pause.String()
	}
	return s
}

// Format returns rules as the variable holds them.
func Format(rules ...Rule) string {
	texts := make([]string, len(rules))
	for i, r := range rules {
		texts[i] = r.String()
	}
	return strings.Join(texts, ";")
}

// passingMax and pauseMax catch slips of the finger: nothing is tested by a rule
// that never comes true.
const (
	passingMax = 1_000_000
	pauseMax   = time.Hour
)

// Parse returns the rules of a text such as the variable holds, and refuses a
// point, passing or action that cannot be: a slip must not make a test that
// cannot fail.
func Parse(text string) ([]Rule, error) {
	var rules []Rule
	var errs []error
	for _, part := range strings.Split(text, ";") {
		r, err := parse(strings.TrimSpace(part))
		switch {
		case err != nil:
			errs = append(errs, err)
		case slices.ContainsFunc(rules, func(o Rule) bool { return o.Point == r.Point && o.Passing == r.Passing }):
			errs = append(errs, fmt.Errorf("%q: passing %d of %s has a rule already", part, r.Passing, r.Point))
		default:
			rules = append(rules, r)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return rules, nil
}

func parse(text string) (Rule, error) {
	fail := func(format string, args ...any) (Rule, error) {
		return Rule{}, fmt.Errorf("%q: %s", text, fmt.Sprintf(format, args...))
	}
	head, action, found := strings.Cut(text, "=")
	point, passing, found2 := strings.Cut(head, "@")
	if !found || !found2 {
		return fail("want a rule such as %s", Rule{Point: ProcessorFlushed, Passing: 3, Action: Kill})
	}
	var r Rule
	for _, p := range Points() {
		if string(p.Point) == point {
			r.Point = p.Point
		}
	}
	if r.Point == "" {
		return fail("there is no point %q: want one of %s", point, names())
	}
	var err error
	if r.Passing, err = strconv.Atoi(passing); err != nil || r.Passing < 1 || r.Passing > passingMax {
		return fail("passing %q is no whole number from 1 to %d", passing, passingMax)
	}
	name, pause, paused := strings.Cut(action, ":")
	switch r.Action = Action(name); {
	case r.Action == Sleep:
		if r.Pause, err = time.ParseDuration(pause); err != nil || r.Pause <= 0 || r.Pause > pauseMax {
			return fail("pause %q is no duration above 0 and up to %s, such as sleep:5s", pause, pauseMax)
		}
	case (r.Action == Kill || r.Action == Stop) && !paused:
	default:
		return fail("there is no action %q: want kill, stop or sleep:5s", action)
	}
	return r, nil
}

func names() string {
	var all []string
	for _, p := range Points() {
		all = append(all, string(p.Point))
	}
	return strings.Join(all, ", ")
}

// firedPrefix begins the line that a process writes to its error stream before
// it acts on a rule; the rule follows.
const firedPrefix = "flywheel fault: "

// Fired returns the rule that a process acts on, by a line of its error stream.
func Fired(line string) (Rule, bool) {
	text, found := strings.CutPrefix(strings.TrimSuffix(line, "\n"), firedPrefix)
	if !found {
		return Rule{}, false
	}
	r, err := parse(text)
	return r, err == nil
}
