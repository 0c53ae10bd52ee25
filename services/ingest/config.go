package ingest

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode"

	"flywheel/pkg/event"
)

// Role is what a series stands for.
type Role string

// The values of Role.
const (
	Stimulus Role = "stimulus" // views gained by a piece of content on TikTok
	Response Role = "response" // branded searches on Amazon
)

// contentBytesMax leaves room for what is put around it in names and keys.
const contentBytesMax = 128

// Config says what a series is to be taken for.
type Config struct {
	BrandID string  // the brand it belongs to, which must be published
	Query   string  // what people search for; needed for a response
	As      Role    // what its values count
	Content string  // names the series: id of the content, part of source and keys
	Speed   float64 // how many seconds of the series pass in one; 0 is as fast as possible
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.BrandID == "" || len(c.BrandID) > event.TextBytesMax {
		fail("--brand: is %d bytes long, want 1 to %d", len(c.BrandID), event.TextBytesMax)
	}
	switch c.As {
	case Stimulus:
	case Response:
		if c.Query == "" || len(c.Query) > contentBytesMax {
			fail("the query of brand %q is %d bytes long, want 1 to %d", c.BrandID, len(c.Query), contentBytesMax)
		}
	default:
		fail("--as: %q is neither %s nor %s", c.As, Stimulus, Response)
	}
	if c.Content == "" || len(c.Content) > contentBytesMax || strings.ContainsFunc(c.Content, unicode.IsControl) {
		fail("--content: %q is no name of 1 to %d bytes; it defaults to the name of the file", c.Content, contentBytesMax)
	}
	if !(c.Speed >= 0 && c.Speed <= math.MaxInt32) {
		fail("--speed: %v is no speed: 1 is real time, 600 plays ten minutes in a second, 0 is as fast as possible", c.Speed)
	}
	return errors.Join(errs...)
}
