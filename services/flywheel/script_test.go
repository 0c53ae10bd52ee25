package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"flywheel/pkg/embedded"
)

// scriptCommands are what the scripts need beside the shell's own.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	return map[string]func(*testscript.TestScript, bool, []string){
		"engines":   scriptEngines,
		"freeports": scriptFreePorts,
		"query":     scriptQuery,
		"register":  scriptRegister,
		"until":     scriptUntil,
	}
}

// scriptSetup lets the scripts find the ClickHouse library, and BIN, the folder
// of the binary.
func scriptSetup(env *testscript.Env) error {
	cache, err := embedded.DefaultCacheDir()
	if err != nil {
		return err
	}
	env.Setenv("FLYWHEEL_EMBEDDED_CACHE_DIR", cache)
	bin, _, _ := strings.Cut(env.Getenv("PATH"), string(os.PathListSeparator))
	env.Setenv("BIN", bin)
	return nil
}

// scriptEngines runs an embedded Kafka and schema registry until the script
// ends: KAFKA and REGISTRY say where, and the configuration points there.
func scriptEngines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: engines [folder]")
	}
	folder := append(args, "engines")[0]
	config := embedded.DefaultConfig()
	config.DataDir, config.ClickHouse, config.KafkaPort, config.RegistryPort = ts.MkAbs(folder), false, 0, 0
	e, err := embedded.New(config, embedded.WithLogger(slog.New(slog.DiscardHandler)))
	ts.Check(err)
	ts.Check(e.Start(context.Background()))
	ts.Defer(func() { ts.Check(e.Close(context.Background())) })
	for name, value := range map[string]string{
		"KAFKA": e.KafkaAddr(), "FLYWHEEL_KAFKA_BROKERS": e.KafkaAddr(),
		"REGISTRY": e.RegistryURL(), "FLYWHEEL_REGISTRY_URLS": e.RegistryURL(),
	} {
		ts.Setenv(name, value)
	}
}

// scriptRegister registers the schema in a file under a subject, at REGISTRY.
func scriptRegister(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: register subject file")
	}
	body, err := json.Marshal(map[string]string{"schema": ts.ReadFile(args[1])})
	ts.Check(err)
	resp, err := http.Post(ts.Getenv("REGISTRY")+"/subjects/"+args[0]+"/versions", "application/json", bytes.NewReader(body))
	ts.Check(err)
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		ts.Fatalf("register %s: %s: %s", args[0], resp.Status, answer)
	}
}

// scriptQuery has the embedded ClickHouse at CLICKHOUSE run a statement in a database.
func scriptQuery(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: query database statement")
	}
	resp, err := http.Post("http://flywheel:flywheel@127.0.0.1:"+ts.Getenv("CLICKHOUSE")+"/?database="+args[0], "text/plain", strings.NewReader(args[1]))
	ts.Check(err)
	defer resp.Body.Close()
	if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		ts.Fatalf("query %q: %s: %s", args[1], resp.Status, answer)
	}
}

// scriptFreePorts sets each of the variables to a port that is free now.
func scriptFreePorts(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close()
		ts.Setenv(name, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
}

// scriptUntil waits until a file holds a text.
func scriptUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: until file text")
	}
	var data []byte
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		data, _ = os.ReadFile(filepath.Clean(ts.MkAbs(args[0])))
		if strings.Contains(string(data), args[1]) {
			return
		}
	}
	ts.Fatalf("%s does not hold %q: %s", args[0], args[1], data)
}
