package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"flywheel/pkg/config"
)

const dockerfile = "deploy/Dockerfile"

// listens says which ports the images of others listen on; Kafka's are read
// from its settings.
var listens = map[string][]string{
	"clickhouse": {"8123", "9000"},
	"registry":   {"8080"},
}

type composeFile struct {
	Name        string                     `yaml:"name"`
	Flywheel    composeService             `yaml:"x-flywheel"`
	Environment map[string]string          `yaml:"x-environment"`
	Ready       composeHealth              `yaml:"x-ready"`
	Services    map[string]*composeService `yaml:"services"`
	Volumes     map[string]*struct{}       `yaml:"volumes"`
}

type composeService struct {
	Image string `yaml:"image"`
	Build struct {
		Context    string            `yaml:"context"`
		Dockerfile string            `yaml:"dockerfile"`
		Args       map[string]string `yaml:"args"`
	} `yaml:"build"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	DependsOn   map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Healthcheck *composeHealth `yaml:"healthcheck"`
	Restart     string         `yaml:"restart"`
	Hostname    string         `yaml:"hostname"`
	Profiles    []string       `yaml:"profiles"`
	StopGrace   string         `yaml:"stop_grace_period"`
	Ulimits     map[string]any `yaml:"ulimits"`
}

type composeHealth struct {
	Test        []string `yaml:"test"`
	Interval    string   `yaml:"interval"`
	Timeout     string   `yaml:"timeout"`
	Retries     int      `yaml:"retries"`
	StartPeriod string   `yaml:"start_period"`
}

func (s *composeService) ours() bool { return s.Image == "flywheel" }

// TestCompose checks every command, variable, port, file, dependency and volume
// that compose.yaml and the Dockerfile name against what there is.
func TestCompose(t *testing.T) {
	for _, sin := range composeSins(t, readSource(t, "compose.yaml"), readSource(t, dockerfile)) {
		t.Error(sin)
	}
}

// TestComposeRefuses breaks the files one mistake at a time.
func TestComposeRefuses(t *testing.T) {
	compose, docker := readSource(t, "compose.yaml"), readSource(t, dockerfile)
	for name, c := range map[string]struct{ old, new, want string }{
		"a key that compose does not know":      {"stop_grace_period: 30s", "stop_grace_perid: 30s", "stop_grace_perid"},
		"a command that is none":                {"command: [sink]", "command: [sikn]", "sikn"},
		"a subcommand that is none":             {"[topics, apply]", "[topics, aply]", "aply"},
		"a group of commands alone":             {"[topics, apply]", "[topics]", "holds other commands"},
		"a flag that is none":                   {"command: [sink]", "command: [sink, --fast]", "--fast"},
		"an argument too many":                  {"command: [migrate]", "command: [migrate, all]", "all"},
		"a variable that is no key":             {"FLYWHEEL_KAFKA_BROKERS: ", "FLYWHEEL_KAFKA_BROKER: ", "FLYWHEEL_KAFKA_BROKERS"},
		"a value that is refused":               {"FLYWHEEL_CLICKHOUSE_DATABASE: flywheel", "FLYWHEEL_CLICKHOUSE_DATABASE: fly-wheel", "database"},
		"a host that is no service":             {"FLYWHEEL_KAFKA_BROKERS: kafka:9092", "FLYWHEEL_KAFKA_BROKERS: kafak:9092", "kafak"},
		"a port nobody listens on":              {"FLYWHEEL_KAFKA_BROKERS: kafka:9092", "FLYWHEEL_KAFKA_BROKERS: kafka:9094", "9094"},
		"a registry's port nobody listens on":   {"http://registry:8080", "http://registry:8081", "8081"},
		"another password on the other side":    {"CLICKHOUSE_PASSWORD: ${CLICKHOUSE_PASSWORD:-flywheel}\n    volumes", "CLICKHOUSE_PASSWORD: other\n    volumes", "CLICKHOUSE_PASSWORD"},
		"a variable without a default":          {"${CLICKHOUSE_PASSWORD:-flywheel}", "${CLICKHOUSE_PASSWORD}", "no default"},
		"a port published twice":                {"127.0.0.1:9465:9464", "127.0.0.1:9464:9464", "published twice"},
		"a port open to the network":            {"127.0.0.1:18123:8123", "18123:8123", "127.0.0.1"},
		"a published port nobody listens on":    {"127.0.0.1:18123:8123", "127.0.0.1:18123:8124", "8124"},
		"another admin port":                    {"127.0.0.1:9464:9464", "127.0.0.1:9464:9465", "9465"},
		"a volume that is not declared":         {"[\"kafka:/var", "[\"kafak:/var", "kafak"},
		"a volume nobody uses":                  {"\nvolumes:\n", "\nvolumes:\n  spare:\n", "spare"},
		"a file that is not there":              {"[\"kafka:/var", "[\"./deploy/none.yaml:/etc/none\", \"kafka:/var", "none.yaml"},
		"a service that is none":                {"topics: {condition", "topic: {condition", "topic"},
		"a condition that is none":              {"condition: service_started", "condition: service_up", "service_up"},
		"a wait for a check that is not made":   {"    healthcheck: *ready\n    depends_on:\n      topics: {condition: service_completed_successfully}\n\n", "    depends_on:\n      topics: {condition: service_completed_successfully}\n\n", "no health check"},
		"a wait for a service to end":           {"migrate: {condition: service_completed_successfully}", "processor: {condition: service_completed_successfully}", "does not end"},
		"a dependency that is forgotten":        {"      topics: {condition: service_completed_successfully}\n      migrate", "      migrate", "does not wait"},
		"a health check that is no command":     {"[CMD, flywheel, ready]", "[CMD, flywheel, redy]", "redy"},
		"a health check by a program not there": {"[CMD, flywheel, ready]", "[CMD, curl, http://localhost:9464/readyz]", "curl"},
		"a listener nobody listens on":          {"ADVERTISED_LISTENERS: PLAINTEXT://kafka:9092", "ADVERTISED_LISTENERS: PLAIN://kafka:9092", "PLAIN"},
		"a controller elsewhere":                {"1@kafka:9093", "1@kafka:9099", "9099"},
		"a Dockerfile that is not there":        {"dockerfile: deploy/Dockerfile", "dockerfile: Dockerfile", "Dockerfile"},
		"another Go":                            {"golang:1.", "golang:0.", "go.mod"},
		"a folder that is not there":            {"COPY pkg pkg", "COPY pgk pkg", "pgk"},
		"a folder that is ignored":              {"COPY pkg pkg", "COPY deploy pkg", "dockerignore"},
		"a folder that is forgotten":            {"COPY pkg pkg\n", "", "pkg"},
		"a stage that is none":                  {"--from=build", "--from=biuld", "biuld"},
		"a package that is not there":           {"./services/flywheel\n", "./cmd/flywheel\n", "cmd/flywheel"},
		"a variable of the linker that is none": {"main.version", "main.Version", "main.Version"},
		"a version the binary is not told":      {" -X main.linkedCommit=$COMMIT", "", "COMMIT"},
		"a version that is not passed":          {", COMMIT: \"${COMMIT:-unknown}\"", "", "COMMIT is not passed"},
		"an argument that is none":              {"COMMIT: ", "COMIT: ", "no argument COMIT"},
		"a build with C":                        {"CGO_ENABLED=0 ", "", "CGO_ENABLED=0"},
		"an entry point that is not there":      {`ENTRYPOINT ["/usr/local/bin/flywheel"]`, `ENTRYPOINT ["/flywheel"]`, "/flywheel"},
		"an image's variable that is no key":    {"FLYWHEEL_LOG_FORMAT", "FLYWHEEL_LOG_FROMAT", "FLYWHEEL_LOG_FORMAT"},
		"an admin port that is not exposed":     {"EXPOSE 9464", "EXPOSE 9465", "9464"},
		"root":                                  {"USER 65532:65532", "USER 0:0", "root"},
	} {
		t.Run(name, func(t *testing.T) {
			inCompose, inDocker := strings.Contains(compose, c.old), strings.Contains(docker, c.old)
			if inCompose == inDocker {
				t.Fatalf("%q stands in both files or in none", c.old)
			}
			got := composeSins(t, strings.Replace(compose, c.old, c.new, 1), strings.Replace(docker, c.old, c.new, 1))
			if !strings.Contains(strings.Join(got, "\n"), c.want) {
				t.Errorf("want a sentence about %q, got %q", c.want, got)
			}
		})
	}
}

func readSource(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(source, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// composeCheck collects what is wrong.
type composeCheck struct {
	t     *testing.T
	file  composeFile
	image map[string]string // the variables of our image
	args  []string          // that its build takes, but for those of the platform
	found []string
}

func (c *composeCheck) say(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func composeSins(t *testing.T, compose, docker string) []string {
	t.Helper()
	c := &composeCheck{t: t}
	if err := yaml.UnmarshalWithOptions([]byte(c.interpolate(compose)), &c.file, yaml.Strict()); err != nil {
		return []string{err.Error()}
	}
	c.dockerfile(docker)
	published := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.file.Services)) {
		s := c.file.Services[name]
		if s.ours() {
			c.service(name, s)
		} else if !strings.Contains(s.Image, ":") || strings.HasSuffix(s.Image, ":latest") {
			c.say("%s: image %q has no version", name, s.Image)
		}
		c.ports(name, s, published)
		c.volumes(name, s)
		c.dependencies(name, s)
	}
	for _, v := range slices.Sorted(maps.Keys(c.file.Volumes)) {
		if !c.anyService(func(s *composeService) bool {
			return slices.ContainsFunc(s.Volumes, func(m string) bool { return strings.HasPrefix(m, v+":") })
		}) {
			c.say("volume %s is declared, but nobody uses it", v)
		}
	}
	c.kafka()
	c.password()
	return c.found
}

func (c *composeCheck) anyService(is func(*composeService) bool) bool {
	for _, s := range c.file.Services {
		if is(s) {
			return true
		}
	}
	return false
}

var variable = regexp.MustCompile(`\$\{([A-Z_]+)(?::-([^}]*))?\}`)

// interpolate puts the defaults for ${NAME:-default}.
func (c *composeCheck) interpolate(text string) string {
	return variable.ReplaceAllStringFunc(text, func(s string) string {
		m := variable.FindStringSubmatch(s)
		if m[2] == "" {
			c.say("${%s} has no default: nothing would start without it", m[1])
		}
		return m[2]
	})
}

// service checks a container of our image.
func (c *composeCheck) service(name string, s *composeService) {
	for _, file := range []string{s.Build.Context, path.Join(s.Build.Context, s.Build.Dockerfile)} {
		if _, err := os.Stat(filepath.Join(source, file)); err != nil {
			c.say("%s: build: %v", name, err)
		}
	}
	if path.Join(s.Build.Context, s.Build.Dockerfile) != dockerfile {
		c.say("%s: is built of %s, not of %s", name, s.Build.Dockerfile, dockerfile)
	}
	for _, arg := range c.args {
		if s.Build.Args[arg] == "" {
			c.say("%s: build: the argument %s is not passed", name, arg)
		}
	}
	for arg := range s.Build.Args {
		if !slices.Contains(c.args, arg) {
			c.say("%s: build: the Dockerfile takes no argument %s", name, arg)
		}
	}
	if err := checkCommand(tree(c.t), s.Command); err != nil {
		c.say("%s: command: %v", name, err)
	}
	if h := s.Healthcheck; h != nil {
		if len(h.Test) < 2 || h.Test[0] != "CMD" || h.Test[1] != "flywheel" {
			c.say("%s: health check %q: the image holds nothing but flywheel", name, h.Test)
		} else if err := checkCommand(tree(c.t), h.Test[2:]); err != nil {
			c.say("%s: health check: %v", name, err)
		}
	}
	var environ []string
	for k, v := range c.image {
		environ = append(environ, k+"="+v)
	}
	for k, v := range s.Environment { // later ones win
		environ = append(environ, k+"="+v)
	}
	cfg, _, err := config.Load(DefaultConfig(), config.Sources{Environ: environ})
	if err != nil {
		c.say("%s: environment: %v", name, err)
		return
	}
	for _, address := range cfg.Kafka.Brokers {
		c.address(name, address)
	}
	for _, address := range cfg.ClickHouse.Addresses {
		c.address(name, address)
	}
	for _, address := range cfg.Registry.URLs {
		u, err := url.Parse(address)
		if err != nil {
			c.say("%s: %v", name, err)
			continue
		}
		c.address(name, u.Host)
	}
}

// address checks that a service listens where another looks for it.
func (c *composeCheck) address(name, address string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		c.say("%s: %v", name, err)
		return
	}
	if c.file.Services[host] == nil {
		c.say("%s: address %s: %s is no service", name, address, host)
		return
	}
	if !slices.Contains(c.listens(host), port) {
		c.say("%s: address %s: %s listens on %v", name, address, host, c.listens(host))
	}
}

// needs says which other services a command cannot do without.
var needs = map[string][]string{
	"topics":    {"kafka", "registry"},
	"migrate":   {"clickhouse"},
	"processor": {"kafka", "registry", "topics"},
	"sink":      {"kafka", "registry", "clickhouse", "topics", "migrate"},
	"simulate":  {"kafka", "registry", "topics"},
}

// listens returns the ports a service listens on inside its container.
func (c *composeCheck) listens(name string) []string {
	s := c.file.Services[name]
	if s.ours() {
		if _, port, err := net.SplitHostPort(c.image["FLYWHEEL_ADMIN_LISTEN"]); err == nil {
			return []string{port}
		}
		return nil
	}
	if name != "kafka" {
		return listens[name]
	}
	var ports []string
	for _, l := range listeners(s.Environment["KAFKA_LISTENERS"]) {
		ports = append(ports, l.port)
	}
	return ports
}

type kafkaListener struct{ name, host, port string }

func listeners(text string) (all []kafkaListener) {
	for l := range strings.SplitSeq(text, ",") {
		name, address, _ := strings.Cut(l, "://")
		host, port, _ := strings.Cut(address, ":")
		all = append(all, kafkaListener{name, host, port})
	}
	return all
}

func (c *composeCheck) ports(name string, s *composeService, published map[string]string) {
	for _, p := range s.Ports {
		parts := strings.Split(p, ":")
		if len(parts) != 3 || parts[0] != "127.0.0.1" {
			c.say("%s: port %s: publish it on 127.0.0.1 only", name, p)
			continue
		}
		if other := published[parts[1]]; other != "" {
			c.say("%s: port %s is published twice, by %s too", name, parts[1], other)
		}
		published[parts[1]] = name
		if !slices.Contains(c.listens(name), parts[2]) {
			c.say("%s: port %s: it listens on %v", name, p, c.listens(name))
		}
	}
}

func (c *composeCheck) volumes(name string, s *composeService) {
	for _, v := range s.Volumes {
		from, _, _ := strings.Cut(v, ":")
		if strings.HasPrefix(from, ".") {
			if _, err := os.Stat(filepath.Join(source, from)); err != nil {
				c.say("%s: volume: %v", name, err)
			}
			continue
		}
		if _, ok := c.file.Volumes[from]; !ok {
			c.say("%s: volume %s is not declared", name, from)
		}
	}
}

func (c *composeCheck) dependencies(name string, s *composeService) {
	for _, on := range slices.Sorted(maps.Keys(s.DependsOn)) {
		other, condition := c.file.Services[on], s.DependsOn[on].Condition
		switch {
		case other == nil:
			c.say("%s: depends on %s, which is no service", name, on)
			return
		case condition == "service_started":
		case condition == "service_healthy":
			if other.Healthcheck == nil {
				c.say("%s: waits for %s to be healthy, which has no health check", name, on)
			}
		case condition == "service_completed_successfully":
			if other.Restart != "on-failure" {
				c.say("%s: waits for %s, which does not end", name, on)
			}
		default:
			c.say("%s: depends on %s: %q is no condition", name, on, condition)
		}
	}
	if !s.ours() || len(s.Command) == 0 {
		return
	}
	for _, needed := range needs[s.Command[0]] {
		if !c.waits(s, needed) {
			c.say("%s: does not wait for %s", name, needed)
		}
	}
}

// waits tells whether a service waits for the one called on, or for one that does.
func (c *composeCheck) waits(s *composeService, on string) bool {
	for name := range s.DependsOn {
		if name == on || c.file.Services[name] != nil && c.waits(c.file.Services[name], on) {
			return true
		}
	}
	return false
}

// kafka checks that Kafka's own settings agree.
func (c *composeCheck) kafka() {
	s := c.file.Services["kafka"]
	if s == nil {
		c.say("there is no service kafka")
		return
	}
	env := s.Environment
	ports := map[string]string{}
	for _, l := range listeners(env["KAFKA_LISTENERS"]) {
		ports[l.name] = l.port
		if !strings.Contains(env["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"], l.name+":") {
			c.say("kafka: listener %s has no protocol", l.name)
		}
	}
	for _, l := range listeners(env["KAFKA_ADVERTISED_LISTENERS"]) {
		if ports[l.name] != l.port {
			c.say("kafka: advertises %s at port %s, but it listens on %q", l.name, l.port, ports[l.name])
		}
	}
	for _, key := range []string{"KAFKA_INTER_BROKER_LISTENER_NAME", "KAFKA_CONTROLLER_LISTENER_NAMES"} {
		if ports[env[key]] == "" {
			c.say("kafka: %s: %s is no listener", key, env[key])
		}
	}
	want := env["KAFKA_NODE_ID"] + "@kafka:" + ports[env["KAFKA_CONTROLLER_LISTENER_NAMES"]]
	if got := env["KAFKA_CONTROLLER_QUORUM_VOTERS"]; got != want {
		c.say("kafka: the controller is %s, want %s", got, want)
	}
	if dir := env["KAFKA_LOG_DIRS"]; !slices.Contains(s.Volumes, "kafka:"+dir) {
		c.say("kafka: keeps its data in %q, which is not the volume", dir)
	}
}

// password checks that ClickHouse knows who knocks.
func (c *composeCheck) password() {
	s := c.file.Services["clickhouse"]
	if s == nil {
		c.say("there is no service clickhouse")
		return
	}
	for ours, theirs := range map[string]string{
		"FLYWHEEL_CLICKHOUSE_DATABASE": "CLICKHOUSE_DB",
		"FLYWHEEL_CLICKHOUSE_USER":     "CLICKHOUSE_USER",
		"FLYWHEEL_CLICKHOUSE_PASSWORD": "CLICKHOUSE_PASSWORD",
	} {
		if c.file.Environment[ours] != s.Environment[theirs] {
			c.say("%s and %s differ", ours, theirs)
		}
	}
}

// checkCommand says what is wrong with a command line of flywheel.
func checkCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errors.New("no command is given")
	}
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	rest = cmd.Flags().Args()
	if err := cmd.ValidateArgs(rest); err != nil {
		return err
	}
	if _, ok := cmd.Annotations[onlyHolds]; ok {
		return fmt.Errorf("%s holds other commands and does nothing itself", cmd.CommandPath())
	}
	return nil
}

// dockerfile checks the image and takes down its variables.
func (c *composeCheck) dockerfile(text string) {
	c.image = map[string]string{}
	ignored, err := os.ReadFile(filepath.Join(source, dockerfile+".dockerignore"))
	if err != nil {
		c.say("%v", err)
	}
	stages, copied, binaries := map[string]bool{}, map[string]bool{}, map[string]bool{}
	user, exposed, entry := "", "", ""
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "")) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		from := ""
		for len(words) > 1 && strings.HasPrefix(words[1], "--") {
			from, _ = strings.CutPrefix(words[1], "--from=")
			words = slices.Delete(words, 1, 2)
		}
		switch words[0] {
		case "FROM":
			if len(words) == 4 {
				stages[words[3]] = true
			}
			if version, ok := strings.CutPrefix(words[1], "golang:"); ok && !strings.Contains(readSource(c.t, "go.mod"), "\ngo "+version+"\n") {
				c.say("Dockerfile: Go %s is not the version of go.mod", version)
			}
		case "COPY":
			if from != "" && !strings.HasPrefix(from, "--") {
				if !stages[from] {
					c.say("Dockerfile: COPY --from=%s: there is no such stage", from)
				}
				binaries[words[2]] = true
				continue
			}
			for _, name := range words[1 : len(words)-1] {
				copied[name] = true
				if _, err := os.Stat(filepath.Join(source, name)); err != nil {
					c.say("Dockerfile: COPY: %v", err)
				} else if !strings.Contains(string(ignored), "\n!"+name+"\n") {
					c.say("Dockerfile: COPY %s: %s.dockerignore keeps it away", name, dockerfile)
				}
			}
		case "RUN":
			if strings.Contains(line, "go build") {
				c.build(line)
			}
		case "ARG":
			for _, arg := range words[1:] {
				if name, _, _ := strings.Cut(arg, "="); !strings.HasPrefix(name, "TARGET") {
					c.args = append(c.args, name)
				}
			}
		case "ENV":
			name, value, _ := strings.Cut(words[1], "=")
			c.image[name] = value
		case "EXPOSE":
			exposed = words[1]
		case "USER":
			user = words[1]
		case "ENTRYPOINT":
			entry = strings.Trim(words[1], `[]"`)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "schemas", "pkg", "services"} {
		if !copied[name] {
			c.say("Dockerfile: %s is not copied, but the build needs it", name)
		}
	}
	if !binaries[entry] {
		c.say("Dockerfile: ENTRYPOINT %s is not in the image", entry)
	}
	if user == "" || strings.HasPrefix(user, "0") || strings.HasPrefix(user, "root") {
		c.say("Dockerfile: USER %q: the image runs as root", user)
	}
	if _, port, err := net.SplitHostPort(c.image["FLYWHEEL_ADMIN_LISTEN"]); err != nil || port != exposed {
		c.say("Dockerfile: EXPOSE %s, but the admin server listens on %q", exposed, c.image["FLYWHEEL_ADMIN_LISTEN"])
	}
}

var (
	linked  = regexp.MustCompile(`-X main\.(\w+)=`)
	builtOf = regexp.MustCompile(`\./\S+`)
)

// build checks a `go build`.
func (c *composeCheck) build(line string) {
	if !strings.Contains(line, "CGO_ENABLED=0 ") {
		c.say("Dockerfile: build with CGO_ENABLED=0")
	}
	for _, name := range builtOf.FindAllString(line, -1) {
		if found, err := filepath.Glob(filepath.Join(source, name, "*.go")); err != nil || len(found) == 0 {
			c.say("Dockerfile: there is no package %s", name)
		}
	}
	for _, name := range c.args {
		if !strings.Contains(line, "=$"+name) {
			c.say("Dockerfile: the build does not tell the binary its %s", name)
		}
	}
	for _, m := range linked.FindAllStringSubmatch(line, -1) {
		if !strings.Contains(readSource(c.t, "services/flywheel/version.go"), "\nvar "+m[1]+" = ") {
			c.say("Dockerfile: the linker is to set main.%s, which there is not", m[1])
		}
	}
}
