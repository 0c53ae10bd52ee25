package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/codec"
	"flywheel/pkg/config"
	"flywheel/pkg/event"
	"flywheel/pkg/run"
	"flywheel/pkg/series"
	"flywheel/pkg/telemetry"
	"flywheel/services/brands"
	"flywheel/services/ingest"
)

func newIngest(env *environment) *cobra.Command {
	return group("ingest", "Send series from files down the road", newIngestMentions(env))
}

// mentions are the flags of `flywheel ingest mentions`.
type mentions struct {
	brand       string
	createBrand bool
	as          string
	content     string
	speed       float64
}

func newIngestMentions(env *environment) *cobra.Command {
	var m mentions
	cmd := &cobra.Command{
		Use:   "mentions FILE --brand NAME",
		Short: "Send a series of counts as exposure on TikTok, or as branded searches on Amazon",
		Long: `Send a series of counts as exposure on TikTok, or as branded searches on Amazon.

FILE is a CSV with the header timestamp,value, sorted: a count for the interval that begins
at the timestamp, or empty or NaN where there is none. A timestamp is 2015-02-26 21:42:53
(UTC), RFC 3339, or seconds or milliseconds since 1970. The intervals have one length; whole
ones may be missing. Other columns are left out. The file is checked to its end before
anything is sent, and its times are kept.

  --as stimulus   each value is the views that one piece of content gained (the default)
  --as response   each value is the branded searches; finer ones are summed to 15 minutes

Sending the same file twice counts it once. A corrected file is another series: give it
another --content. A brand that is not published yet is published, in UTC and without
accounts; describe it in a brand file when that is not enough.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error { return env.ingestMentions(cmd.Context(), args[0], m) },
	}
	f := cmd.Flags()
	f.StringVar(&m.brand, "brand", "", "id, name or variant of the brand the series belongs to (required)")
	f.BoolVar(&m.createBrand, "create-brand", true, "publish the brand if it is not published yet")
	f.StringVar(&m.as, "as", string(ingest.Stimulus), "what the values count: stimulus or response")
	f.StringVar(&m.content, "content", "", "id of the content, which names the series (default the name of the file)")
	f.Float64Var(&m.speed, "speed", 0, "seconds of the series that pass in one second; 0 is as fast as possible")
	return cmd
}

// ingestMentions checks everything that can be checked without Kafka first.
func (e *environment) ingestMentions(ctx context.Context, path string, m mentions) error {
	if m.brand == "" {
		return usageError{errors.New("--brand: name the brand the series belongs to")}
	}
	cfg, err := e.config()
	if err != nil {
		return err
	}
	in, err := ingest.Open(path, time.Now())
	if err != nil {
		return err
	}
	defer in.Close()
	if m.content == "" {
		m.content = in.Name
	}
	to := ingest.Config{BrandID: m.brand, Query: m.brand, As: ingest.Role(m.as), Content: m.content, Speed: m.speed}
	if err := to.Validate(); err != nil {
		return usageError{err}
	}
	if _, err := to.Fits(in); err != nil { // before a brand is published for it
		return err
	}
	fmt.Fprintf(e.stdout, "%s: %s from %s to %s UTC, one every %s%s\n", path, count(int(in.Rows), "row"),
		in.First.Format(time.DateTime), in.Last.Format(time.DateTime), series.Short(in.Spacing), missing(in))
	brand, err := e.brand(ctx, m)
	if err != nil {
		return err
	}
	to.BrandID, to.Query = brand.BrandID, strings.ToLower(brand.Name)
	if len(brand.Variants) > 0 {
		to.Query = brand.Variants[0]
	}

	var i *ingest.Ingest
	err = e.serve(ctx, "ingest", func(cfg Config, t *telemetry.Telemetry) ([]run.Unit, error) {
		registry, err := codec.NewClient(cfg.Registry)
		if err != nil {
			return nil, usageError{err}
		}
		if i, err = ingest.New(to, in, cfg.Kafka, registry, t.Logger(), t.MeterProvider(), e.stderr); err != nil {
			return nil, err
		}
		return []run.Unit{{Name: "ingest", Run: func(ctx context.Context) error {
			defer registry.Close()
			if err := i.Run(ctx); err != nil {
				return err
			}
			return run.ErrDone
		}}}, nil
	})
	if err != nil {
		return err
	}
	return e.sayIngested(cfg.ClickHouse, to, in, i.Summary())
}

func missing(s *ingest.Series) string {
	if s.Missing == 0 {
		return ""
	}
	g := s.Longest
	return fmt.Sprintf("; %s missing, %d of them between %s and %s", count(int(s.Missing), "interval"),
		g.Missing, g.After.Format(time.DateTime), g.Before.Format(time.DateTime))
}

// brand returns the published brand, publishing it first if that is wanted.
func (e *environment) brand(ctx context.Context, m mentions) (event.Brand, error) {
	var brand event.Brand
	err := e.withBrands(ctx, "ingest", func(publish func([]brands.Step) error, published map[string]event.Brand) error {
		var found bool
		if brand, found = brands.Find(m.brand, published); found {
			if brand.Retired {
				return fmt.Errorf("brand %q is retired: nothing of it is processed; set 'retired: false' in its brand file and apply it", brand.BrandID)
			}
			return nil
		}
		if !m.createBrand {
			return fmt.Errorf("brand %q is not published%s: add it to a brand file and run 'flywheel brands apply FILE', or leave out --create-brand=false",
				m.brand, config.Hint(m.brand, slices.Values(slices.Sorted(maps.Keys(published)))))
		}
		simple, err := brands.Simple(m.brand, "USD")
		if err != nil {
			return usageError{fmt.Errorf("--brand: %w", err)}
		}
		steps, err := brands.Plan([]event.Brand{simple}, published)
		if err != nil {
			return err
		}
		if err := publish(steps); err != nil {
			return err
		}
		brand = simple
		fmt.Fprintf(e.stdout, "brand %q is new: published with time zone UTC and currency USD; 'flywheel brands apply FILE' describes it better\n", brand.BrandID)
		return nil
	})
	return brand, err
}

// sayIngested tells what became of the series and what to ask next.
func (e *environment) sayIngested(cfg clickhouse.Config, to ingest.Config, in *ingest.Series, s ingest.Summary) error {
	if !s.Complete {
		return fmt.Errorf("stopped when asked to, after %d of %d rows: run the same command again to send the rest; what has arrived counts once", s.Rows, s.RowsTotal)
	}
	perSecond := float64(s.Acknowledged) / max(s.Took.Seconds(), 1e-9)
	what, table, other := "views", "tiktok_content_statistics", "the searches, with --as response"
	if to.As == ingest.Response {
		what, table, other = "searches", "amazon_search_report", "the views, with --as stimulus"
	}
	fmt.Fprintf(e.stdout, "sent %d %s of brand %q in %s to %s, %s (%.0f a second)\n",
		in.Sum, what, to.BrandID, count(int(s.Acknowledged), "record"), s.Topic, s.Took.Round(time.Millisecond), perSecond)
	ask := func(query string) {
		if cfg.Protocol != clickhouse.DefaultConfig().Protocol {
			fmt.Fprintf(e.stdout, "  %s\n", query)
			return
		}
		fmt.Fprintf(e.stdout, "  curl -u %s:%s 'http://%s/?database=%s' -d \"%s FORMAT PrettyCompact\"\n", cfg.User, clickhouse.Shown(cfg.Password), cfg.Addresses[0], cfg.Database, query)
	}
	fmt.Fprintf(e.stdout, "\n'flywheel processor' and 'flywheel sink' take it from here. An answer needs both sides of the\n"+
		"same days: send %s, as well. Then ask ClickHouse:\n", other)
	ask(fmt.Sprintf("SELECT min(occurred_at), max(occurred_at), count() FROM %s FINAL WHERE brand_id = '%s'", table, to.BrandID))
	ask(fmt.Sprintf("SELECT force_name, verdict, test_p_value, best_lag_hours, effect FROM brand_correlation_latest WHERE brand_id = '%s'", to.BrandID))
	return nil
}
