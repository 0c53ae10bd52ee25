// Package apache runs the servers of production as processes of this machine: Apache Kafka in KRaft
// mode and the Apicurio schema registry. Maven installs them into a cache folder, they listen on
// free loopback ports, and they end with whoever started them. It is for load tests and for tests
// with the build tag integration; it needs Java and Maven, nothing else of Flywheel does.
package apache

import "path/filepath"

// Versions of what is installed; pom.xml and checksums belong to them.
const (
	KafkaVersion    = "4.3.0"
	RegistryVersion = "3.0.9"
)

// Installation is what Install has put into the cache folder.
type Installation struct {
	dir   string // the folder of everything
	java  string // the program
	trial bool   // whether the servers run for the first time, see try
}

// Archives of the classes that a server loads, as Java has laid them out in memory: with one, a
// server starts in half the processor time.
const (
	kafkaClasses    = "kafka.jsa"
	registryClasses = "registry.jsa"
)

// virtualMachine are Java's own arguments for a server with the archive and a bound of its heap.
func (i Installation) virtualMachine(classes, heap string) []string {
	use := "-XX:SharedArchiveFile="
	if i.trial {
		use = "-XX:ArchiveClassesAtExit="
	}
	return []string{
		"-XX:+IgnoreUnrecognizedVMOptions", use + filepath.Join(i.dir, classes), "-Xmx" + heap,
		"-XX:+ExitOnOutOfMemoryError", "-XX:-UsePerfData", "-Djava.awt.headless=true",
	}
}

// Dir is the folder of the installation.
func (i Installation) Dir() string { return i.dir }
