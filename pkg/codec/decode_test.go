package codec

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/avro"
	"pgregory.net/rapid"

	"flywheel/pkg/event"
	"flywheel/schemas"
)

// refusal decodes a value that has to be refused.
func refusal(t testing.TB, d *Decoder, topic string, value []byte) *Error {
	t.Helper()
	got, err := d.Decode(t.Context(), topic, value)
	var refused *Error
	if !errors.As(err, &refused) {
		t.Fatalf("Decode of %x on %s: %+v, error %v; want it refused", value, topic, got, err)
	}
	return refused
}

func TestEveryRefusalHasOneReasonAndOneSentence(t *testing.T) {
	enc, _ := newPair(t)
	registry := must(NewStatic())(t)
	dec := must(NewDecoder(registry))(t)
	review := must(enc.Encode(nil, &event.AmazonReview{ReviewID: "R1"}))(t)
	with := func(schema string) []byte {
		f := frame(registry.add(schema))
		return f[:]
	}
	stranger := with(`{"type":"record","name":"amazon_review","namespace":"elsewhere","fields":[]}`)
	nameless := with(`{"type":"record","name":"fax","fields":[]}`)
	misfit := with(`{"type":"record","name":"amazon_review","namespace":"flywheel.v1","fields":[]}`)
	noAvro := with(`{"type":"object"}`)
	tooLong := append(slices.Clone(review), make([]byte, event.RecordBytesMax)...)

	for name, c := range map[string]struct {
		topic  string
		value  []byte
		reason event.Reason
		record string
		detail string
	}{
		"an empty value":                 {event.TopicAmazon, nil, event.ReasonMalformed, "", "does not begin with a zero byte"},
		"a value that ends in its id":    {event.TopicAmazon, review[:4], event.ReasonMalformed, "", "does not begin with a zero byte"},
		"JSON":                           {event.TopicAmazon, []byte(`{"stars":5}`), event.ReasonMalformed, "", "does not begin with a zero byte"},
		"a schema nobody registered":     {event.TopicAmazon, []byte{0, 1, 2, 3, 4, 0}, event.ReasonUnknownSchema, "", "does not hold schema 16909060"},
		"a record of another name space": {event.TopicAmazon, stranger, event.ReasonUnknownRecord, "elsewhere.amazon_review", `is of "elsewhere.amazon_review", which no topic carries`},
		"a record of no name space":      {event.TopicAmazon, nameless, event.ReasonUnknownRecord, "fax", `is of "fax", which no topic carries`},
		"a contract ours cannot read":    {event.TopicAmazon, misfit, event.ReasonUnknownSchema, "amazon_review", "upgrade this program"},
		"a schema that is not Avro":      {event.TopicAmazon, noAvro, event.ReasonUnknownSchema, "", "is not an Avro contract"},
		"a record of another topic":      {event.TopicTikTok, review, event.ReasonWrongTopic, "amazon_review", "record amazon_review is on topic channel.tiktok: publish it to channel.amazon"},
		"a record on no topic of ours":   {"other", review, event.ReasonWrongTopic, "amazon_review", "publish it to channel.amazon"},
		"a record that is too long":      {event.TopicAmazon, tooLong, event.ReasonOversized, "amazon_review", "at most 65536 are allowed"},
		"a record that is cut short":     {event.TopicAmazon, review[:len(review)-1], event.ReasonMalformed, "amazon_review", "does not read as amazon_review"},
		"bytes behind the record":        {event.TopicAmazon, append(slices.Clone(review), 0), event.ReasonMalformed, "amazon_review", "1 bytes follow the amazon_review"},
	} {
		t.Run(name, func(t *testing.T) {
			got := refusal(t, dec, c.topic, c.value)
			if got.Reason != c.reason || got.Record != c.record || !strings.Contains(got.Detail, c.detail) {
				t.Errorf("refused as %+v\nwant reason %s, record %q, detail with %q", got, c.reason, c.record, c.detail)
			}
		})
	}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	enc, dec := newPair(t)
	enums := symbols(t)
	forEachRecord(t, func(t *testing.T, c *contract) {
		rapid.Check(t, func(rt *rapid.T) {
			record := c.new()
			fill(rt, reflect.ValueOf(record).Elem(), enums)
			value, err := enc.Encode(nil, record)
			if err != nil {
				rt.Fatal(err)
			}
			for n := range value {
				if got, err := dec.Decode(t.Context(), c.topic, value[:n]); err == nil {
					rt.Fatalf("%d of %d bytes read as %+v", n, len(value), got)
				}
			}
		})
	})
}

// Hostile values claim to hold far more than they do: refusing them must not
// cost more memory than the value itself could hold.
func TestHostileValuesAreRefusedInLittleMemory(t *testing.T) {
	long := func(vs ...int64) (b []byte) {
		for _, v := range vs {
			b = binary.AppendVarint(b, v)
		}
		return b
	}
	header := make([]byte, 16) // event id; the rest of a header follows as zeros
	header = append(header, long(0, 0, 0, 0, 0, 0)...)
	brand := long(0, 0, 0) // id, version, name

	// A writer with fields ours does not have: they are skipped, not stored.
	extended := func(field string) string {
		text := string(must(schemas.Avro("amazon_review", 1))(t))
		return strings.Replace(text, `"fields": [`, `"fields": [`+field+`,`, 1)
	}
	registry := must(NewStatic())(t)
	dec := must(NewDecoder(registry))(t)
	withMap := registry.add(extended(`{"name":"m","type":{"type":"map","values":"null"},"default":{}}`))
	withNulls := registry.add(extended(`{"name":"n","type":{"type":"array","items":"null"},"default":[]}`))
	id := func(record string) uint32 {
		return must(registry.ID(t.Context(), "", string(must(schemas.Avro(record, 1))(t))))(t)
	}

	for name, c := range map[string]struct {
		topic  string
		schema uint32
		datum  []byte
	}{
		"a text of 2 GiB":                            {event.TopicAmazon, id("amazon_review"), append(slices.Clone(header[:16]), long(math.MaxInt32)...)},
		"a text of negative length":                  {event.TopicAmazon, id("amazon_review"), append(slices.Clone(header[:16]), long(-1)...)},
		"a text as long as numbers go":               {event.TopicAmazon, id("amazon_review"), append(slices.Clone(header[:16]), long(math.MaxInt64)...)},
		"a number that does not end":                 {event.TopicAmazon, id("amazon_review"), append(slices.Clone(header[:17]), bytes.Repeat([]byte{0xff}, 64)...)},
		"an int that needs 64 bits":                  {event.TopicAmazon, id("amazon_review"), append(slices.Clone(header), long(0, 0, math.MaxInt64)...)},
		"an enum symbol past the last":               {event.TopicTikTok, id("tiktok_content_published"), append(slices.Clone(header), long(0, 0, 3, 0, 0)...)},
		"an enum symbol below the first":             {event.TopicTikTok, id("tiktok_content_published"), append(slices.Clone(header), long(0, 0, -1, 0, 0)...)},
		"an array of 2 billion texts":                {event.TopicBrand, id("brand"), append(slices.Clone(brand), long(math.MaxInt32)...)},
		"an array of as many texts as numbers go":    {event.TopicBrand, id("brand"), append(slices.Clone(brand), long(math.MaxInt64)...)},
		"an array in a block of negative count":      {event.TopicBrand, id("brand"), append(slices.Clone(brand), long(-math.MaxInt32, 8)...)},
		"an array in a block of the least count":     {event.TopicBrand, id("brand"), append(slices.Clone(brand), long(math.MinInt64, 8)...)},
		"an array whose block has a negative size":   {event.TopicBrand, id("brand"), append(slices.Clone(brand), long(-1, -8, 0, 0)...)},
		"a payload of 2 GiB":                         {event.TopicDeadLetter, id("dead_letter"), append(make([]byte, 16), long(0, 0, 0, 0, 0, 0, 0, 0, 0, math.MaxInt32)...)},
		"a skipped map of 2 billion entries":         {event.TopicAmazon, withMap, long(math.MaxInt32)},
		"a skipped map of negative count":            {event.TopicAmazon, withMap, long(math.MinInt64, 0)},
		"a skipped array of 2 billion nulls":         {event.TopicAmazon, withNulls, long(math.MaxInt32)},
		"a skipped array of as many nulls as can be": {event.TopicAmazon, withNulls, long(math.MaxInt64)},
		"a skipped array whose block ends before it": {event.TopicAmazon, withNulls, long(-math.MaxInt32, math.MaxInt32)},
	} {
		t.Run(name, func(t *testing.T) {
			f := frame(c.schema)
			value := append(f[:], c.datum...)
			_ = refusal(t, dec, c.topic, value) // resolves the schema, once
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := refusal(t, dec, c.topic, value)
			runtime.ReadMemStats(&after)
			if got.Reason != event.ReasonMalformed {
				t.Errorf("refused as %+v, want malformed", got)
			}
			if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
				t.Errorf("refusing %d bytes took %d bytes of memory", len(value), n)
			}
		})
	}
}

// A later version adds a field with a default, drops one, and widens one: old
// programs read the new records, and new programs the old ones.
func TestVersionsReadEachOther(t *testing.T) {
	v1 := `{"type":"record","name":"amazon_review","namespace":"flywheel.v1","fields":[` +
		`{"name":"review_id","type":"string"},{"name":"stars","type":"int"}]}`
	v2 := `{"type":"record","name":"amazon_review","namespace":"flywheel.v1","fields":[` +
		`{"name":"verified","type":"boolean","default":true},{"name":"review_id","type":"string"},{"name":"stars","type":"int"},` +
		`{"name":"country","type":"string","default":"??"}]}`
	type old struct {
		ReviewID string `avro:"review_id"`
		Stars    int32  `avro:"stars"`
	}
	type current struct {
		Verified bool   `avro:"verified"`
		ReviewID string `avro:"review_id"`
		Stars    int32  `avro:"stars"`
		Country  string `avro:"country"`
	}
	for name, c := range map[string]struct {
		writer, reader string
		written, read  any
	}{
		"an old program reads a new record": {v2, v1, &current{false, "R1", 4, "DE"}, &old{"R1", 4}},
		"a new program reads an old record": {v1, v2, &old{"R1", 4}, &current{true, "R1", 4, "??"}},
	} {
		t.Run(name, func(t *testing.T) {
			registry := &Static{ids: make(map[string]uint32)}
			dec := must(NewDecoder(registry))(t)
			reader := dec.contracts["amazon_review"]
			reader.schema = avro.MustParse(c.reader)
			dec.reused["amazon_review"] = reflect.New(reflect.TypeOf(c.read).Elem()).Interface()

			f := frame(registry.add(c.writer))
			value := must(avro.MustParse(c.writer).AppendEncode(f[:], c.written))(t)
			for range 2 { // the second time into a struct that holds the first
				got := must(dec.Decode(t.Context(), reader.topic, value))(t)
				if diff := cmp.Diff(c.read, got); diff != "" {
					t.Errorf("read (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A result that a program wrote before there were daily tests says that nothing was
// tested.
func TestAnOldCorrelationSaysThatNothingWasTested(t *testing.T) {
	registry := must(NewStatic())(t)
	old := string(must(schemas.Avro("correlation", 1))(t))
	f := frame(registry.add(old))
	want := correlation()
	value := must(avro.MustParse(old).AppendEncode(f[:], want))(t)
	want.TestPValue = 1
	got := must(must(NewDecoder(registry))(t).Decode(t.Context(), event.TopicCorrelation, value))(t)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
}

// outage is a registry that cannot be reached until it is mended.
type outage struct {
	Registry
	broken bool
}

func (o *outage) Schema(ctx context.Context, id uint32) (string, error) {
	if o.broken {
		return "", errors.New("connection refused")
	}
	return o.Registry.Schema(ctx, id)
}

func TestAnOutageOfTheRegistryRefusesNothing(t *testing.T) {
	enc, _ := newPair(t)
	registry := &outage{must(NewStatic())(t), true}
	dec := must(NewDecoder(registry))(t)
	value := must(enc.Encode(nil, statistics()))(t)

	_, err := dec.Decode(t.Context(), event.TopicTikTok, value)
	var refused *Error
	if err == nil || errors.As(err, &refused) {
		t.Fatalf("Decode while the registry is away: %v; want an error that is not the record's own fault", err)
	}
	registry.broken = false
	must(dec.Decode(t.Context(), event.TopicTikTok, value))(t)
	registry.broken = true // what is known stays readable
	must(dec.Decode(t.Context(), event.TopicTikTok, value))(t)
}

func TestASchemaRegisteredLaterIsSeen(t *testing.T) {
	registry := must(NewStatic())(t)
	dec := must(NewDecoder(registry))(t)
	text := string(must(schemas.Avro("amazon_review", 1))(t))
	f := frame(uint32(len(registry.schemas)) + 1)
	value := must(avro.MustParse(text).AppendEncode(f[:], &event.AmazonReview{}))(t)

	if got := refusal(t, dec, event.TopicAmazon, value); got.Reason != event.ReasonUnknownSchema {
		t.Errorf("before: %+v", got)
	}
	registry.add(text)
	must(dec.Decode(t.Context(), event.TopicAmazon, value))(t)
}

func TestADecoderKeepsABoundedNumberOfSchemas(t *testing.T) {
	registry := must(NewStatic())(t)
	dec := must(NewDecoder(registry))(t)
	for i := range cachedSchemasMax + 10 {
		f := frame(registry.add(fmt.Sprintf(`{"type":"record","name":"r%d","fields":[]}`, i)))
		_ = refusal(t, dec, event.TopicAmazon, f[:])
	}
	if n := len(dec.writers); n > cachedSchemasMax {
		t.Errorf("%d schemas kept, at most %d allowed", n, cachedSchemasMax)
	}
}

func TestStructsAreReusedButBrandsStay(t *testing.T) {
	enc, dec := newPair(t)
	decode := func(topic string, record any) (any, []byte) {
		value := must(enc.Encode(nil, record))(t)
		return must(dec.Decode(t.Context(), topic, value))(t), value
	}
	one, _ := decode(event.TopicTikTok, statistics())
	two, _ := decode(event.TopicTikTok, statistics())
	if one != two {
		t.Error("two channel records of a type are read into two structs")
	}

	want := &event.Brand{BrandID: "b", Variants: []string{"acme"}, UTCOffsets: []event.UTCOffset{}, Holidays: []int32{1}, Accounts: []event.Account{{Node: event.NodeAmazon, AccountID: "a"}}}
	brand, value := decode(event.TopicBrand, want)
	decode(event.TopicBrand, &event.Brand{BrandID: "c", Variants: []string{"zeta"}})
	clear(value)
	if diff := cmp.Diff(any(want), brand); diff != "" {
		t.Errorf("a brand after the next one was read and its value overwritten (-want +got):\n%s", diff)
	}
}

// TestDirectReadsWhatTheLibraryReads compares the two on values of every flat
// record, whole and damaged: what is read directly, the library reads the same.
func TestDirectReadsWhatTheLibraryReads(t *testing.T) {
	enc, dec := newPair(t)
	enums := symbols(t)
	flat := 0
	forEachRecord(t, func(t *testing.T, c *contract) {
		read, want := c.new(), c.new()
		d := newDirect(c.schema, c.schema, read)
		if _, isEvent := read.(event.Record); !isEvent {
			return
		}
		if d == nil {
			t.Fatalf("the record is not read directly")
		}
		flat++
		rapid.Check(t, func(rt *rapid.T) {
			record := c.new()
			fill(rt, reflect.ValueOf(record).Elem(), enums)
			datum := must(enc.Encode(nil, record))(t)[frameBytes:]
			if !d.read(datum) {
				rt.Fatalf("%+v is not read", record)
			}
			if diff := cmp.Diff(record, read, cmpopts.EquateNaNs()); diff != "" {
				rt.Fatalf("read (-written +read):\n%s", diff)
			}
			for range rapid.IntRange(1, 3).Draw(rt, "damages") {
				at := rapid.IntRange(0, len(datum)-1).Draw(rt, "at")
				if datum[at] = rapid.Byte().Draw(rt, "byte"); rapid.Bool().Draw(rt, "cut") {
					datum = datum[:at+1]
				}
			}
			if !d.read(datum) {
				return
			}
			rest, err := c.schema.Decode(datum, want, dec.alias...)
			if diff := cmp.Diff(want, read, cmpopts.EquateNaNs()); diff != "" || err != nil || len(rest) > 0 {
				rt.Fatalf("%x: the library says %v, %d bytes left (-library +direct):\n%s", datum, err, len(rest), diff)
			}
		})
	})
	if flat == 0 {
		t.Error("nothing was compared")
	}
}

// FuzzDecode feeds arbitrary data to every schema. What is read must be
// written and read again without change.
func FuzzDecode(f *testing.F) {
	cs := must(contracts())(f)
	enc, dec := newPair(f)
	f.Fuzz(func(t *testing.T, record uint8, datum []byte) {
		c := cs[int(record)%len(cs)]
		header := enc.encodings[reflect.TypeOf(c.new())].frame
		read, err := dec.Decode(t.Context(), c.topic, append(header[:], datum...))
		if err != nil {
			var refused *Error
			if !errors.As(err, &refused) || refused.Reason != event.ReasonMalformed && refused.Reason != event.ReasonOversized {
				t.Fatalf("Decode: %v", err)
			}
			return
		}
		once, err := enc.Encode(nil, read)
		if err != nil {
			t.Fatalf("encode %+v, which was decoded: %v", read, err)
		}
		again, err := dec.Decode(t.Context(), c.topic, once)
		if err != nil {
			t.Fatal(err)
		}
		if twice := must(enc.Encode(nil, again))(t); !bytes.Equal(once, twice) {
			t.Fatalf("written as %x, then as %x", once, twice)
		}
	})
}

// FuzzFrame feeds arbitrary values: whatever they are, each is either read or
// refused for one reason.
func FuzzFrame(f *testing.F) {
	_, dec := newPair(f)
	topics := must(schemas.LoadTopics())(f).Topics
	f.Fuzz(func(t *testing.T, topic uint8, value []byte) {
		got, err := dec.Decode(t.Context(), topics[int(topic)%len(topics)].Name, value)
		var refused *Error
		if (err == nil) == (got == nil) || err != nil && (!errors.As(err, &refused) || refused.Reason == "" || refused.Detail == "") {
			t.Fatalf("Decode: %v, %v", got, err)
		}
	})
}
