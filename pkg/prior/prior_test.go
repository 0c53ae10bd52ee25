package prior

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"flywheel/pkg/correlate"
)

const header = "force,fold_of_13,delay_hours,half_life_hours,brands\n"

func TestWhatIsWrittenIsRead(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":         header,
		"several forces":  header + "1,0,3,8,12\n1,0,6,8,1\n1,12,3,8,2\n8,4,0,0,1000000000\n",
		"one count alone": header + "9,5,36,24,1\n",
	} {
		t.Run(name, func(t *testing.T) {
			pools, err := Read("prior.csv", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			var again strings.Builder
			if err := Write(&again, pools); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(text, again.String()); diff != "" {
				t.Errorf("-read +written:\n%s", diff)
			}
		})
	}
}

func TestFilesThatCannotBeAreRefused(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"an empty file":              {"", "prior.csv:1: the first line is not " + header[:len(header)-1]},
		"a series":                   {"timestamp,value\n0,1\n", "prior.csv:1: the first line is not"},
		"folds of another number":    {"force,fold_of_5,delay_hours,half_life_hours,brands\n", "prior.csv:1: the first line is not"},
		"a force that is none":       {header + "11,0,3,8,1\n", "prior.csv:2: there is no force 11"},
		"a force of 28 days":         {header + "1,0,3,8,1\n2,0,3,8,1\n", "prior.csv:3: the kernels of force 2 are not searched"},
		"a fold too many":            {header + "1,13,3,8,1\n", "prior.csv:2: fold 13 is not between 0 and 12"},
		"a delay off the grid":       {header + "1,0,5,8,1\n", "prior.csv:2: no kernel that is searched has a delay of 5 h"},
		"nobody":                     {header + "1,0,3,8,0\n", "prior.csv:2: 0 brands"},
		"fewer than nobody":          {header + "1,0,3,8,-4\n", "prior.csv:2: -4 brands"},
		"more than there can be":     {header + "1,0,3,8,1000000001\n", "prior.csv:2: 1000000001 brands"},
		"no number":                  {header + "1,0,3,8,NaN\n", `prior.csv:2: brands: "NaN" is no whole number`},
		"a weight":                   {header + "1,0,3,8,0.25\n", `prior.csv:2: brands: "0.25" is no whole number`},
		"a number beyond all":        {header + "1,0,3,8,99999999999999999999\n", "is no whole number"},
		"a kernel twice":             {header + "1,0,3,8,1\n7,0,3,8,1\n1,0,3,8,1\n", "prior.csv:4: fold 0 has 1 brands of this kernel already"},
		"a column too few":           {header + "1,0,3,8\n", "prior.csv:2: there are 4 columns, want 5"},
		"an open quote":              {header + "1,0,3,8,\"1\n", "prior.csv:2: "},
		"a file of another kind":     {header + strings.Repeat("x", bytesMax), "prior.csv: is larger than"},
		"bytes that are no text":     {"\x00\xff\xfe", "prior.csv:1: the first line is not"},
		"a file that was cut off":    {header[:20], "prior.csv:1: the first line is not"},
		"a line that was cut off":    {header + "1,0,3,8,1\n1,0,6,", "prior.csv:3: there are 4 columns"},
		"a header that comes twice":  {header + header, `prior.csv:2: force: "force" is no whole number`},
		"a header of another order":  {"fold_of_13,force,delay_hours,half_life_hours,brands\n", "prior.csv:1: the first line is not"},
		"spaces where none are read": {header + "1, 0,3,8,1\n", `prior.csv:2: fold_of_13: " 0" is no whole number`},
	} {
		t.Run(name, func(t *testing.T) {
			pools, err := Read("prior.csv", strings.NewReader(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "flywheel learn") || pools != nil {
				t.Errorf("got %v and %v, want %q and what to do", pools, err, tt.want)
			}
		})
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	folder := t.TempDir()
	none := filepath.Join(folder, "none.csv")
	if _, err := Load(none); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), none) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := Load(folder); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("a folder: %v", err)
	}
	broken := errors.New("the disk is gone")
	if _, err := Read("prior.csv", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a file that cannot be read: %v", err)
	}
}

// FuzzRead holds that whatever is read can be written and read again, and is a prior.
func FuzzRead(f *testing.F) {
	f.Add(header + "1,0,3,8,12\n8,4,0,0,1\n")
	f.Add(header)
	f.Add("force,fold\n1,2")
	f.Fuzz(func(t *testing.T, text string) {
		pools, err := Read("prior.csv", strings.NewReader(text))
		if err != nil {
			return
		}
		var written strings.Builder
		if err := Write(&written, pools); err != nil {
			t.Fatal(err)
		}
		again, err := Read("again.csv", strings.NewReader(written.String()))
		if err != nil {
			t.Fatalf("%v: %q of %q", err, written.String(), text)
		}
		for force, pool := range again {
			if *pool != *pools[force] {
				t.Fatalf("force %d: read %v again of %v", force, pool, pools[force])
			}
			for fold := range correlate.Folds {
				if p := pool.Prior(fold); p != nil {
					for k, w := range p {
						if !(w > 0 && w < 1) {
							t.Fatalf("force %d, fold %d: kernel %d has the weight %v", force, fold, k, w)
						}
					}
				}
			}
		}
	})
}
