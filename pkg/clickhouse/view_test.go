package clickhouse

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
)

// migrated returns a database with all tables and views.
func migrated(t testing.TB) driver.Conn {
	t.Helper()
	conn, cfg := database(t)
	_, err := Migrate(t.Context(), cfg)
	must(t, err)
	return conn
}

// table returns the rows of a query as text.
func table(t testing.TB, conn driver.Conn, query string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT arrayStringConcat(arrayMap(x -> toString(x), [*]), ' | ') FROM ("+query+")")
	must(t, err)
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		must(t, rows.Scan(&line))
		lines = append(lines, line)
	}
	must(t, rows.Err())
	return lines
}

func wantTable(t *testing.T, conn driver.Conn, query string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, table(t, conn, query)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", query, diff)
	}
}

// Each INSERT is a part of its own, so nothing is replaced before it is read. An effect
// of 0 is none.
func insertCorrelation(t *testing.T, conn driver.Conn, brand string, force int, end string, revision int, verdict string, correlation, effect float64, bestLag int) {
	t.Helper()
	exec(t, conn, fmt.Sprintf(`INSERT INTO correlation
(brand_id, force, window_start, window_end, step_minutes, stimulus_signal, response_signal, lag_profile, best_lag_minutes, delay_minutes, half_life_minutes, decayed_correlation, verdict, effect, effect_low, effect_high, p_value, revision)
VALUES ('%s', %d, '2026-10-01 00:00:00', '%s', 15, 'tiktok_views', 'branded_searches', [0.25, 0.5], %d, 90, 240, %v, '%s', %v, %v, %v, 0.01, %d)`,
		brand, force, end, bestLag, correlation, verdict, effect, effect/2, 2*effect, revision))
}

func TestCorrelationLatestIsTheNewestWindowInItsNewestRevision(t *testing.T) {
	conn := migrated(t)
	insertCorrelation(t, conn, "acme", 1, "2026-10-04 12:00:00", 1, "significant", 0.5, 1, 180)
	insertCorrelation(t, conn, "acme", 1, "2026-10-04 12:15:00", 7, "significant", 0.75, 2, 90)
	insertCorrelation(t, conn, "acme", 1, "2026-10-04 12:15:00", 9, "not_significant", 0.25, 3, -1) // restated
	insertCorrelation(t, conn, "acme", 1, "2026-10-04 12:15:00", 8, "significant", 0.8, 4, 90)      // and replayed
	insertCorrelation(t, conn, "acme", 1, "2026-10-04 11:45:00", 10, "significant", 0.9, 5, 90)     // an older window
	insertCorrelation(t, conn, "acme", 10, "2026-10-03 00:00:00", 2, "insufficient", 0, 0, 90)
	insertCorrelation(t, conn, "soap", 1, "2026-10-01 00:00:00", 1, "significant", 0.5, 1, 45)
	wantTable(t, conn, `SELECT toString(brand_id), toString(force_name), toString(window_end), toString(revision), toString(verdict), toString(decayed_correlation),
	ifNull(toString(best_lag_hours), 'NULL'), toString(lag_profile), toString(delay_hours), toString(half_life_hours), ifNull(toString(effect), 'NULL'), ifNull(toString(effect_low), 'NULL'), ifNull(toString(effect_high), 'NULL')
	FROM brand_correlation_latest ORDER BY brand_id, force`,
		"acme | tiktok → amazon | 2026-10-04 12:15:00.000 | 9 | not_significant | 0.25 | NULL | [0.25,0.5] | 1.5 | 4 | 3 | 1.5 | 6",
		"acme | messaging → tiktok | 2026-10-03 00:00:00.000 | 2 | insufficient | 0 | 1.5 | [0.25,0.5] | 1.5 | 4 | NULL | NULL | NULL",
		"soap | tiktok → amazon | 2026-10-01 00:00:00.000 | 1 | significant | 0.5 | 0.75 | [0.25,0.5] | 1.5 | 4 | 1 | 0.5 | 2",
	)
}

func TestForceStrengthSumsUpTheWindowsOfADay(t *testing.T) {
	conn := migrated(t)
	insertCorrelation(t, conn, "acme", 1, "2026-10-04 00:15:00", 1, "significant", 0.5, 1, 60)
	insertCorrelation(t, conn, "acme", 1, "2026-10-04 00:30:00", 1, "significant", 0.5, 1, 60)
	insertCorrelation(t, conn, "acme", 1, "2026-10-04 00:30:00", 2, "not_significant", 0.25, 2, 120) // restated: counts once
	insertCorrelation(t, conn, "acme", 1, "2026-10-04 00:45:00", 1, "significant", 0.75, 3, 30)
	insertCorrelation(t, conn, "acme", 1, "2026-10-04 01:00:00", 1, "insufficient", 0, 0, -1)
	insertCorrelation(t, conn, "acme", 1, "2026-10-05 00:00:00", 1, "insufficient", 0, 9, -1) // the next day, by its end; without a discovery
	wantTable(t, conn, `SELECT toString(brand_id), toString(force_name), toString(day), toString(windows), toString(windows_insufficient), toString(windows_significant), toString(share_significant),
	ifNull(toString(decayed_correlation), 'NULL'), ifNull(toString(best_lag_hours), 'NULL'), ifNull(toString(effect), 'NULL'), ifNull(toString(effect_low), 'NULL'), ifNull(toString(effect_high), 'NULL'), toString(newest_window_end)
	FROM force_strength ORDER BY day`,
		"acme | tiktok → amazon | 2026-10-04 | 4 | 1 | 2 | 0.5 | 0.5 | 0.5 | 3 | 1.5 | 6 | 2026-10-04 01:00:00.000",
		"acme | tiktok → amazon | 2026-10-05 | 1 | 1 | 0 | 0 | NULL | NULL | 9 | 4.5 | 18 | 2026-10-05 00:00:00.000",
	)
}

// TestForceDiscoveryIsBenjaminiYekutieli compares the view's q-values with those of
// package correlate, over brands with equal probabilities, older windows, restated
// ones and forces that could not be tested.
func TestForceDiscoveryIsBenjaminiYekutieli(t *testing.T) {
	conn := migrated(t)
	insert := func(brand string, force int, end string, revision int, p, level float64) {
		t.Helper()
		exec(t, conn, fmt.Sprintf(`INSERT INTO correlation (brand_id, force, window_end, test_p_value, test_level, discovery, revision)
VALUES ('%s', %d, '%s', %v, %v, %v, %d)`, brand, force, end, p, level, p <= level, revision))
	}
	r := rand.New(rand.NewPCG(1, 1))
	var p []float64
	for i := range 60 {
		brand := fmt.Sprintf("brand-%02d", i)
		for force := range 3 {
			v := math.Pow(r.Float64(), 1+5*float64(i%3))
			if i%7 == 0 {
				v = 0.004
			}
			if i > 3 { // the first brands have little else
				insert(brand, force+1, "2026-10-03 12:00:00", 9, v/2, 0.01)
				insert(brand, force+1, "2026-10-04 12:00:00", 1, v/3, 0.01)
			}
			insert(brand, force+1, "2026-10-04 12:00:00", 2, v, 0.0004)
			p = append(p, v)
		}
		insert(brand, 4, "2026-10-04 12:00:00", 1, 1, 0) // was not tested
	}
	want := correlate.QValues(make([]float64, len(p)), p)
	rows, err := conn.Query(t.Context(), "SELECT brand_id, force, test_p_value, q_value, tests, discovery, discovery_of_all FROM force_discovery ORDER BY brand_id, force")
	must(t, err)
	defer rows.Close()
	n, found := 0, 0
	for ; rows.Next(); n++ {
		var brand string
		var force int32
		var got, q float64
		var tests uint64
		var discovery, ofAll bool
		must(t, rows.Scan(&brand, &force, &got, &q, &tests, &discovery, &ofAll))
		if got != p[n] || tests != uint64(len(p)) || math.Abs(q-want[n]) > 1e-12 {
			t.Errorf("%s, force %d: p %v (want %v), q %.15g (want %.15g) of %d", brand, force, got, p[n], q, want[n], tests)
		}
		if discovery != (p[n] <= 0.0004) || ofAll != (q <= correlate.FDR) {
			t.Errorf("%s, force %d: p %v, q %v, discovery %t, of all %t", brand, force, p[n], q, discovery, ofAll)
		}
		if ofAll {
			found++
		}
	}
	must(t, rows.Err())
	if n != len(p) || found == 0 || found == n {
		t.Errorf("%d rows, of %d, and %d discoveries", n, len(p), found)
	}
}

// A force counts among the tests of now as long as its window shares time with the newest
// one of all, and its brand is processed.
func TestForceDiscoveryIsOfNow(t *testing.T) {
	for name, tc := range map[string]struct {
		end     string
		retired []bool // by version of the brand's entry
		want    bool
	}{
		"a brand that is heard of":                            {end: "2026-10-05 06:00:00", want: true},
		"a brand that is quiet from Friday evening to Monday": {end: "2026-10-02 18:00:00", want: true},
		"a brand whose window ends as the newest begins":      {end: "2026-10-02 12:00:00"},
		"a brand last heard of in another year":               {end: "2025-01-04 12:00:00"},
		"a brand whose entry says that it is processed":       {end: "2026-10-05 06:00:00", retired: []bool{false}, want: true},
		"a brand that retired":                                {end: "2026-10-05 06:00:00", retired: []bool{false, true}},
		"a brand that came back after it retired":             {end: "2026-10-05 06:00:00", retired: []bool{true, false}, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			conn := migrated(t)
			for brand, end := range map[string]string{"acme": tc.end, "soap": "2026-10-05 12:00:00"} {
				exec(t, conn, fmt.Sprintf("INSERT INTO correlation (brand_id, force, window_end, test_p_value, test_level) VALUES ('%s', 1, '%s', 0.03, 0.01)", brand, end))
			}
			for version, retired := range tc.retired {
				exec(t, conn, fmt.Sprintf("INSERT INTO brand (brand_id, version, retired) VALUES ('acme', %d, %t)", version+1, retired))
			}
			want := []string{"soap | 1 | 0.03"}
			if tc.want { // 0.03 of two: twice that, over 2 as there are two as small, by 1 + 1/2
				want = []string{"acme | 2 | 0.045", "soap | 2 | 0.045"}
			}
			wantTable(t, conn, "SELECT toString(brand_id), toString(tests), toString(round(q_value, 6)) FROM force_discovery ORDER BY brand_id", want...)
		})
	}
}

func insertCredit(t *testing.T, conn driver.Conn, day, node, currency string, revenue, baseline int64, revision int, credits string) {
	t.Helper()
	exec(t, conn, fmt.Sprintf(`INSERT INTO credit
(brand_id, day, node, currency, revenue_micros, baseline_micros, credits.force, credits.node, credits.content_id, credits.credit_micros, revision)
VALUES ('acme', '%s', '%s', '%s', %d, %d, %s, %d)`, day, node, currency, revenue, baseline, credits, revision))
}

func TestPostCreditAddsUpToTheRevenue(t *testing.T) {
	conn := migrated(t)
	insertCredit(t, conn, "2026-10-04 04:00:00", "amazon", "USD", 100, 90, 1, "[1], ['tiktok'], ['old'], [10]")
	insertCredit(t, conn, "2026-10-04 04:00:00", "amazon", "USD", 120, 70, 2, "[1, 1, 7], ['tiktok', 'tiktok', 'aisearch'], ['post', '', ''], [30, 15, 5]")
	insertCredit(t, conn, "2026-10-04 04:00:00", "amazon", "EUR", 7, 7, 1, "[], [], [], []")
	insertCredit(t, conn, "2026-10-04 04:00:00", "shopify", "USD", -3, -3, 1, "[], [], [], []") // more returned than sold
	wantTable(t, conn, `SELECT toString(brand_id), toString(day), toString(node), toString(currency), toString(part), toString(force), toString(force_name), toString(stimulus_node), content_id, toString(credit_micros), toString(revision)
	FROM post_credit ORDER BY node, currency, part DESC, force, credit_micros`,
		"acme | 2026-10-04 04:00:00.000 | amazon | EUR | baseline | 0 |  |  |  | 7 | 1",
		"acme | 2026-10-04 04:00:00.000 | amazon | USD | post | 1 | tiktok → amazon | tiktok | post | 30 | 2",
		"acme | 2026-10-04 04:00:00.000 | amazon | USD | node | 1 | tiktok → amazon | tiktok |  | 15 | 2",
		"acme | 2026-10-04 04:00:00.000 | amazon | USD | node | 7 | aisearch → amazon | aisearch |  | 5 | 2",
		"acme | 2026-10-04 04:00:00.000 | amazon | USD | baseline | 0 |  |  |  | 70 | 2",
		"acme | 2026-10-04 04:00:00.000 | shopify | USD | baseline | 0 |  |  |  | -3 | 1",
	)
	wantTable(t, conn, `SELECT toString(node), toString(currency), toString(sum(credit_micros)) FROM post_credit GROUP BY brand_id, day, node, currency ORDER BY node, currency`,
		"amazon | EUR | 7", "amazon | USD | 120", "shopify | USD | -3")
}

func TestCreditOfCreatorsAndCampaignsIsThatOfTheirPosts(t *testing.T) {
	conn := migrated(t)
	insertCredit(t, conn, "2026-10-04 04:00:00", "amazon", "USD", 120, 40, 1, "[1, 1, 1, 1, 1], ['tiktok', 'tiktok', 'tiktok', 'tiktok', 'tiktok'], ['a', 'b', 'c', 'unknown', ''], [30, 15, 5, 20, 10]")
	for _, post := range []struct {
		content, creator, campaign string
		version                    int
	}{{"a", "ann", "autumn", 1}, {"b", "bob", "", 1}, {"b", "ann", "spring", 2}, {"c", "bob", "autumn", 1}, {"d", "dan", "winter", 1}} {
		exec(t, conn, fmt.Sprintf(`INSERT INTO tiktok_content_published (event_id, brand_id, occurred_at, content_id, creator_id, campaign_id, version)
VALUES (generateUUIDv4(), 'acme', '2026-10-03 12:00:00', '%s', '%s', '%s', %d)`, post.content, post.creator, post.campaign, post.version))
	}
	wantTable(t, conn, `SELECT toString(brand_id), toString(day), toString(node), toString(currency), toString(force_name), creator_id, toString(posts), toString(credit_micros) FROM creator_credit ORDER BY creator_id`,
		"acme | 2026-10-04 04:00:00.000 | amazon | USD | tiktok → amazon |  | 1 | 20",
		"acme | 2026-10-04 04:00:00.000 | amazon | USD | tiktok → amazon | ann | 2 | 45",
		"acme | 2026-10-04 04:00:00.000 | amazon | USD | tiktok → amazon | bob | 1 | 5",
	)
	wantTable(t, conn, `SELECT toString(sum(credit_micros)) FROM creator_credit SETTINGS join_use_nulls = 1`, "70")
	wantTable(t, conn, `SELECT toString(brand_id), toString(day), toString(node), toString(currency), toString(force_name), campaign_id, toString(posts), toString(credit_micros) FROM campaign_credit ORDER BY campaign_id`,
		"acme | 2026-10-04 04:00:00.000 | amazon | USD | tiktok → amazon |  | 1 | 20",
		"acme | 2026-10-04 04:00:00.000 | amazon | USD | tiktok → amazon | autumn | 2 | 35",
		"acme | 2026-10-04 04:00:00.000 | amazon | USD | tiktok → amazon | spring | 1 | 15",
	)
	wantTable(t, conn, `SELECT toString(sum(credit_micros)) FROM campaign_credit SETTINGS join_use_nulls = 1`, "70")
}

func TestBrandSpikeIsEverySpikeInItsNewestRevision(t *testing.T) {
	conn := migrated(t)
	insert := func(id, status, started, ended string, revision int, content string) {
		t.Helper()
		exec(t, conn, fmt.Sprintf(`INSERT INTO spike (brand_id, spike_id, force, status, started_at, ended_at, leading_content_id, leading_views, lead_p_value, explained_share, driven, revision)
VALUES ('acme', '00000000-0000-0000-0000-%s', 1, '%s', '%s', '%s', '%s', 1000, 0.125, 0.75, true, %d)`, id, status, started, ended, content, revision))
	}
	insert("000000000001", "active", "2026-10-04 12:00:00", "2026-10-04 12:30:00", 1, "a")
	insert("000000000001", "resolved", "2026-10-04 12:00:00", "2026-10-04 14:00:00", 3, "b")
	insert("000000000001", "active", "2026-10-04 12:00:00", "2026-10-04 13:00:00", 2, "a") // arrives late
	insert("000000000002", "active", "2026-10-05 12:00:00", "2026-10-05 12:15:00", 1, "c")
	insert("000000000002", "retracted", "2026-10-05 12:00:00", "2026-10-05 12:15:00", 2, "")
	wantTable(t, conn, `SELECT toString(brand_id), toString(force_name), toString(status), toString(started_at), toString(duration_minutes), leading_content_id, toString(leading_views), toString(lead_p_value), toString(explained_share), toString(driven), toString(revision)
	FROM brand_spike ORDER BY started_at`,
		"acme | tiktok → amazon | resolved | 2026-10-04 12:00:00.000 | 120 | b | 1000 | 0.125 | 0.75 | true | 3",
		"acme | tiktok → amazon | retracted | 2026-10-05 12:00:00.000 | 15 |  | 1000 | 0.125 | 0.75 | true | 2",
	)
}

// A spike is told of by what is heard of its brand: of one that is gone nobody says that it
// has ended.
func TestASpikeOfABrandThatIsGoneGoesOnNoMore(t *testing.T) {
	for name, tc := range map[string]struct {
		status, ended string
		retired       bool
		want          string
	}{
		"one that goes on":                            {"active", "2026-10-05 12:00:00", false, "active"},
		"of a response that is nine days behind":      {"active", "2026-09-26 12:00:00", false, "active"},
		"of which nothing was heard for ten days":     {"active", "2026-09-25 12:00:00", false, "resolved"},
		"of a brand that retired":                     {"active", "2026-10-05 12:00:00", true, "resolved"},
		"one that was retracted, of one that retired": {"retracted", "2026-09-25 12:00:00", true, "retracted"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := migrated(t)
			exec(t, conn, "INSERT INTO correlation (brand_id, force, window_end) VALUES ('soap', 1, '2026-10-05 12:00:00')")
			exec(t, conn, fmt.Sprintf("INSERT INTO brand (brand_id, version, retired) VALUES ('acme', 1, %t)", tc.retired))
			exec(t, conn, fmt.Sprintf("INSERT INTO spike (brand_id, force, status, ended_at) VALUES ('acme', 1, '%s', '%s')", tc.status, tc.ended))
			wantTable(t, conn, "SELECT toString(status) FROM brand_spike", tc.want)
		})
	}
}

// Whoever asks for all columns of a view gets them, with and without what may be missing:
// a view declares the types of its columns, and reads from others that may have changed
// theirs since. Of each column that can be NULL there is a row in which it is, and one in
// which it is not.
func TestEveryColumnOfEveryViewCanBeRead(t *testing.T) {
	conn := migrated(t)
	insertCorrelation(t, conn, "acme", 1, "2026-10-04 12:00:00", 1, "significant", 0.5, 1, 60)
	insertCorrelation(t, conn, "soap", 1, "2026-10-04 12:00:00", 1, "insufficient", 0, 0, -1)
	exec(t, conn, `INSERT INTO correlation (brand_id, force, window_end, verdict, effect_high, best_lag_minutes, test_level) VALUES
('toys', 1, '2026-10-04 12:00:00', 'significant', 1, 60, 0.01), ('pans', 1, '2026-10-04 12:00:00', 'insufficient', 0, -1, 0.01)`)
	insertCredit(t, conn, "2026-10-04 04:00:00", "amazon", "USD", 120, 70, 1, "[1, 1], ['tiktok', 'tiktok'], ['post', ''], [30, 20]")
	exec(t, conn, "INSERT INTO spike (brand_id, force) VALUES ('acme', 1)")

	views := make(map[string]string)
	must(t, Each(t.Context(), conn, "SELECT name, as_select FROM system.tables WHERE database = currentDatabase() AND engine = 'View'", func(rows driver.Rows) error {
		var name, query string
		err := rows.Scan(&name, &query)
		views[name] = query
		return err
	}))
	if len(views) < 7 {
		t.Errorf("only %d views are there", len(views))
	}
	for name, query := range views {
		t.Run(name, func(t *testing.T) {
			for _, nulls := range []int{0, 1} {
				n := 0
				read := fmt.Sprintf("SELECT * FROM %s SETTINGS join_use_nulls = %d", name, nulls)
				if err := Each(t.Context(), conn, read, func(driver.Rows) error { n++; return nil }); err != nil || n == 0 {
					t.Errorf("%s: %d rows, error %v", read, n, err)
				}
			}
			// Which can be NULL is told by what the view reads, not by what it declares.
			rows, err := conn.Query(t.Context(), query)
			must(t, err)
			columns := rows.ColumnTypes()
			must(t, rows.Close())
			all := count(t, conn, "SELECT count() FROM ("+query+")")
			for _, c := range columns {
				read := fmt.Sprintf("SELECT countIf(isNull(%s)) FROM (%s)", c.Name(), query)
				if missing := count(t, conn, read); c.Nullable() && (missing == 0 || missing == all) {
					t.Errorf("%s is NULL in %d of %d rows", c.Name(), missing, all)
				}
			}
		})
	}
}

// The views write out what the forces are called; package event says what they
// are.
func TestViewsNameTheForcesAsTheyAre(t *testing.T) {
	conn := migrated(t)
	var want []string
	for _, f := range event.Forces() {
		insertCorrelation(t, conn, "acme", f.Number, "2026-10-04 12:00:00", 1, "significant", 0.5, 1, 60)
		want = append(want, fmt.Sprintf("%d | %s → %s", f.Number, f.From, f.To))
	}
	wantTable(t, conn, "SELECT toString(force), toString(force_name) FROM brand_correlation_latest ORDER BY force", want...)
	rows, err := conn.Query(t.Context(), `SELECT extract(create_table_query, 'transform\\(force[^)]*\\)') FROM system.tables WHERE database = currentDatabase() AND engine = 'View'
		AND name NOT IN ('creator_credit', 'campaign_credit', 'force_discovery') -- which take them from another`)
	must(t, err)
	defer rows.Close()
	first := ""
	for rows.Next() {
		var names string
		must(t, rows.Scan(&names))
		if first == "" {
			first = names
		}
		if !strings.HasPrefix(names, "transform(force") || names != first {
			t.Errorf("a view names the forces by %q, another by %q", names, first)
		}
	}
	must(t, rows.Err())
}
