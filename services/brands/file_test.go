package brands

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flywheel/pkg/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const example = "../../deploy/brands.example.yaml"

func TestTheExampleFileIsWhatItSays(t *testing.T) {
	brands, err := Load(example, now)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, brand := range brands {
		// Dates and times as a reader checks them.
		var days, offsets []string
		for _, d := range brand.Holidays {
			days = append(days, time.Unix(int64(d)*daySeconds, 0).UTC().Format("2006-01-02 Mon"))
		}
		for _, o := range brand.UTCOffsets {
			offsets = append(offsets, fmt.Sprintf("%s %+d", time.UnixMilli(o.FromMs).UTC().Format(time.RFC3339), o.OffsetMinutes))
		}
		out, err := json.MarshalIndent(map[string]any{
			"id": brand.BrandID, "name": brand.Name, "variants": brand.Variants, "zone": brand.TimeZone, "currency": brand.Currency,
			"accounts": brand.Accounts, "retired": brand.Retired, "holidays": days, "offsets": offsets,
		}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(out, '\n'))
	}
	golden := filepath.Join("testdata", "example.golden")
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatalf("%v; write it with `make goldens`", err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestMistakesAreLocated(t *testing.T) {
	const good = "  - {id: a, name: A, time_zone: UTC, currency: USD}\n"
	brand := func(more string) string {
		return "brands:\n  - id: acme\n    name: Acme\n    time_zone: UTC\n    currency: USD\n" + more
	}
	for name, tc := range map[string]struct{ file, want string }{
		"an empty file":                     {"", "f.yaml: the file is empty: begin with 'brands:' and a list below it"},
		"only comments":                     {"# nothing\n", "f.yaml: the file is empty: begin with 'brands:' and a list below it"},
		"no brands":                         {"brands: []\n", "f.yaml:1:7: the list of brands is empty"},
		"a list at the top":                 {"- id: a\n", "f.yaml:1:1: the brand file: expected keys and values, found a list"},
		"brands that are no list":           {"brands: 5\n", "f.yaml:1:9: brands: expected a list, found number 5"},
		"an unknown key at the top":         {"brand: []\n", `f.yaml:1:1: the brand file has no key "brand"; the nearest is "brands"`},
		"an unknown key of a brand":         {brand("    timezone: UTC\n"), `f.yaml:6:5: a brand has no key "timezone"; the nearest is "time_zone"`},
		"a key twice":                       {brand("    name: B\n"), `f.yaml:6:5: mapping key "name" already defined at [3:5]`},
		"a key that is missing":             {"brands:\n  - {id: a, name: A, currency: USD}\n", `f.yaml:2:5: a brand lacks the key "time_zone"`},
		"an id twice":                       {"brands:\n" + good + good, `f.yaml:3:10: id "a" is that of the brand at f.yaml:2:10 already`},
		"an id in upper case":               {strings.ReplaceAll("brands:\n"+good, "id: a", "id: A"), `f.yaml:2:10: id "A": use lower-case letters, digits, '.', '_' and '-', and begin with a letter or digit`},
		"an id that is too long":            {strings.ReplaceAll("brands:\n"+good, "id: a", "id: "+strings.Repeat("a", 65)), `f.yaml:2:10: id: 65 bytes long, at most 64`},
		"an empty name":                     {strings.ReplaceAll("brands:\n"+good, "name: A", "name: ''"), `f.yaml:2:19: name: the text is empty`},
		"a name with a control character":   {strings.ReplaceAll("brands:\n"+good, "name: A", `name: "A\tB"`), `f.yaml:2:19: name: "A\tB" holds a control character`},
		"an unknown zone":                   {strings.ReplaceAll("brands:\n"+good, "UTC", "America/New_Yrok"), `f.yaml:2:33: time_zone "America/New_Yrok" is no zone of the IANA database; the nearest is "America/New_York"`},
		"the zone of the machine":           {strings.ReplaceAll("brands:\n"+good, "UTC", "Local"), `f.yaml:2:33: time_zone "Local" is no zone of the IANA database`},
		"a zone that leaves the database":   {strings.ReplaceAll("brands:\n"+good, "UTC", "../../etc/passwd"), `f.yaml:2:33: time_zone "../../etc/passwd" is no zone of the IANA database`},
		"an unknown currency":               {strings.ReplaceAll("brands:\n"+good, "USD", "USB"), `f.yaml:2:48: currency "USB" is no current code of ISO 4217; the nearest is "USD"`},
		"a currency in lower case":          {strings.ReplaceAll("brands:\n"+good, "USD", "usd"), `f.yaml:2:48: currency "usd" is no current code of ISO 4217; the nearest is "USD"`},
		"an unknown country":                {brand("    holidays: {country: UK}\n"), `f.yaml:6:25: country "UK" has no calendar here; the nearest is "GB"; or leave it out and give dates`},
		"a date that does not exist":        {brand("    holidays: {dates: [2026-02-30]}\n"), `f.yaml:6:24: date "2026-02-30": write a day from 1970 to 2099 like 2026-11-27`},
		"a date twice":                      {brand("    holidays: {dates: [2026-02-03, 2026-02-03]}\n"), `f.yaml:6:36: date 2026-02-03 is there already`},
		"an unknown platform":               {brand("    accounts: {amzon: [x]}\n"), `f.yaml:6:16: accounts has no key "amzon"; the nearest is "amazon"`},
		"an account twice":                  {brand("    accounts: {amazon: [x, x]}\n"), `f.yaml:6:28: account "x" is there already`},
		"an account of two brands":          {brand("    accounts: {amazon: [x]}\n") + "  - {id: b, name: B, time_zone: UTC, currency: USD, accounts: {amazon: [x]}}\n", `f.yaml:7:73: account "x" on amazon belongs to brand "acme" already: an account has one owner`},
		"an account that may be octal":      {brand("    accounts: {amazon: [0123]}\n"), `f.yaml:6:25: amazon: put 0123 in quotes: as a number it may mean another text`},
		"an account that is a list":         {brand("    accounts: {amazon: [[x]]}\n"), `f.yaml:6:25: amazon: expected text, found a list`},
		"a variant twice":                   {brand("    variants: [x, X]\n"), `f.yaml:6:19: variant "x" is there already; upper and lower case are the same`},
		"variants that are no list":         {brand("    variants: x\n"), `f.yaml:6:15: variants: expected a list, found text "x"`},
		"too many variants":                 {brand("    variants: [" + strings.Repeat("x, ", variantsMax) + "x]\n"), "f.yaml:6:316: variants: there are more than 100 entries"},
		"a flag that is none":               {brand("    retired: yes\n"), `f.yaml:6:14: retired: expected true or false, found text "yes"`},
		"an alias":                          {brand("    variants: &v [x]\n"), `f.yaml:6:15: variants: expected a list, found YAML Anchor, which brand files do without`},
		"a second document":                 {"brands:\n" + good + "---\nbrands: []\n", "f.yaml:4:7: a second YAML document begins; a brand file is one"},
		"broken YAML":                       {"brands: [\n", "f.yaml:1:9: sequence end token ']' not found"},
		"no text":                           {"\xff\xfe", "f.yaml: not a text file in UTF-8"},
		"a line without end":                {"#" + strings.Repeat("x", lineBytesMax), "f.yaml:1: the line is longer than 16KiB"},
		"brackets without end":              {strings.Repeat("[\n", 10_000), "f.yaml:65: nested too deeply for a brand file"},
		"lists in lists without end":        {strings.Repeat("- ", 5000), "f.yaml:1: nested too deeply for a brand file"},
		"a brand larger than a record":      {brand("    accounts: {amazon: [" + wide(150, 200, "a") + "]}\n    variants: [" + wide(80, 190, "v") + "]\n    holidays: {country: US}\n"), ""},
		"a brand far larger than a record":  {brand("    accounts:\n      amazon:\n" + long(200, 256, "a") + "    variants:\n" + long(100, 256, "v")), `f.yaml:2:7: brand "acme" takes `},
		"mistakes without end, of which 20": {"brands:\n" + strings.Repeat("  - {}\n", 10), "f.yaml: and 20 more: mend these first"},
	} {
		t.Run(name, func(t *testing.T) {
			brands, err := Parse("f.yaml", []byte(tc.file), now)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v\nwant %s", err, tc.want)
			}
			if brands != nil {
				t.Errorf("there are brands in spite of it: %v", brands)
			}
		})
	}
}

// wide is a list of texts within one line, long one of one line each.
func wide(n, bytes int, of string) string { return strings.Join(texts(min(n, 60), bytes, of), ", ") }

func long(n, bytes int, of string) string {
	return "        - " + strings.Join(texts(n, bytes, of), "\n        - ") + "\n"
}

func texts(n, bytes int, of string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s%0*d", of, bytes-1, i)
	}
	return all
}

func TestOffsetsAgreeWithTheZoneAtEveryMoment(t *testing.T) {
	names := slices.Collect(zoneNames())
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(names).Draw(t, "zone")
		year := rapid.IntRange(1995, 2035).Draw(t, "year")
		zone, err := loadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		all := offsets(zone, year)
		begin, end := time.Date(year-spanYears, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(year+spanYears+1, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		at := rapid.Int64Range(begin, end-1).Draw(t, "at")
		var got int32
		for i, o := range all {
			if i > 0 && o.FromMs <= all[i-1].FromMs {
				t.Fatalf("offsets are not ascending: %v", all)
			}
			if o.FromMs <= at*1000 {
				got = o.OffsetMinutes
			}
		}
		if _, want := time.Unix(at, 0).In(zone).Zone(); got != int32(want/60) {
			t.Errorf("%s at %d: %d minutes, want %d seconds", name, at, got, want)
		}
	})
}

func TestEveryNameOfTheZoneListLoads(t *testing.T) {
	n := 0
	for name := range zoneNames() {
		if _, err := loadZone(name); err != nil {
			t.Error(err)
		}
		n++
	}
	if n < 400 {
		t.Errorf("the list holds only %d zones", n)
	}
}

func TestEveryCalendarHasHolidaysInEveryYear(t *testing.T) {
	for code, calendar := range countries() {
		for year := 2024; year <= 2030; year++ {
			begin, end := dayOf(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)), dayOf(time.Date(year, 12, 31, 0, 0, 0, 0, time.UTC))
			n := 0
			days := holidays(calendar, year, nil)
			for i, d := range days {
				if i > 0 && d <= days[i-1] {
					t.Fatalf("%s: holidays are not ascending: %v", code, days)
				}
				if d >= begin && d <= end {
					n++
				}
			}
			if n < 5 {
				t.Errorf("%s has %d holidays in %d", code, n, year)
			}
		}
	}
}

// TestAWholeYearGivesTheSameFile holds the entries still: what changes with the
// clock changes on New Year's Day only.
func TestAWholeYearGivesTheSameFile(t *testing.T) {
	first, err := Load(example, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{now, time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)} {
		again, err := Load(example, at)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, again); diff != "" {
			t.Errorf("at %s (-January +then):\n%s", at, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile(example)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, s := range []string{
		"", "brands:\n", "brands: [{id: a, name: A, time_zone: UTC, currency: USD}]", "a: &a [*a]", "brands: !!binary x", "? [a]\n: b",
		"<<: {brands: []}", "brands: |\n  x", "\t", "brands: [{id: 1}, {id: 0x1}, {accounts: {tiktok: [1.5, ~, .inf]}}]", "%YAML 1.2\n---\nbrands: []",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		brands, err := Parse("f.yaml", data, now)
		switch {
		case err != nil && brands != nil:
			t.Fatalf("both an error and brands: %v", err)
		case err != nil && !strings.HasPrefix(err.Error(), "f.yaml:"):
			t.Fatalf("the error does not begin with the file: %q", err)
		case err == nil && len(brands) == 0:
			t.Fatal("neither an error nor brands")
		}
		seen := map[string]bool{}
		for _, b := range brands {
			if seen[b.BrandID] || b.BrandID == "" || len(b.UTCOffsets) == 0 || len(b.Variants) == 0 || len(b.Accounts) > accountsMax {
				t.Fatalf("a brand that cannot be: %+v", b)
			}
			seen[b.BrandID] = true
			if !slices.IsSortedFunc(b.Accounts, func(x, y event.Account) int {
				return strings.Compare(string(x.Node)+"\x00"+x.AccountID, string(y.Node)+"\x00"+y.AccountID)
			}) {
				t.Fatalf("accounts depend on the order of the file: %v", b.Accounts)
			}
		}
	})
}
