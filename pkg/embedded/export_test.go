package embedded

// KafkaWiped reports whether Start discarded the broker's data because the last run did not stop
// cleanly.
func (e *Engines) KafkaWiped() bool { return e.kafka != nil && e.kafka.wiped }
