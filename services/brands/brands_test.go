package brands

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric/noop"
	"pgregory.net/rapid"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
	"flywheel/pkg/setup"
	"flywheel/pkg/testkit"
)

// world is a Kafka with the topics, and a registry with the contracts.
type world struct {
	*testing.T
	kafka    kafka.Config
	registry *codec.Client
	client   *kgo.Client
	log      bytes.Buffer
}

func newWorld(t *testing.T) *world {
	cluster := testkit.Kafka(t)
	w := &world{T: t, kafka: kafka.DefaultConfig(), client: testkit.KafkaClient(t, cluster)}
	w.kafka.Brokers = cluster.ListenAddrs()
	registry := codec.DefaultConfig()
	registry.URLs = []string{testkit.Registry(t)}
	if _, err := setup.Topics(t.Context(), w.kafka, w.logger(), noop.NewMeterProvider()); err != nil {
		t.Fatal(err)
	}
	if _, err := setup.Contracts(t.Context(), registry); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.registry, err = codec.NewClient(registry); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.registry.Close)
	return w
}

func (w *world) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&w.log, nil)) }

func (w *world) read() map[string]event.Brand {
	w.Helper()
	published, err := Read(w.Context(), w.kafka, w.registry, w.logger(), noop.NewMeterProvider())
	if err != nil {
		w.Fatal(err)
	}
	return published
}

// apply publishes what is new in the file and returns the changes as text.
func (w *world) apply(file string) string {
	w.Helper()
	brands, err := Parse("f.yaml", []byte(file), now)
	if err != nil {
		w.Fatal(err)
	}
	steps, err := Plan(brands, w.read())
	if err != nil {
		w.Fatal(err)
	}
	if err := Publish(w.Context(), steps, w.kafka, w.registry, w.logger(), noop.NewMeterProvider()); err != nil {
		w.Fatal(err)
	}
	var words []string
	for _, s := range steps {
		words = append(words, fmt.Sprintf("%s@%d %s", s.Brand.BrandID, s.Brand.Version, s.Change))
	}
	return strings.Join(words, ", ")
}

func line(id, name, more string) string {
	return fmt.Sprintf("  - {id: %s, name: %s, time_zone: Europe/Berlin, currency: EUR%s}\n", id, name, more)
}

func TestApplyPublishesWhatDiffersAndNothingElse(t *testing.T) {
	w := newWorld(t)
	if n := len(w.read()); n > 0 {
		t.Fatalf("%d brands before the first", n)
	}
	for _, step := range []struct{ sentence, file, want string }{
		{"new brands are added", line("b", "B", "") + line("a", "A", ""), "a@1 added, b@1 added"},
		{"the same file changes nothing", line("b", "B", "") + line("a", "A", ""), "a@1 unchanged, b@1 unchanged"},
		{"a change is the next version", line("b", "Bee", "") + line("a", "A", ""), "a@1 unchanged, b@2 changed"},
		{"a brand that is gone stays", line("b", "Bee", ""), "a@1 absent, b@2 unchanged"},
		{"a brand retires", line("b", "Bee", ", retired: true"), "a@1 absent, b@3 retired"},
		{"and is known to be retired", line("b", "Bee", ", retired: true"), "a@1 absent, b@3 unchanged"},
		{"and comes back", line("b", "Bee", ""), "a@1 absent, b@4 changed"},
	} {
		if got := w.apply("brands:\n" + step.file); got != step.want {
			t.Errorf("%s: %s, want %s", step.sentence, got, step.want)
		}
	}
	brands, err := Parse("f.yaml", []byte("brands:\n"+line("a", "A", "")+line("b", "Bee", "")), now)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]event.Brand{}
	for i, version := range []int64{1, 4} {
		brands[i].Version = version
		want[brands[i].BrandID] = brands[i]
	}
	if diff := cmp.Diff(want, w.read()); diff != "" {
		t.Errorf("what is published (-want +got):\n%s", diff)
	}
}

func TestReadSkipsWhatCannotBeReadAndSaysSo(t *testing.T) {
	w := newWorld(t)
	w.apply("brands:\n" + line("a", "A", "") + line("b", "B", ""))
	for _, r := range []*kgo.Record{
		{Topic: event.TopicBrand, Key: []byte("a"), Value: []byte("no brand")},
		{Topic: event.TopicBrand, Key: []byte("c"), Value: nil},
		{Topic: event.TopicBrand, Key: []byte("b"), Value: nil},
	} {
		if err := w.client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if got := slices.Sorted(maps.Keys(w.read())); !slices.Equal(got, []string{"a"}) {
		t.Errorf("published: %v, want a; b was erased", got)
	}
	if !strings.Contains(w.log.String(), `level=ERROR msg="skipping an entry`) {
		t.Errorf("nobody was told: %s", &w.log)
	}
	if got := w.apply("brands:\n" + line("b", "B", "")); got != "a@1 absent, b@1 added" {
		t.Errorf("an erased brand comes back: %s", got)
	}
}

func TestReadTellsThatThereIsNoTopic(t *testing.T) {
	cfg := kafka.DefaultConfig()
	cfg.Brokers = testkit.Kafka(t).ListenAddrs()
	static, err := codec.NewStatic()
	if err != nil {
		t.Fatal(err)
	}
	_, err = Read(t.Context(), cfg, static, slog.New(slog.DiscardHandler), noop.NewMeterProvider())
	if err == nil || !strings.Contains(err.Error(), `topic "flywheel.brand"`) || !strings.Contains(err.Error(), "run 'flywheel topics apply'") {
		t.Errorf("got %v", err)
	}
}

func TestAnAccountHasOneOwnerAcrossFiles(t *testing.T) {
	account := []event.Account{{Node: event.NodeAmazon, AccountID: "x"}}
	published := map[string]event.Brand{"old": {BrandID: "old", Version: 1, Accounts: account}}
	file := []event.Brand{{BrandID: "new", Accounts: account}}
	if _, err := Plan(file, published); err == nil || err.Error() != `account "x" on amazon of brand "new" belongs to the published brand "old", which is not in this file: take it from that brand, or retire it, first` {
		t.Errorf("got %v", err)
	}
	// A brand that gives it away in the same file, or is retired, is no owner.
	if _, err := Plan(append(file, event.Brand{BrandID: "old"}), published); err != nil {
		t.Error(err)
	}
	published["old"] = event.Brand{BrandID: "old", Version: 1, Accounts: account, Retired: true}
	if _, err := Plan(file, published); err != nil {
		t.Error(err)
	}
}

// TestAppliedPlansConverge: whatever is published and whatever the file says,
// one plan makes the file true, the next has nothing to do, versions only grow,
// and what is not in the file stays.
func TestAppliedPlansConverge(t *testing.T) {
	brand := rapid.Custom(func(t *rapid.T) event.Brand {
		return event.Brand{
			BrandID: rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "id"),
			Name:    rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name"),
			Retired: rapid.Bool().Draw(t, "retired"),
		}
	})
	distinct := rapid.SliceOfNDistinct(brand, 0, 4, func(b event.Brand) string { return b.BrandID })
	rapid.Check(t, func(t *rapid.T) {
		published := map[string]event.Brand{}
		for _, b := range distinct.Draw(t, "published") {
			b.Version = rapid.Int64Range(1, 9).Draw(t, "version")
			published[b.BrandID] = b
		}
		before, file := maps.Clone(published), distinct.Draw(t, "file")
		steps, err := Plan(file, published)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			was, known := before[s.Brand.BrandID]
			publish := s.Change == Added || s.Change == Changed || s.Change == Retired
			if publish != (!known || s.Brand.Version == was.Version+1) || !publish && !cmp.Equal(s.Brand, was) {
				t.Fatalf("%s: %+v, was %+v", s.Change, s.Brand, was)
			}
			published[s.Brand.BrandID] = s.Brand
		}
		again, err := Plan(file, published)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range again {
			if s.Change != Unchanged && s.Change != Absent {
				t.Fatalf("the second time: %s is %s", s.Brand.BrandID, s.Change)
			}
		}
		for _, b := range file {
			if got := published[b.BrandID]; got.Name != b.Name || got.Retired != b.Retired {
				t.Fatalf("the file says %+v, published is %+v", b, got)
			}
		}
		if len(again) != len(published) {
			t.Fatalf("%d of %d brands are told", len(again), len(published))
		}
	})
}

func TestNamesFindTheirBrand(t *testing.T) {
	simple := func(name string) event.Brand {
		b, err := Simple(name, "USD")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	cola, pans := simple("Coca Cola"), simple("Acme")
	pans.Variants = append(pans.Variants, "acme pans", "pans")
	other := simple("Other")
	other.Variants = append(other.Variants, "pans")
	published := map[string]event.Brand{cola.BrandID: cola, pans.BrandID: pans, other.BrandID: other}
	for name, want := range map[string]string{
		"coca-cola": "coca-cola", "Coca Cola": "coca-cola", "COCA COLA": "coca-cola", "acme": "acme", "Acme Pans": "acme",
		"pans": "", "acm": "", "": "",
	} {
		if got, _ := Find(name, published); got.BrandID != want {
			t.Errorf("%q finds %q, want %q", name, got.BrandID, want)
		}
	}
	for _, name := range []string{"", "  ", "日本", strings.Repeat("x", 300)} {
		if b, err := Simple(name, "USD"); err == nil {
			t.Errorf("%q became brand %q", name, b.BrandID)
		}
	}
	for name, want := range map[string]string{"  L'Oréal -- Paris! ": "l-or-al-paris", "_Next_": "next", ".hack": "hack"} {
		if b := simple(name); b.BrandID != want || !idPattern.MatchString(b.BrandID) {
			t.Errorf("the id of %q is %q, want %q, as a brand file takes it", name, b.BrandID, want)
		}
	}
}
