// Package apache runs the servers of production as processes of this machine: Apache Kafka in KRaft
// mode and the Apicurio schema registry. Maven installs them into a cache folder, they listen on
// free loopback ports, and they end with whoever started them. It is for load tests and for tests
// with the build tag integration; it needs Java and Maven, nothing else of Flywheel does.
package apache

// Versions of what is installed; pom.xml and checksums belong to them.
const (
	KafkaVersion    = "4.3.0"
	RegistryVersion = "3.0.9"
)

// RegistryName is the product behind StartRegistry, as reports name it.
const RegistryName = "Apicurio " + RegistryVersion

// Installation is what Install has put into the cache folder.
type Installation struct {
	dir  string // the folder of everything
	java string // the program
}

// Dir is the folder of the installation.
func (i Installation) Dir() string { return i.dir }
