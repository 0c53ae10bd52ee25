package brands

import (
	_ "embed"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // so that a zone means the same on every machine

	"github.com/rickar/cal/v2"
	"github.com/rickar/cal/v2/ar"
	"github.com/rickar/cal/v2/at"
	"github.com/rickar/cal/v2/be"
	"github.com/rickar/cal/v2/bg"
	"github.com/rickar/cal/v2/br"
	"github.com/rickar/cal/v2/ca"
	"github.com/rickar/cal/v2/ch"
	"github.com/rickar/cal/v2/cz"
	"github.com/rickar/cal/v2/de"
	"github.com/rickar/cal/v2/dk"
	"github.com/rickar/cal/v2/es"
	"github.com/rickar/cal/v2/fr"
	"github.com/rickar/cal/v2/gb"
	"github.com/rickar/cal/v2/gr"
	"github.com/rickar/cal/v2/hr"
	"github.com/rickar/cal/v2/ie"
	"github.com/rickar/cal/v2/it"
	"github.com/rickar/cal/v2/lt"
	"github.com/rickar/cal/v2/lv"
	"github.com/rickar/cal/v2/mw"
	"github.com/rickar/cal/v2/nc"
	"github.com/rickar/cal/v2/nl"
	"github.com/rickar/cal/v2/no"
	"github.com/rickar/cal/v2/nz"
	"github.com/rickar/cal/v2/pl"
	"github.com/rickar/cal/v2/ro"
	"github.com/rickar/cal/v2/ru"
	"github.com/rickar/cal/v2/se"
	"github.com/rickar/cal/v2/si"
	"github.com/rickar/cal/v2/sk"
	"github.com/rickar/cal/v2/ua"
	"github.com/rickar/cal/v2/us"
	"github.com/rickar/cal/v2/za"
	"golang.org/x/text/currency"

	"flywheel/pkg/event"
)

// spanYears is how many years before and after the present one a brand's
// offsets and holidays are computed for. Whole years, so that an entry changes
// on New Year's Day and not with every run.
const spanYears = 2

// zones holds the names of the IANA database, for telling the nearest one.
//
//go:embed zones.txt
var zones string

func zoneNames() iter.Seq[string] { return strings.SplitSeq(strings.TrimSpace(zones), "\n") }

// countries returns the calendars of national public holidays by ISO 3166 code.
func countries() map[string][]*cal.Holiday {
	return map[string][]*cal.Holiday{
		"AR": ar.Holidays, "AT": at.Holidays, "BE": be.Holidays, "BG": bg.Holidays, "BR": br.Holidays,
		"CA": ca.Holidays, "CH": ch.Holidays, "CZ": cz.Holidays, "DE": de.Holidays, "DK": dk.Holidays,
		"ES": es.Holidays, "FR": fr.Holidays, "GB": gb.Holidays, "GR": gr.Holidays, "HR": hr.Holidays,
		"IE": ie.Holidays, "IT": it.Holidays, "LT": lt.Holidays, "LV": lv.Holidays, "MW": mw.Holidays,
		"NC": nc.Holidays, "NL": nl.Holidays, "NO": no.Holidays, "NZ": nz.Holidays, "PL": pl.Holidays,
		"RO": ro.Holidays, "RU": ru.Holidays, "SE": se.Holidays, "SI": si.Holidays, "SK": sk.Holidays,
		"UA": ua.Holidays, "US": us.Holidays, "ZA": za.Holidays,
	}
}

// currencies returns the codes that are legal tender somewhere today.
func currencies() map[string]bool {
	codes := make(map[string]bool)
	for q := currency.Query(); q.Next(); {
		codes[q.Unit().String()] = true
	}
	return codes
}

// loadZone returns a zone of the IANA database. The names that mean the
// machine's own zone are none.
func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%q is no zone of the IANA database", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is no zone of the IANA database", name)
	}
	return zone, nil
}

// offsets returns the offsets of a zone over the span around a year: the one
// that holds when the span begins, and one for each change after it.
func offsets(zone *time.Location, year int) []event.UTCOffset {
	at := time.Date(year-spanYears, 1, 1, 0, 0, 0, 0, time.UTC)
	end := time.Date(year+spanYears+1, 1, 1, 0, 0, 0, 0, time.UTC)
	var all []event.UTCOffset
	for at.Before(end) {
		local := at.In(zone)
		_, seconds := local.Zone()
		if minutes := int32(seconds / 60); len(all) == 0 || all[len(all)-1].OffsetMinutes != minutes {
			all = append(all, event.UTCOffset{FromMs: at.UnixMilli(), OffsetMinutes: minutes})
		}
		_, next := local.ZoneBounds()
		if next.IsZero() {
			break
		}
		at = next.UTC()
	}
	return all
}

// daySeconds is the length of a day as the calendar counts it.
const daySeconds = 24 * 60 * 60

// dayOf counts a date in days since 1970-01-01.
func dayOf(date time.Time) int32 {
	y, m, d := date.Date()
	return int32(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / daySeconds)
}

// holidays returns the public holidays of the calendar over the span around a
// year, and the dates, ascending. A holiday that is made up for on another day
// counts on both: people are at home on either.
func holidays(calendar []*cal.Holiday, year int, dates []int32) []int32 {
	days := append([]int32{}, dates...)
	for y := year - spanYears; y <= year+spanYears; y++ {
		for _, h := range calendar {
			actual, observed := h.Calc(y)
			for _, date := range []time.Time{actual, observed} {
				if !date.IsZero() {
					days = append(days, dayOf(date))
				}
			}
		}
	}
	slices.Sort(days)
	return slices.Compact(days)
}
