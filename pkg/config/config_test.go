package config_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"pgregory.net/rapid"

	"flywheel/pkg/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

type root struct {
	Log   logSection `yaml:",inline"`
	Kafka kafka      `yaml:"kafka" doc:"The cluster that carries the events."`
	Batch batch      `yaml:"batch" doc:"How rows are gathered."`
	Notes string     `yaml:"-"`
}

type logSection struct {
	Level slog.Level `yaml:"level" doc:"Least severe level that is logged."`
}

type kafka struct {
	Brokers  []string      `yaml:"brokers" doc:"Addresses host:port to ask first."`
	Password config.Secret `yaml:"password" doc:"Password of the SASL user."`
	Timeout  time.Duration `yaml:"timeout" doc:"Give up a request after this long."`
	TLS      bool          `yaml:"tls" doc:"Speak TLS."`
}

func (k kafka) Validate() error {
	var errs []error
	if len(k.Brokers) == 0 {
		errs = append(errs, errors.New("brokers: give at least one host:port"))
	}
	if k.Timeout <= 0 {
		errs = append(errs, errors.New("timeout: must be above 0"))
	}
	if k.Password != "" && !k.TLS {
		errs = append(errs, errors.New("a password without tls would travel in the clear"))
	}
	return errors.Join(errs...)
}

type batch struct {
	RowsMax  int           `yaml:"rows_max" doc:"Rows of the largest batch."`
	BytesMax config.Size   `yaml:"bytes_max" doc:"Bytes of the largest batch."`
	Ratio    float64       `yaml:"ratio" doc:"Share of the memory\nbatches may take."`
	Ports    []uint16      `yaml:"ports" doc:"Ports to try."`
	Sizes    []config.Size `yaml:"sizes" doc:"Sizes of the rings."`
	Format   format        `yaml:"format" doc:"Format of a row."`
}

type format string

func (f format) Validate() error {
	if f != "native" && f != "json" {
		return fmt.Errorf("%q is neither native nor json", string(f))
	}
	return nil
}

func defaults() root {
	return root{
		Kafka: kafka{Brokers: []string{"localhost:9092"}, Timeout: 15 * time.Second},
		Batch: batch{RowsMax: 10_000, BytesMax: 64 << 20, Ratio: 0.25, Ports: []uint16{8123}, Format: "native"},
	}
}

func load(t *testing.T, file string, environ []string, args ...string) (root, config.Provenance, error) {
	t.Helper()
	from := config.Sources{Environ: environ}
	if file != "" {
		t.Chdir(t.TempDir())
		from.File = "flywheel.yaml"
		if err := os.WriteFile(from.File, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags, err := config.Bind[root](set)
	if err != nil {
		t.Fatal(err)
	}
	if err := set.Parse(args); err != nil {
		t.Fatal(err)
	}
	from.Flags = flags
	return config.Load(defaults(), from)
}

func TestLaterSourcesWin(t *testing.T) {
	cfg, from, err := load(t,
		"kafka:\n  brokers: [a:1, b:2]\n  timeout: 1m\nbatch:\n  rows_max: 5\n  bytes_max: 1KiB\n  ports:\n    - 1\n    - 2\nlevel: debug\n",
		[]string{"HOME=/", "FLYWHEEL_KAFKA_TIMEOUT=2m", "FLYWHEEL_BATCH_ROWS_MAX=6", "FLYWHEEL_BATCH_SIZES=1KiB, 2MiB", "FLYWHEEL_KAFKA_PASSWORD=hush"},
		"--batch.rows_max=7", "--kafka.tls", "--batch.ratio=0.5")
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Log.Level = slog.LevelDebug
	want.Kafka = kafka{Brokers: []string{"a:1", "b:2"}, Password: "hush", Timeout: 2 * time.Minute, TLS: true}
	want.Batch.RowsMax, want.Batch.BytesMax, want.Batch.Ratio = 7, 1<<10, 0.5
	want.Batch.Ports, want.Batch.Sizes = []uint16{1, 2}, []config.Size{1 << 10, 2 << 20}
	if diff := cmp.Diff(want, cfg, cmp.AllowUnexported(root{})); diff != "" {
		t.Error(diff)
	}
	for path, origin := range map[string]string{
		"kafka.brokers":   "file flywheel.yaml:2:3",
		"kafka.timeout":   "environment FLYWHEEL_KAFKA_TIMEOUT",
		"batch.rows_max":  "flag --batch.rows_max",
		"batch.format":    "default",
		"level":           "file flywheel.yaml:10:1",
		"batch.bytes_max": "file flywheel.yaml:6:3",
	} {
		if got := from.Of(path).String(); got != origin {
			t.Errorf("%s comes from %q, want %q", path, got, origin)
		}
	}
	golden(t, "effective.yaml", printed(t, cfg, from))
}

func TestLoadRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		file    string
		environ []string
		args    []string
		want    []string
	}{
		"an unknown key, naming the nearest": {
			file: "kafka:\n  broker: [a:1]\n",
			want: []string{`flywheel.yaml:2:3: unknown key "kafka.broker"; the nearest is "kafka.brokers"`},
		},
		"an unknown section": {
			file: "kafak:\n  brokers: [a:1]\n",
			want: []string{`flywheel.yaml:1:1: unknown key "kafak"; the nearest is "kafka"`},
		},
		"a key that is near none": {
			file: "bogus: 5\nkafka:\n  retention_of_topics: 5\n",
			want: []string{`flywheel.yaml:1:1: unknown key "bogus"`, `flywheel.yaml:3:3: unknown key "kafka.retention_of_topics"`},
		},
		"a key outside its section": {
			file: "rows_max: 5\n",
			want: []string{`flywheel.yaml:1:1: unknown key "rows_max"; the nearest is "batch.rows_max"`},
		},
		"an unknown variable": {
			environ: []string{"FLYWHEEL_KAFKA_BROKER=a:1"},
			want:    []string{`environment FLYWHEEL_KAFKA_BROKER: no key has this variable; the nearest is "FLYWHEEL_KAFKA_BROKERS"`},
		},
		"a variable that Kubernetes makes of a service": {
			environ: []string{"FLYWHEEL_PROCESSOR_PORT_9464_TCP=tcp://10.0.0.1:9464"},
			want:    []string{`environment FLYWHEEL_PROCESSOR_PORT_9464_TCP: no key has this variable; if Kubernetes made it for a service, set enableServiceLinks to false in the pod`},
		},
		"every wrong type at once": {
			file: "level: 1.5\nkafka:\n  brokers: a:1\n  timeout: 15\n  tls: yes\n  password: 12\nbatch:\n  rows_max: 1.5\n  bytes_max: 3Mb\n  ratio: half\n  ports: [1, 65536]\n  sizes: [[1]]\n  format:\n",
			want: []string{
				`flywheel.yaml:1:8: key "level": expected a level, found "1.5": slog: level string "1.5": unknown name`,
				`flywheel.yaml:3:12: key "kafka.brokers": expected a list of: text, found text "a:1"`,
				`flywheel.yaml:4:12: key "kafka.timeout": expected a duration such as 15s, found whole number 15`,
				`flywheel.yaml:5:8: key "kafka.tls": expected true or false, found text "yes"`,
				`flywheel.yaml:6:13: key "kafka.password": expected a secret text, found whole number 12`,
				`flywheel.yaml:8:13: key "batch.rows_max": expected a whole number, found number 1.5`,
				`flywheel.yaml:9:14: key "batch.bytes_max": expected a size such as 64MiB, found "3Mb": not a size`,
				`flywheel.yaml:10:10: key "batch.ratio": expected a number, found text "half"`,
				`flywheel.yaml:11:10: key "batch.ports": entry 2: 65536 is out of range`,
				`flywheel.yaml:12:10: key "batch.sizes": entry 1: expected a size such as 64MiB, found a list`,
				`flywheel.yaml:13:11: key "batch.format": expected text, found nothing`,
			},
		},
		"wrong types in environment and flags": {
			environ: []string{"FLYWHEEL_BATCH_PORTS=1,x", "FLYWHEEL_KAFKA_TLS=1"},
			args:    []string{"--batch.ratio=NaN", "--kafka.timeout=soon", "--level=loud"},
			want: []string{
				`environment FLYWHEEL_BATCH_PORTS: key "batch.ports": expected a whole number from 0, found "x"`,
				`environment FLYWHEEL_KAFKA_TLS: key "kafka.tls": expected true or false, found "1"`,
				`flag --level: key "level": expected a level, found "loud": slog: level string "loud": unknown name`,
				`flag --kafka.timeout: key "kafka.timeout": expected a duration such as 15s, found "soon"`,
				`flag --batch.ratio: key "batch.ratio": NaN is out of range`,
			},
		},
		"what the validators refuse, with its path and origin": {
			file:    "kafka:\n  brokers: []\n",
			environ: []string{"FLYWHEEL_KAFKA_PASSWORD=hush"},
			args:    []string{"--kafka.timeout=0s", "--batch.format=csv"},
			want: []string{
				`kafka.brokers (file flywheel.yaml:2:3): give at least one host:port`,
				`kafka.timeout (flag --kafka.timeout): must be above 0`,
				`kafka: a password without tls would travel in the clear`,
				`batch.format (flag --batch.format): "csv" is neither native nor json`,
			},
		},
		"what is invalid beside what cannot be read": {
			file:    "kafka:\n  brokers: []\n  timeout: 0s\nlevels: info\n",
			environ: []string{"FLYWHEEL_KAFKA_PASSWORD=hush", "FLYWHEEL_KAFKA_TLS=1"},
			args:    []string{"--batch.format=csv", "--kafka.timeout=soon"},
			want: []string{
				`flywheel.yaml:4:1: unknown key "levels"; the nearest is "level"`,
				`environment FLYWHEEL_KAFKA_TLS: key "kafka.tls": expected true or false, found "1"`,
				`flag --kafka.timeout: key "kafka.timeout": expected a duration such as 15s, found "soon"`,
				// Not that a password would travel in the clear: whether tls is wanted is not known.
				`kafka.brokers (file flywheel.yaml:2:3): give at least one host:port`,
				`batch.format (flag --batch.format): "csv" is neither native nor json`,
			},
		},
		"a masked secret":            {file: "kafka:\n  password: '********'\n", want: []string{`flywheel.yaml:2:13: key "kafka.password": ******** stands for a secret and is none: give the secret itself, best by its variable`}},
		"a tag that poses as a list": {file: "kafka:\n  brokers: !!binary x\n", want: []string{`flywheel.yaml:2:12: key "kafka.brokers": expected a list of: text, found YAML Tag, which configurations do without`}},
		"a tag that poses as keys":   {file: "kafka: !!binary x\n", want: []string{`flywheel.yaml:1:8: section "kafka": expected keys and values, found YAML Tag, which configurations do without`}},
		"a list as the whole":        {file: "- a\n", want: []string{`flywheel.yaml:1:1: the configuration: expected keys and values, found a list`}},
		"text as a section":          {file: "kafka: a:1\n", want: []string{`flywheel.yaml:1:8: section "kafka": expected keys and values, found text "a:1"`}},
		"a key given twice":          {file: "level: info\nlevel: warn\n", want: []string{`flywheel.yaml:2:1: mapping key "level" already defined at [1:1]`}},
		"broken YAML":                {file: "kafka: [a\n", want: []string{`flywheel.yaml:1:8: sequence end token ']' not found`}},
		"anchors":                    {file: "level: &l info\n", want: []string{`flywheel.yaml:1:8: key "level": expected a level, found YAML Anchor, which configurations do without`}},
		"merge keys":                 {file: "<<: {level: info}\n", want: []string{`flywheel.yaml:1:1: YAML MergeKey, which configurations do without is not a key`}},
		"a second document":          {file: "level: info\n---\nlevel: warn\n", want: []string{`flywheel.yaml:3:6: a second YAML document begins; a configuration is one`}},
		"bytes that are no text":     {file: "level: \xff\n", want: []string{`flywheel.yaml: not a text file in UTF-8`}},
		"a file too large":           {file: strings.Repeat("#\n", 1<<20), want: []string{`read the configuration: flywheel.yaml is larger than 1MiB: is it the right file?`}},
		"a missing file":             {environ: []string{"FLYWHEEL_CONFIG=/nowhere/flywheel.yaml"}, want: []string{`read the configuration: open /nowhere/flywheel.yaml: no such file or directory`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(t, tc.file, tc.environ, tc.args...)
			if err == nil {
				t.Fatal("was accepted")
			}
			if diff := cmp.Diff(strings.Join(tc.want, "\n"), err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadAccepts(t *testing.T) {
	for name, file := range map[string]string{
		"an empty file":             "\n",
		"a file of comments":        "# nothing\n",
		"a section of comments":     "kafka:\n  # brokers: [a:1]\nlevel: info\n",
		"a section left empty":      "kafka:\nbatch: {}\n",
		"an end marker":             "level: info\n---\n",
		"a number for a number key": "batch: {ratio: 0.25, bytes_max: 67108864}\n",
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _, err := load(t, file, nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(defaults(), cfg, cmp.AllowUnexported(root{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestASecretNeverShows(t *testing.T) {
	s := config.Secret("hush")
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("connect", "password", s)
	cfg := defaults()
	cfg.Kafka.Password = s
	for _, shown := range []string{
		fmt.Sprint(s), fmt.Sprintf("%s %q %+v %#v", s, s, cfg, cfg), logged.String(), printed(t, cfg, nil),
	} {
		if strings.Contains(shown, "hush") || !strings.Contains(shown, "********") {
			t.Errorf("the secret shows: %s", shown)
		}
	}
	if s.Reveal() != "hush" || config.Secret("").String() != "" {
		t.Error("a secret must be revealed on demand, and an absent one look absent")
	}
}

func TestADeclarationIsChecked(t *testing.T) {
	for want, check := range map[string]func() error{
		"field config_test.A.B: give it a yaml tag": func() error {
			type A struct{ B int }
			return declare[A]()
		},
		"give it a doc tag": func() error {
			type A struct {
				B int `yaml:"b"`
			}
			return declare[A]()
		},
		"not in snake_case": func() error {
			type A struct {
				B int `yaml:"rowsMax" doc:"x"`
			}
			return declare[A]()
		},
		"type map[string]int cannot be written as text": func() error {
			type A struct {
				B map[string]int `yaml:"b" doc:"x"`
			}
			return declare[A]()
		},
		`key "b" is declared twice`: func() error {
			type A struct {
				B int `yaml:"b" doc:"x"`
				C int `yaml:"b" doc:"x"`
			}
			return declare[A]()
		},
		`key "b.c" has the same variable FLYWHEEL_B_C as another`: func() error {
			type A struct {
				X int `yaml:"b_c" doc:"x"`
				B struct {
					C int `yaml:"c" doc:"x"`
				} `yaml:"b" doc:"x"`
			}
			return declare[A]()
		},
		"as a struct, not as int": declare[int],
	} {
		if err := check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func declare[T any]() error {
	var none T
	_, _, err := config.Load(none, config.Sources{})
	return err
}

func TestADefaultSecretDoesNotKeepThePrintedFromLoading(t *testing.T) {
	cfg := defaults()
	cfg.Kafka.TLS, cfg.Kafka.Password = true, "flywheel"
	var b bytes.Buffer
	if err := config.Print(&b, cfg, config.Provenance{}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\n  # password: \"********\" # default\n") {
		t.Errorf("the default secret is not a comment:\n%s", &b)
	}
	path := filepath.Join(t.TempDir(), "printed.yaml")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	again, _, err := config.Load(cfg, config.Sources{File: path})
	if err != nil || again.Kafka.Password != "flywheel" {
		t.Errorf("loaded back: password %q, %v", again.Kafka.Password.Reveal(), err)
	}
}

func TestPrintedLoadsBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flywheel.yaml")
	rapid.Check(t, func(t *rapid.T) {
		want := anyConfig(t)
		page := printed(t, want, nil)
		if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		got, _, err := config.Load(root{Batch: batch{Format: "native"}}, config.Sources{File: path})
		if err != nil {
			t.Fatalf("%v\n%s", err, page)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(root{})); diff != "" {
			t.Fatalf("%s\n%s", diff, page)
		}
	})
}

func anyConfig(t *rapid.T) root {
	sizes := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) config.Size {
		return config.Size(rapid.Int64Min(0).Draw(t, "bytes")) &^ (1<<(10*rapid.IntRange(0, 5).Draw(t, "unit")) - 1)
	}), 0, 3)
	return root{
		Log: logSection{Level: slog.Level(rapid.IntRange(-10, 20).Draw(t, "level"))},
		Kafka: kafka{
			Brokers: rapid.SliceOfN(rapid.String(), 1, 4).Draw(t, "brokers"),
			Timeout: time.Duration(rapid.Int64Min(1).Draw(t, "timeout")),
			TLS:     rapid.Bool().Draw(t, "tls"),
		},
		Batch: batch{
			RowsMax:  rapid.Int().Draw(t, "rows"),
			BytesMax: config.Size(rapid.Int64Min(0).Draw(t, "bytes")),
			Ratio:    rapid.Float64().Draw(t, "ratio"),
			Ports:    rapid.SliceOfN(rapid.Uint16(), 0, 3).Draw(t, "ports"),
			Sizes:    sizes.Draw(t, "sizes"),
			Format:   "json",
		},
	}
}

// FuzzLoad feeds files, variables and flags: whatever they hold, Load answers
// with a configuration that prints and loads back, or with an error.
func FuzzLoad(f *testing.F) {
	f.Add([]byte("kafka:\n  brokers: [a:1]\nlevel: debug\n"), "10s", "1MiB")
	f.Add([]byte("? [a]\n: {b: *c}\n"), "", "-1")
	f.Add([]byte("level: !!str |\n  x\n"), "1e3s", "9EiB")
	f.Fuzz(func(t *testing.T, file []byte, timeout, size string) {
		path := filepath.Join(t.TempDir(), "flywheel.yaml")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, from, err := config.Load(defaults(), config.Sources{
			File: path, Environ: []string{"FLYWHEEL_KAFKA_TIMEOUT=" + timeout, "FLYWHEEL_BATCH_BYTES_MAX=" + size},
		})
		if err != nil {
			return
		}
		cfg.Kafka.Password = ""
		if err := os.WriteFile(path, []byte(printed(t, cfg, from)), 0o600); err != nil {
			t.Fatal(err)
		}
		again, _, err := config.Load(defaults(), config.Sources{File: path})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(printed(t, cfg, nil), printed(t, again, nil)); diff != "" {
			t.Error(diff)
		}
	})
}

type failer interface {
	Helper()
	Fatal(...any)
}

func printed(t failer, cfg root, from config.Provenance) string {
	t.Helper()
	var b strings.Builder
	if err := config.Print(&b, cfg, from); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join(source, "testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s; go test -update accepts it:\n%s", name, diff)
	}
}

// source is the folder of this package; some tests run in another.
var source = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return dir
}()
