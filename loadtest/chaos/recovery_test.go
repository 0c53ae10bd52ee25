package chaos

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"flywheel/pkg/testkit"
)

func TestAGroupMustCatchUpInTime(t *testing.T) {
	const topic = "input"
	client := testkit.KafkaClient(t, testkit.Kafka(t), kgo.DefaultProduceTopic(topic))
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := client.ProduceSync(t.Context(), kgo.StringRecord("event")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	const (
		moment = 300 * time.Millisecond
		long   = time.Hour // a machine may sleep meanwhile
	)
	commit := func(t *testing.T, group string, at int64) {
		var offsets kadm.Offsets
		offsets.AddOffset(topic, 0, at, -1)
		if err := admin.CommitAllOffsets(t.Context(), group, offsets); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		at              int64 // committed before; below 0 for not at all
		ago             time.Duration
		inTime, tooLate time.Duration
		goesOn          bool
		want            string
	}{
		"it has":                       {3, 0, long, 0, false, ""},
		"it does":                      {1, 0, long, 0, true, ""},
		"it does, but late":            {1, long, long / 2, long, true, `took 1h0m\d\S*s, not 30m0s, to commit what was there when the fault came; shortly before, 2 records were left$`},
		"it does not":                  {1, 0, moment, moment, false, `has not committed within 300ms, nor 300ms later, .*: 2 records were left$`},
		"it never did anything":        {-1, 0, moment, moment, false, `has not .*: 3 records were left$`},
		"it is too late to look at it": {3, long, moment, moment, false, `has not .*: no answer from Kafka$`},
	} {
		t.Run(name, func(t *testing.T) {
			m := &monitor{client: client, admin: admin, inputs: []string{topic}, inTime: c.inTime, tooLate: c.tooLate}
			group := t.Name()
			if c.at >= 0 {
				commit(t, group, c.at)
			}
			var others conc.WaitGroup
			defer others.Wait()
			if c.goesOn {
				others.Go(func() {
					time.Sleep(moment)
					commit(t, group, 3)
				})
			}
			took, err := m.caughtUp(t.Context(), group, time.Now().Add(-c.ago))
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "" && c.goesOn && took < moment:
				t.Errorf("it took %s, which is before the rest was committed", took)
			case c.want != "" && (err == nil || !regexp.MustCompile(c.want).MatchString(err.Error())):
				t.Errorf("the error is %v, want one like %q", err, c.want)
			}
		})
	}
}

func TestAFailureTellsWhatServicesSay(t *testing.T) {
	a := act(t, "processor")
	a.says(t, `"msg":"of before"`)
	since := time.Now()
	for i := range complaintsMax + 1 {
		a.says(t, fmt.Sprintf(`"msg":"line %d","error.message":"why %d"`, i, i))
	}
	p := &play{services: []*service{a.service}}
	got := p.complaints("processor", since)
	for _, want := range []string{`^processor-one; \d+\.\d s: line 1 why 1; `, fmt.Sprintf(`; \d+\.\d s: line %d why %[1]d$`, complaintsMax)} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("it tells %q, want %q", got, want)
		}
	}
	if p.complaints("sink", since) != "" {
		t.Error("it tells what another service says")
	}
}
