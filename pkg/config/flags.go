package config

import (
	"reflect"

	"github.com/spf13/pflag"
)

// Flags holds the keys given on the command line. See [Bind].
type Flags struct{ values map[string]string }

// Bind adds to set one flag for each key that T declares, named by its path:
// --kafka.brokers. The flags only take down what was typed; [Load] reads it.
// They are hidden from help pages, which could not hold them all: [Print] is
// their reference.
func Bind[T any](set *pflag.FlagSet) (*Flags, error) {
	s, err := schemaOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, err
	}
	flags := &Flags{values: map[string]string{}}
	for _, n := range s.keys {
		f := set.VarPF(flagValue{n, flags}, n.path, "", n.doc)
		f.Hidden = true
		if n.typ.Kind() == reflect.Bool {
			f.NoOptDefVal = "true"
		}
	}
	return flags, nil
}

// flagValue is the pflag.Value of one key.
type flagValue struct {
	*node
	flags *Flags
}

func (v flagValue) Set(text string) error {
	v.flags.values[v.path] = text
	return nil
}

func (v flagValue) String() string {
	if v.flags == nil || v.secret() {
		return ""
	}
	return v.flags.values[v.path]
}

func (v flagValue) Type() string { return expected(v.typ) }
