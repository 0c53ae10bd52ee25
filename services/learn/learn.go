// Package learn counts which kernels the brands follow whose forces were discovered, so
// that other brands are looked at with a prior.
package learn

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"flywheel/pkg/clickhouse"
	"flywheel/pkg/correlate"
	"flywheel/pkg/event"
	"flywheel/pkg/topology"
)

// Days is how far behind the newest window discoveries count.
const Days = 90

// Run returns what the brands of each force have shown, by its number: each brand that
// was a discovery counts once, for the kernel at its last.
//
// A kernel published is as a rule that of the study of the effect, which takes no prior
// (correlate.Estimator). Whether there is a discovery hangs on the brand's prior, all the
// same: so a brand learns from lower folds only, see correlate.Pool.
func Run(ctx context.Context, cfg clickhouse.Config) (pools map[int]*correlate.Pool, err error) {
	conn, err := clickhouse.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := clickhouse.Check(ctx, conn, cfg); err != nil {
		return nil, err
	}
	pools = make(map[int]*correlate.Pool)
	for _, f := range event.Forces() {
		if topology.Pooled(f.Number) == nil {
			pools[f.Number] = new(correlate.Pool)
		}
	}
	query := fmt.Sprintf(`
SELECT brand_id, force, argMax(delay_minutes, window_end), argMax(half_life_minutes, window_end)
FROM correlation FINAL
WHERE discovery AND window_end > (SELECT max(window_end) FROM correlation) - INTERVAL %d DAY
GROUP BY brand_id, force`, Days)
	err = clickhouse.Each(ctx, conn, query, func(r driver.Rows) error {
		var brand string
		var force, delay, halfLife int32
		if err := r.Scan(&brand, &force, &delay, &halfLife); err != nil {
			return err //nolint:wrapcheck // Each names the query
		}
		if pool := pools[int(force)]; pool != nil {
			pool.Learn(brand, correlate.Kernel{Delay: int(delay+30) / 60, HalfLife: float64(halfLife) / 60, Lags: event.ShortWindowHours})
		}
		return nil
	})
	return pools, err
}
