// Package simulation lets the whole pipeline live through thousands of bad days
// in minutes: the processor's and the sink's own loops against an in-memory
// Kafka, in simulated time, with everything that may go wrong going wrong at
// the worst moment. A seed is one plan of events and faults; afterwards oracles
// that share no code with the pipeline say whether anything was lost, doubled or
// made up. DESIGN.md beside this file says how.
package simulation
