package brands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/metric"

	"flywheel/pkg/codec"
	"flywheel/pkg/event"
	"flywheel/pkg/kafka"
)

// readTimeout bounds how long the topic may keep silent before its end.
const readTimeout = 30 * time.Second

// Read returns the newest entry of every published brand by its id: the whole
// topic flywheel.brand, up to its end as of now. An entry that cannot be read is
// skipped, and logged as an error; the next version of it replaces it.
func Read(ctx context.Context, cfg kafka.Config, registry codec.Registry, logger *slog.Logger, meters metric.MeterProvider) (map[string]event.Brand, error) {
	client, err := kafka.Connect(ctx, cfg, logger, meters, kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer client.Close()
	decoder, err := codec.NewDecoder(registry)
	if err != nil {
		return nil, err
	}
	left, err := open(ctx, client)
	if err != nil {
		return nil, err
	}
	found := make(map[string]event.Brand)
	for len(left) > 0 {
		poll, cancel := context.WithTimeout(ctx, readTimeout)
		fetches := client.PollFetches(poll)
		cancel()
		if errors.Is(fetches.Err0(), context.DeadlineExceeded) && ctx.Err() == nil {
			return nil, fmt.Errorf("read topic %q: the broker has sent nothing for %s: check it and try again", event.TopicBrand, readTimeout)
		}
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read topic %q: %w", event.TopicBrand, err)
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
			if err := keep(ctx, found, decoder, r, logger); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// open has the client read the topic from its start and returns, for each
// partition that holds records, the offset after the last one.
func open(ctx context.Context, client *kgo.Client) (map[int32]int64, error) {
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, event.TopicBrand)
	if err = errors.Join(err, starts.Error()); err != nil {
		return nil, fmt.Errorf("find the start of topic %q: %w: run 'flywheel topics apply' if it does not exist", event.TopicBrand, err)
	}
	ends, err := admin.ListEndOffsets(ctx, event.TopicBrand)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, fmt.Errorf("find the end of topic %q: %w", event.TopicBrand, err)
	}
	left := make(map[int32]int64)
	from := make(map[int32]kgo.Offset)
	ends.Each(func(end kadm.ListedOffset) {
		start, ok := starts.Lookup(event.TopicBrand, end.Partition)
		if ok && start.Offset < end.Offset {
			left[end.Partition] = end.Offset
			from[end.Partition] = kgo.NewOffset().At(start.Offset)
		}
	})
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{event.TopicBrand: from})
	return left, nil
}

// keep takes over one entry if it is newer than the one known.
func keep(ctx context.Context, found map[string]event.Brand, decoder *codec.Decoder, r *kgo.Record, logger *slog.Logger) error {
	switch {
	case r.Attrs.IsControl():
		return nil
	case r.Value == nil: // an entry that was erased
		delete(found, string(r.Key))
		return nil
	}
	value, err := decoder.Decode(ctx, event.TopicBrand, r.Value)
	brand, ok := value.(*event.Brand)
	var refused *codec.Error
	switch {
	case err != nil && !errors.As(err, &refused):
		return err
	case err != nil || !ok || brand.BrandID != string(r.Key):
		logger.ErrorContext(ctx, "skipping an entry of the topic of brands that cannot be read; apply the brand file to replace it",
			slog.String("flywheel.brand.id", string(r.Key)),
			slog.String("messaging.destination.partition.id", strconv.Itoa(int(r.Partition))), slog.Int64("messaging.kafka.offset", r.Offset), slog.Any("error.message", err))
		return nil
	}
	if was, known := found[brand.BrandID]; !known || brand.Version >= was.Version {
		found[brand.BrandID] = *brand
	}
	return nil
}
