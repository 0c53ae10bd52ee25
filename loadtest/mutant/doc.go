// Package mutant proves that the simulation proves something: it plants mistakes
// into the pipeline, one at a time, and each has to be caught. The mistakes are
// laid over the code while it is built; the code itself knows nothing of them.
// They and their runner are behind the build tag mutants: make mutants.
package mutant
