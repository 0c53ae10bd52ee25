package codec

import (
	"context"
	"fmt"

	"flywheel/schemas"
)

// Static is a Registry that holds the contracts in memory, under ids that are
// the same in every process built from the same contracts: for tests,
// benchmarks, and tools that never meet a broker.
type Static struct {
	ids     map[string]uint32 // by schema
	schemas []string          // by id − 1
}

// NewStatic returns the registry of all versions of all contracts.
func NewStatic() (*Static, error) {
	records, err := schemas.Records()
	if err != nil {
		return nil, err
	}
	s := &Static{ids: make(map[string]uint32)}
	for _, record := range records {
		versions, err := schemas.Versions(record)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			text, err := schemas.Avro(record, v)
			if err != nil {
				return nil, err
			}
			s.add(string(text))
		}
	}
	return s, nil
}

func (s *Static) add(schema string) uint32 {
	s.schemas = append(s.schemas, schema)
	id := uint32(len(s.schemas))
	s.ids[schema] = id
	return id
}

// ID implements Registry. A schema has one id whatever its subject.
func (s *Static) ID(_ context.Context, subject, schema string) (uint32, error) {
	id, ok := s.ids[schema]
	if !ok {
		return 0, fmt.Errorf("look up subject %q: %w", subject, ErrUnknownSchema)
	}
	return id, nil
}

// Schema implements Registry.
func (s *Static) Schema(_ context.Context, id uint32) (string, error) {
	if id == 0 || id > uint32(len(s.schemas)) {
		return "", fmt.Errorf("look up schema %d: %w", id, ErrUnknownSchema)
	}
	return s.schemas[id-1], nil
}
