package brands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/rickar/cal/v2"

	"flywheel/pkg/codec"
	"flywheel/pkg/config"
	"flywheel/pkg/event"
)

// Bounds of a brand file.
const (
	fileBytesMax = 8 << 20
	lineBytesMax = 16 << 10
	nestingMax   = 64 // of brackets: a parser that recurses has to survive it
	brandsMax    = 100_000
	idBytesMax   = 64
	nameBytesMax = event.TextBytesMax
	variantsMax  = 100
	datesMax     = 1000
	accountsMax  = 200 // of all platforms
	errorsMax    = 20  // that are told
)

// idPattern is what a brand may be called in keys, URLs and reports.
var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

// Load reads the brand file at path as of a moment, which says for which years
// offsets and holidays are computed.
func Load(path string, now time.Time) ([]event.Brand, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the brand file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("read the brand file: %w", err)
	}
	return Parse(path, data, now)
}

// Parse reads a brand file. The entries come in the order of the file, with
// version 0. The error joins a sentence for each thing wrong, and begins each
// with name:line:column; there are no entries then.
func Parse(name string, data []byte, now time.Time) ([]event.Brand, error) {
	root, err := tree(name, data)
	if err != nil {
		return nil, err
	}
	static, err := codec.NewStatic()
	if err != nil {
		return nil, err
	}
	r := reader{
		file: name, year: now.UTC().Year(), countries: countries(), currencies: currencies(), zones: map[string]zone{},
		ids: map[string]ast.Node{}, owners: map[event.Account]string{},
	}
	if r.encoder, err = codec.NewEncoder(context.Background(), static, event.TopicBrand); err != nil {
		return nil, err
	}
	brands := r.brands(root)
	if len(r.errs) > errorsMax {
		r.errs = append(r.errs[:errorsMax], fmt.Errorf("%s: and %d more: mend these first", name, len(r.errs)-errorsMax))
	}
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	return brands, nil
}

// reader turns the tree of a file into brands and collects what is wrong.
type reader struct {
	file       string
	year       int
	countries  map[string][]*cal.Holiday
	currencies map[string]bool
	zones      map[string]zone
	encoder    *codec.Encoder
	buf        []byte
	ids        map[string]ast.Node
	owners     map[event.Account]string
	errs       []error
}

// zone is what is known of a time zone; one that does not exist has an error.
type zone struct {
	offsets []event.UTCOffset
	err     error
}

func (r *reader) failf(n ast.Node, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s: %s", where(r.file, n), fmt.Sprintf(format, args...)))
}

func (r *reader) brands(root ast.Node) []event.Brand {
	var list *ast.SequenceNode
	r.keys(root, "the brand file", map[string]func(ast.Node){
		"brands": func(n ast.Node) { list = r.list(n, "brands") },
	})
	if list == nil {
		if len(r.errs) == 0 {
			r.failf(root, "there are no brands: begin with 'brands:' and a list below it")
		}
		return nil
	}
	var brands []event.Brand
	for items := list.ArrayRange(); items.Next(); {
		if len(brands) == brandsMax {
			r.failf(items.Value(), "there are more than %d brands: split the file; a brand that is in no file stays as it is", brandsMax)
			break
		}
		brands = append(brands, r.brand(items.Value()))
	}
	if len(brands) == 0 && len(r.errs) == 0 {
		r.failf(root, "the list of brands is empty")
	}
	return brands
}

func (r *reader) brand(n ast.Node) event.Brand {
	b := event.Brand{Variants: []string{}, Holidays: []int32{}, Accounts: []event.Account{}}
	before := len(r.errs)
	var accounts ast.Node
	var calendar []*cal.Holiday
	var dates []int32
	seen := r.keys(n, "a brand", map[string]func(ast.Node){
		"id":        func(n ast.Node) { b.BrandID = r.id(n) },
		"name":      func(n ast.Node) { b.Name = r.text(n, "name", nameBytesMax) },
		"variants":  func(n ast.Node) { b.Variants = r.variants(n) },
		"time_zone": func(n ast.Node) { b.TimeZone, b.UTCOffsets = r.timeZone(n) },
		"currency":  func(n ast.Node) { b.Currency = r.currency(n) },
		"holidays":  func(n ast.Node) { calendar, dates = r.holidays(n) },
		"accounts":  func(n ast.Node) { accounts = n },
		"retired":   func(n ast.Node) { b.Retired = r.flag(n, "retired") },
	})
	for _, key := range []string{"id", "name", "time_zone", "currency"} {
		if seen != nil && !seen[key] {
			r.failf(n, "a brand lacks the key %q", key)
		}
	}
	if accounts != nil { // once the id is known
		b.Accounts = r.accounts(accounts, b.BrandID, b.Retired)
	}
	b.Holidays = holidays(calendar, r.year, dates)
	if own := strings.ToLower(b.Name); own != "" && !slices.Contains(b.Variants, own) {
		b.Variants = slices.Insert(b.Variants, 0, own)
	}
	if len(r.errs) > before {
		return b
	}
	var err error
	if r.buf, err = r.encoder.Encode(r.buf[:0], &b); err != nil {
		r.failf(n, "brand %q: %v", b.BrandID, err)
	} else if len(r.buf) > event.RecordBytesMax {
		r.failf(n, "brand %q takes %d bytes, at most %d: shorten its variants, dates or accounts", b.BrandID, len(r.buf), event.RecordBytesMax)
	}
	return b
}

func (r *reader) id(n ast.Node) string {
	id := r.text(n, "id", idBytesMax)
	if id == "" {
		return ""
	}
	if !idPattern.MatchString(id) {
		r.failf(n, "id %q: use lower-case letters, digits, '.', '_' and '-', and begin with a letter or digit", id)
	}
	if first, twice := r.ids[id]; twice {
		r.failf(n, "id %q is that of the brand at %s already", id, where(r.file, first))
	}
	r.ids[id] = n
	return id
}

func (r *reader) variants(n ast.Node) []string {
	variants := []string{}
	for _, item := range r.items(n, "variants", variantsMax) {
		v := strings.ToLower(r.text(item, "variants", nameBytesMax))
		switch {
		case v == "":
		case slices.Contains(variants, v):
			r.failf(item, "variant %q is there already; upper and lower case are the same", v)
		default:
			variants = append(variants, v)
		}
	}
	return variants
}

func (r *reader) timeZone(n ast.Node) (string, []event.UTCOffset) {
	name := r.text(n, "time_zone", nameBytesMax)
	if name == "" {
		return "", nil
	}
	z, known := r.zones[name]
	if !known {
		var zoneFile *time.Location
		if zoneFile, z.err = loadZone(name); z.err == nil {
			z.offsets = offsets(zoneFile, r.year)
		}
		r.zones[name] = z
	}
	if z.err != nil {
		r.failf(n, "time_zone %v%s", z.err, config.Hint(name, zoneNames()))
	}
	return name, z.offsets
}

func (r *reader) currency(n ast.Node) string {
	code := r.text(n, "currency", nameBytesMax)
	if code != "" && !r.currencies[code] {
		r.failf(n, "currency %q is no current code of ISO 4217%s", code, config.Hint(code, sorted(r.currencies)))
	}
	return code
}

func (r *reader) holidays(n ast.Node) (calendar []*cal.Holiday, dates []int32) {
	r.keys(n, "holidays", map[string]func(ast.Node){
		"country": func(n ast.Node) {
			code := r.text(n, "country", nameBytesMax)
			var known bool
			if calendar, known = r.countries[code]; !known && code != "" {
				hint := config.Hint(code, sorted(r.countries))
				if code == "UK" { // what people write for it
					hint = `; the nearest is "GB"`
				}
				r.failf(n, "country %q has no calendar here%s; or leave it out and give dates", code, hint)
			}
		},
		"dates": func(n ast.Node) {
			for _, item := range r.items(n, "dates", datesMax) {
				text := r.text(item, "dates", nameBytesMax)
				date, err := time.Parse(time.DateOnly, text)
				switch {
				case text == "":
				case err != nil || date.Year() < 1970 || date.Year() >= 2100:
					r.failf(item, "date %q: write a day from 1970 to 2099 like 2026-11-27", text)
				case slices.Contains(dates, dayOf(date)):
					r.failf(item, "date %s is there already", text)
				default:
					dates = append(dates, dayOf(date))
				}
			}
		},
	})
	return calendar, dates
}

func (r *reader) accounts(n ast.Node, brand string, retired bool) []event.Account {
	accounts := []event.Account{}
	of := func(node event.NodeName) func(ast.Node) {
		return func(n ast.Node) {
			for _, item := range r.items(n, string(node), accountsMax) {
				a := event.Account{Node: node, AccountID: r.text(item, string(node), nameBytesMax)}
				owner, taken := r.owners[a]
				switch {
				case a.AccountID == "":
				case taken && owner == brand:
					r.failf(item, "account %q is there already", a.AccountID)
				case taken && !retired:
					r.failf(item, "account %q on %s belongs to brand %q already: an account has one owner", a.AccountID, node, owner)
				default:
					if !retired {
						r.owners[a] = brand
					}
					accounts = append(accounts, a)
				}
			}
		}
	}
	keys := make(map[string]func(ast.Node))
	for _, node := range []event.NodeName{event.NodeTikTok, event.NodeAmazon, event.NodeShopify, event.NodeAISearch, event.NodeMessaging} {
		keys[string(node)] = of(node)
	}
	r.keys(n, "accounts", keys)
	if len(accounts) > accountsMax {
		r.failf(n, "there are %d accounts, at most %d", len(accounts), accountsMax)
	}
	slices.SortFunc(accounts, func(a, b event.Account) int {
		return cmp.Or(strings.Compare(string(a.Node), string(b.Node)), strings.Compare(a.AccountID, b.AccountID))
	})
	return accounts
}
