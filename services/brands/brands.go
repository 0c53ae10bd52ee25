// Package brands publishes the brand file: who the brands are, where their days
// begin, and which accounts are theirs. A file is checked as a whole before
// anything of it is published. What is published is the newest entry of each
// brand on the compacted topic flywheel.brand; everything else follows from
// there, so a new brand needs no restart of anything.
package brands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/metric"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
)

// Change is what became of one brand.
type Change string

// The values of Change.
const (
	Added     Change = "added"
	Changed   Change = "changed"
	Unchanged Change = "unchanged"
	Retired   Change = "retired" // by this file; it was processed before
	Absent    Change = "absent"  // published, but not in this file: it stays as it is
)

// Step is one brand of a plan.
type Step struct {
	Change Change
	Brand  event.Brand // with the version it has, or will have
}

// Plan compares the brands of a file with those that are published, in the
// order of their ids. A brand whose content differs gets the version after the
// published one, so that the same file gives the same plan, and none at all
// once it is applied. It fails when an account would have two owners.
func Plan(file []event.Brand, published map[string]event.Brand) ([]Step, error) {
	steps := make([]Step, 0, len(file)+len(published))
	in := make(map[string]bool, len(file))
	for _, b := range file {
		in[b.BrandID] = true
		was, known := published[b.BrandID]
		s := Step{Added, b}
		s.Brand.Version = was.Version + 1
		switch {
		case known && same(was, b):
			s.Change, s.Brand.Version = Unchanged, was.Version
		case known && b.Retired && !was.Retired:
			s.Change = Retired
		case known:
			s.Change = Changed
		}
		steps = append(steps, s)
	}
	for id, b := range published {
		if !in[id] {
			steps = append(steps, Step{Absent, b})
		}
	}
	slices.SortFunc(steps, func(a, b Step) int { return strings.Compare(a.Brand.BrandID, b.Brand.BrandID) })
	return steps, oneOwner(steps)
}

// same compares everything but the versions.
func same(a, b event.Brand) bool {
	return a.BrandID == b.BrandID && a.Name == b.Name && slices.Equal(a.Variants, b.Variants) && a.TimeZone == b.TimeZone &&
		slices.Equal(a.UTCOffsets, b.UTCOffsets) && a.Currency == b.Currency && slices.Equal(a.Holidays, b.Holidays) &&
		slices.Equal(a.Accounts, b.Accounts) && a.Retired == b.Retired
}

// oneOwner reports accounts that an absent brand keeps and the file gives away.
// Within the file that is checked where it is read.
func oneOwner(steps []Step) error {
	owner := make(map[event.Account]string)
	for _, s := range steps {
		if s.Change == Absent && !s.Brand.Retired {
			for _, a := range s.Brand.Accounts {
				owner[a] = s.Brand.BrandID
			}
		}
	}
	var errs []error
	for _, s := range steps {
		if s.Change == Absent || s.Brand.Retired {
			continue
		}
		for _, a := range s.Brand.Accounts {
			if o, taken := owner[a]; taken {
				errs = append(errs, fmt.Errorf("account %q on %s of brand %q belongs to the published brand %q, which is not in this file: take it from that brand, or retire it, first",
					a.AccountID, a.Node, s.Brand.BrandID, o))
			}
		}
	}
	return errors.Join(errs...)
}

// Publish publishes what a plan adds, changes or retires, and returns once
// Kafka has acknowledged all of it. When it fails some brands may be published;
// planning and publishing again completes it.
func Publish(ctx context.Context, steps []Step, cfg kafka.Config, registry codec.Registry, logger *slog.Logger, meters metric.MeterProvider) error {
	steps = slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Change == Unchanged || s.Change == Absent })
	if len(steps) == 0 {
		return nil
	}
	encoder, err := codec.NewEncoder(ctx, registry, event.TopicBrand)
	if err != nil {
		return err
	}
	producer, err := kafka.NewProducer(ctx, cfg, logger, meters)
	if err != nil {
		return err
	}
	defer producer.Close()
	failures := make(chan error, len(steps)) // so that nobody waits who reports
	for i := range steps {
		value, err := encoder.Encode(nil, &steps[i].Brand)
		if err != nil {
			return fmt.Errorf("encode brand %q: %w", steps[i].Brand.BrandID, err)
		}
		if err := producer.Produce(ctx, event.TopicBrand, steps[i].Brand.BrandID, value, func(err error) { failures <- err }); err != nil {
			return err
		}
	}
	if err := producer.Flush(ctx); err != nil {
		return err
	}
	var errs []error
	for range steps {
		if err := <-failures; err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Simple returns a brand that was not described: in UTC, without holidays and
// accounts. The id is made of the name.
func Simple(name, currency string) (event.Brand, error) {
	var id string
	if len(name) <= nameBytesMax {
		id = slug(name)
	}
	if id == "" {
		return event.Brand{}, fmt.Errorf("%q is no name of a brand: use 1 to %d bytes with at least one letter a to z or digit", name, nameBytesMax)
	}
	return event.Brand{
		BrandID: id, Name: name, Variants: []string{strings.ToLower(name)}, TimeZone: "UTC",
		UTCOffsets: []event.UTCOffset{{}}, Currency: currency, Holidays: []int32{}, Accounts: []event.Account{},
	}, nil
}

// slug makes an id of a name: lower case, with hyphens between the words.
func slug(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '.':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String()[:min(b.Len(), idBytesMax)], "-._")
}

// Find returns the published brand of that id, or the only one of that name or
// variant, in any case.
func Find(name string, published map[string]event.Brand) (event.Brand, bool) {
	if b, ok := published[name]; ok {
		return b, true
	}
	var found []event.Brand
	for _, b := range published {
		if strings.EqualFold(b.Name, name) || slices.Contains(b.Variants, strings.ToLower(name)) || b.BrandID == slug(name) {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		return event.Brand{}, false
	}
	return found[0], true
}
