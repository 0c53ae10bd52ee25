package config

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/bits"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// mask stands for a secret wherever it might be seen.
const mask = "********"

// Secret is text that never shows: printed, logged or marshalled it reads
// "********". An empty secret reads as empty, so that its absence shows.
type Secret string

// Reveal returns the secret itself. Hand it straight to what needs it.
func (s Secret) Reveal() string { return string(s) }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString keeps %#v from showing the secret.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue keeps slog from showing the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText keeps encoders from showing the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Size is a number of bytes, written "64MiB", "1GiB" or plainly "1048576".
type Size int64

const sizeUnits = "KMGTPE"

func (s Size) String() string {
	if s <= 0 {
		return strconv.FormatInt(int64(s), 10)
	}
	power := bits.TrailingZeros64(uint64(s)) / 10
	if power == 0 {
		return strconv.FormatInt(int64(s), 10)
	}
	return fmt.Sprintf("%d%ciB", s>>(10*power), sizeUnits[power-1])
}

// MarshalText writes the largest unit that is exact.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a whole number with an optional unit B, KiB, MiB, … EiB.
func (s *Size) UnmarshalText(text []byte) error {
	digits := strings.TrimRight(string(text), "KMGTPEiB")
	unit := string(text[len(digits):])
	n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
	if err != nil || n < 0 {
		return errors.New("not a size")
	}
	shift := 0
	if unit != "" && unit != "B" {
		power := strings.Index(sizeUnits, unit[:1]) + 1
		if power == 0 || unit[1:] != "iB" {
			return errors.New("not a size")
		}
		shift = 10 * power
	}
	if n > math.MaxInt64>>shift {
		return errors.New("too large")
	}
	*s = Size(n << shift)
	return nil
}

// expected describes the values of a type, as "a duration such as 15s".
func expected(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration such as 15s"
	case t == sizeType:
		return "a size such as 64MiB"
	case t == secretType:
		return "a secret text"
	case reflect.PointerTo(t).Implements(textType):
		return "a " + strings.ToLower(t.Name())
	}
	switch t.Kind() {
	case reflect.Slice:
		return "a list of: " + expected(t.Elem())
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0"
	}
	return "a whole number"
}

func mismatch(t reflect.Type, found string) error {
	return fmt.Errorf("expected %s, found %s", expected(t), found)
}

// parseText reads a value as environment and flags write it.
func parseText(t reflect.Type, text string) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return v, fmt.Errorf("expected %s, found %q: %w", expected(t), text, err)
		}
		return v, nil
	}
	var err error
	switch {
	case t == durationType:
		var d time.Duration
		d, err = time.ParseDuration(text)
		v.SetInt(int64(d))
	case t == secretType && text == mask:
		return v, fmt.Errorf("%s stands for a secret and is none: give the secret itself, best by its variable", mask)
	case t.Kind() == reflect.Slice:
		return parseList(t, text)
	case t.Kind() == reflect.String:
		v.SetString(text)
	case t.Kind() == reflect.Bool:
		if text != "true" && text != "false" {
			return v, mismatch(t, strconv.Quote(text))
		}
		v.SetBool(text == "true")
	case v.CanInt():
		var n int64
		n, err = strconv.ParseInt(text, 10, t.Bits())
		v.SetInt(n)
	case v.CanUint():
		var n uint64
		n, err = strconv.ParseUint(text, 10, t.Bits())
		v.SetUint(n)
	case v.CanFloat():
		var x float64
		x, err = strconv.ParseFloat(text, t.Bits())
		if math.IsInf(x, 0) || math.IsNaN(x) {
			err = strconv.ErrRange
		}
		v.SetFloat(x)
	}
	if errors.Is(err, strconv.ErrRange) {
		return v, fmt.Errorf("%s is out of range", text)
	}
	if err != nil {
		return v, mismatch(t, strconv.Quote(text))
	}
	return v, nil
}

func parseList(t reflect.Type, text string) (reflect.Value, error) {
	list := reflect.MakeSlice(t, 0, 0)
	if strings.TrimSpace(text) == "" {
		return list, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		v, err := parseText(t.Elem(), strings.TrimSpace(part))
		if err != nil {
			return list, err
		}
		list = reflect.Append(list, v)
	}
	return list, nil
}
