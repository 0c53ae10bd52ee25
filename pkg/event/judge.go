package event

import "fmt"

// Judge says why a record of the processor's input, a Record or a *Brand that was
// read, must not be applied whatever came before it: the reason, and the detail of
// its dead letter. Both are empty where it may be, and of any other value. Whoever
// reads the inputs judges by it, so that a record has one reason.
func Judge(value any, key []byte) (reason Reason, detail string) {
	var (
		brandID, record string
		invalid         error
	)
	switch v := value.(type) {
	case Record:
		brandID, record, invalid = v.Head().BrandID, v.Type().String(), v.Validate()
	case *Brand:
		brandID, record, invalid = v.BrandID, "brand", v.Validate()
	default:
		return "", ""
	}
	switch {
	case invalid != nil:
		return ReasonInvalid, fmt.Sprintf("the %s of brand %q cannot be: %v; correct it at its source and send it with a new version", record, brandID, invalid)
	case string(key) != brandID:
		return ReasonWrongKey, fmt.Sprintf("the %s of brand %q has the key %q: its producer must use the brand's id as key, so that it reaches the brand's partition", record, brandID, Cut(key, TextBytesMax))
	}
	return "", ""
}
