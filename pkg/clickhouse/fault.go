package clickhouse

import (
	"errors"

	"github.com/ClickHouse/clickhouse-go/v2"
)

// Fault says whose fault an error of ClickHouse is, and so what helps.
type Fault uint8

// The values of Fault.
const (
	// FaultServer passes: the server is away, overloaded, read-only or refuses
	// the login. The same statement may succeed later. Whatever is not known to
	// be another's fault counts as this, so that no row is given up for it.
	FaultServer Fault = iota
	// FaultSchema is a table that is missing or is not as this program needs it:
	// the error says what helps, or 'flywheel migrate' does.
	FaultSchema
	// FaultRows is a value that ClickHouse refuses: the same rows are refused
	// for ever, and others are not.
	FaultRows
)

// FaultOf returns whose fault an error of a statement is.
func FaultOf(err error) Fault {
	if errors.Is(err, ErrMigrate) || errors.Is(err, ErrAltered) {
		return FaultSchema
	}
	var refused *clickhouse.Exception
	if !errors.As(err, &refused) {
		return FaultServer
	}
	switch refused.Code {
	case 16, // NO_SUCH_COLUMN_IN_TABLE
		47, // UNKNOWN_IDENTIFIER
		53, // TYPE_MISMATCH
		60, // UNKNOWN_TABLE
		codeUnknownDatabase:
		return FaultSchema
	case 6, // CANNOT_PARSE_TEXT
		27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
		38,  // CANNOT_PARSE_DATE
		41,  // CANNOT_PARSE_DATETIME
		69,  // ARGUMENT_OUT_OF_BOUND
		70,  // CANNOT_CONVERT_TYPE
		72,  // CANNOT_PARSE_NUMBER
		117, // INCORRECT_DATA
		128, // TOO_LARGE_ARRAY_SIZE
		131, // TOO_LARGE_STRING_SIZE
		190, // SIZES_OF_ARRAYS_DONT_MATCH
		248, // INVALID_PARTITION_VALUE
		321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
		349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
		395, // FUNCTION_THROW_IF_VALUE_IS_NON_ZERO
		407, // DECIMAL_OVERFLOW
		469, // VIOLATED_CONSTRAINT
		691: // UNKNOWN_ELEMENT_OF_ENUM
		return FaultRows
	}
	return FaultServer
}
