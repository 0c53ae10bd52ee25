package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// output is what a flag names a place for. It is there once it is delivered, whole or not
// at all, and what was there before stays until then.
type output struct {
	*os.File // what it is written to before it is whole

	what, path string
	pending    *renameio.PendingFile // nil for standard output
	stdout     io.Writer             // nil for a file
}

// newOutput makes sure, before any work, that the file a flag names can be written. What
// says what shall be in it.
func newOutput(flag, what, path string) (*output, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, usageError{fmt.Errorf("%s: %q is no regular file: name a file", flag, path)}
	}
	file, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(0o644), renameio.WithExistingPermissions())
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: cannot write to the folder of %q: %w: name a file in a folder that exists and that you may write", flag, path, err)}
	}
	return &output{File: file.File, what: what, path: path, pending: file}, nil
}

// newOut is newOutput for the flag --out, where - is standard output.
func newOut(what, path string, stdout io.Writer) (*output, error) {
	if path != standardStream {
		return newOutput("--out", what, path)
	}
	temp, err := os.CreateTemp("", "flywheel-*")
	if err != nil {
		return nil, usageError{fmt.Errorf("--out: cannot keep %s until they are whole: %w: set TMPDIR to a folder with room", what, err)}
	}
	// Nothing is left behind, not even when the reader of a pipe goes away.
	if err := os.Remove(temp.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("--out: cannot keep %s until they are whole: %w", what, err), temp.Close())
	}
	return &output{File: temp, what: what, path: "standard output", stdout: stdout}, nil
}

// deliver puts the output where it shall be.
func (o *output) deliver() error {
	var err error
	if o.pending != nil {
		err = o.pending.CloseAtomicallyReplace()
	} else if _, err = o.Seek(0, io.SeekStart); err == nil {
		_, err = io.Copy(o.stdout, o.File)
	}
	if err != nil {
		return fmt.Errorf("write %s to %s: %w", o.what, o.path, err)
	}
	return nil
}

// deliverJSON writes v as all of the output, and puts it where it shall be.
func (o *output) deliverJSON(v any) error {
	enc := json.NewEncoder(o)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write %s to %s: %w", o.what, o.path, err)
	}
	return o.deliver()
}

// discard removes what was not delivered.
func (o *output) discard() {
	if o.pending != nil {
		_ = o.pending.Cleanup() // a folder that has gone meanwhile needs nothing removed
	} else {
		_ = o.Close() // its name is gone already
	}
}
