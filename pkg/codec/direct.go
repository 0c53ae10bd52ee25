package codec

import (
	"bytes"
	"encoding/binary"
	"math"
	"reflect"
	"unsafe"

	"github.com/twmb/avro"
)

// direct reads values written with our own version of a flat contract, as nearly
// all are, into the record that the decoder reuses: there is nothing to resolve
// then, and it takes a third of the time. Of the fields in the order of the
// contract it holds where each goes.
type direct []field

type field struct {
	into    any      // *string, *int64, *int32, *float64, *bool, or the bytes of a fixed
	symbols []string // of an enum, which is a text
}

// intBytes is what an int or the number of a symbol may take; a long takes what
// binary.Varint does.
const intBytes = 5

// newDirect returns how values of their contract are read into a record, and nil
// where the library has to: where the contract is not ours, or nests.
func newDirect(theirs, ours *avro.Schema, record any) direct {
	if !bytes.Equal(theirs.Canonical(), ours.Canonical()) {
		return nil
	}
	fields := make(map[string]reflect.Value)
	into := reflect.ValueOf(record).Elem()
	for _, f := range reflect.VisibleFields(into.Type()) {
		fields[f.Tag.Get("avro")] = into.FieldByIndex(f.Index)
	}
	var d direct
	for _, f := range ours.Root().Fields {
		v := fields[f.Name]
		var to field
		switch kind := v.Kind(); {
		case f.Type.Type == "string" && kind == reflect.String:
			to.into = pointer[string](v)
		case f.Type.Type == "enum" && kind == reflect.String:
			to.into, to.symbols = pointer[string](v), f.Type.Symbols
		case f.Type.Type == "long" && kind == reflect.Int64:
			to.into = pointer[int64](v)
		case f.Type.Type == "int" && kind == reflect.Int32:
			to.into = pointer[int32](v)
		case f.Type.Type == "double" && kind == reflect.Float64:
			to.into = pointer[float64](v)
		case f.Type.Type == "boolean" && kind == reflect.Bool:
			to.into = pointer[bool](v)
		case f.Type.Type == "fixed" && kind == reflect.Array && v.Len() == f.Type.Size:
			to.into = v.Bytes()
		default:
			return nil
		}
		d = append(d, to)
	}
	return d
}

// pointer returns the pointer to a field of type T, or of a type made from it.
func pointer[T any](v reflect.Value) *T {
	return v.Addr().Convert(reflect.TypeFor[*T]()).Interface().(*T)
}

// read reads a datum into the record, whose texts share its memory, and says
// whether it could. Whatever is out of the ordinary it leaves to the library, which
// says what is wrong with it, if anything is.
func (d direct) read(datum []byte) bool {
	for i := range d {
		to := &d[i]
		switch into := to.into.(type) {
		case *string:
			v, n := binary.Varint(datum)
			if n <= 0 || v < 0 {
				return false
			}
			datum = datum[n:]
			if to.symbols != nil {
				if n > intBytes || v >= int64(len(to.symbols)) {
					return false
				}
				*into = to.symbols[v]
				continue
			}
			if v > int64(len(datum)) {
				return false
			}
			*into = unsafe.String(unsafe.SliceData(datum), int(v))
			datum = datum[v:]
		case *int64:
			v, n := binary.Varint(datum)
			if n <= 0 {
				return false
			}
			*into, datum = v, datum[n:]
		case *int32:
			v, n := binary.Varint(datum)
			if n <= 0 || n > intBytes || v != int64(int32(v)) {
				return false
			}
			*into, datum = int32(v), datum[n:]
		case *float64:
			if len(datum) < 8 {
				return false
			}
			*into, datum = math.Float64frombits(binary.LittleEndian.Uint64(datum)), datum[8:]
		case *bool:
			if len(datum) < 1 || datum[0] > 1 {
				return false
			}
			*into, datum = datum[0] == 1, datum[1:]
		case []byte:
			if len(datum) < len(into) {
				return false
			}
			datum = datum[copy(into, datum):]
		}
	}
	return len(datum) == 0
}
