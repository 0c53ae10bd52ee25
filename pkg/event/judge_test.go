package event

import (
	"strings"
	"testing"
)

func TestInputsAreJudgedByValueAndKey(t *testing.T) {
	for _, r := range good() {
		if reason, detail := Judge(r, []byte(r.Head().BrandID)); reason != "" || detail != "" {
			t.Errorf("a good %s is refused as %s: %s", r.Type(), reason, detail)
		}
		if reason, detail := Judge(r, []byte("other")); reason != ReasonWrongKey || !strings.HasPrefix(detail, "the "+r.Type().String()+" of brand ") || !strings.Contains(detail, `has the key "other"`) {
			t.Errorf("a %s of another key is refused as %q: %s", r.Type(), reason, detail)
		}
	}
	for name, tc := range map[string]struct {
		value any
		key   string
		want  Reason
	}{
		"a value out of bounds":                     {&AmazonReview{Header: Header{BrandID: "acme"}, Stars: 6}, "acme", ReasonInvalid},
		"a value out of bounds under a strange key": {&AmazonReview{Header: Header{BrandID: "acme"}, Stars: 6}, "other", ReasonInvalid},
		"a brand that cannot be":                    {&Brand{BrandID: "acme"}, "acme", ReasonInvalid},
		"a result, which is no input":               {&Spike{BrandID: "acme"}, "other", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if reason, detail := Judge(tc.value, []byte(tc.key)); reason != tc.want || (detail == "") != (tc.want == "") {
				t.Errorf("refused as %q (%s), want %q", reason, detail, tc.want)
			}
		})
	}
}
