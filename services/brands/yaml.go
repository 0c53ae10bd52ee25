package brands

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"flywheel/pkg/config"
)

// tree parses the YAML of a file. The tree is walked by hand and not decoded:
// only the tree knows where each value stands, and an alias is never expanded.
func tree(name string, data []byte) (ast.Node, error) {
	if err := bounded(name, data); err != nil {
		return nil, err
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		var syntax yaml.Error
		if errors.As(err, &syntax) && syntax.GetToken() != nil && syntax.GetToken().Position != nil {
			p := syntax.GetToken().Position
			return nil, fmt.Errorf("%s:%d:%d: %s", name, p.Line, p.Column, oneLine(syntax.GetMessage()))
		}
		return nil, fmt.Errorf("%s: %s", name, oneLine(err.Error()))
	}
	var root ast.Node
	for _, doc := range file.Docs {
		if isNothing(doc.Body) {
			continue
		}
		if root != nil {
			return nil, fmt.Errorf("%s: a second YAML document begins; a brand file is one", where(name, doc.Body))
		}
		root = doc.Body
	}
	if root == nil {
		return nil, fmt.Errorf("%s: the file is empty: begin with 'brands:' and a list below it", name)
	}
	return root, nil
}

// bounded refuses what would make the parser take for ever or recurse without
// end.
func bounded(name string, data []byte) error {
	if len(data) > fileBytesMax {
		return fmt.Errorf("%s: larger than %s: split it; a brand that is in no file stays as it is", name, config.Size(fileBytesMax))
	}
	if !utf8.Valid(data) {
		return fmt.Errorf("%s: not a text file in UTF-8", name)
	}
	depth, number := 0, 0
	for line := range bytes.Lines(data) {
		number++
		if len(line) > lineBytesMax {
			return fmt.Errorf("%s:%d: the line is longer than %s", name, number, config.Size(lineBytesMax))
		}
		nested := 0 // what one line opens by "- - - a" and "? ? a"
		for i, c := range line {
			switch {
			case c == '[' || c == '{':
				depth++
			case c == ']' || c == '}':
				depth--
			case (c == '-' || c == '?') && i+1 < len(line) && (line[i+1] == ' ' || line[i+1] == '\t'):
				nested++
			case c == ':' || c == '&' || c == '!':
				nested++
			}
			if depth > nestingMax || nested > lineNestingMax {
				return fmt.Errorf("%s:%d: nested too deeply for a brand file", name, number)
			}
		}
	}
	return nil
}

// lineNestingMax is how many marks that may nest a line may hold; many of them
// are harmless, in a comment or a text.
const lineNestingMax = 1000

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// where returns name:line:column of a node.
func where(name string, n ast.Node) string {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return name
	}
	p := n.GetToken().Position
	return fmt.Sprintf("%s:%d:%d", name, p.Line, p.Column)
}

func isNothing(n ast.Node) bool {
	switch n.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return true
	}
	return false
}

// keys hands the value of each key to its reader, and returns which keys there
// are; nil where there are no keys at all.
func (r *reader) keys(n ast.Node, what string, readers map[string]func(ast.Node)) map[string]bool {
	mapping := mappingOf(n)
	if mapping == nil {
		r.failf(n, "%s: expected keys and values, found %s", what, describe(n))
		return nil
	}
	seen := make(map[string]bool)
	for entry := mapping.MapRange(); entry.Next(); {
		key, ok := entry.Key().(*ast.StringNode)
		if !ok {
			r.failf(entry.Key(), "%s is not a key of %s", describe(entry.Key()), what)
			continue
		}
		read := readers[key.Value]
		switch {
		case read == nil:
			r.failf(key, "%s has no key %q%s", what, key.Value, config.Hint(key.Value, sorted(readers)))
		case seen[key.Value]:
			r.failf(key, "key %q is there twice", key.Value)
		default:
			seen[key.Value] = true
			read(entry.Value())
		}
	}
	return seen
}

// mappingOf returns keys and values, nil where there are none. Tags, anchors and
// aliases pose as whatever they stand for, and are refused.
func mappingOf(n ast.Node) ast.MapNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n
	case *ast.MappingValueNode:
		return n
	}
	return nil
}

// list returns a list, nil where there is none.
func (r *reader) list(n ast.Node, key string) *ast.SequenceNode {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		r.failf(n, "%s: expected a list, found %s", key, describe(n))
		return nil
	}
	return list
}

// items returns the entries of a list that is not too long.
func (r *reader) items(n ast.Node, key string, itemsMax int) []ast.Node {
	list := r.list(n, key)
	if list == nil {
		return nil
	}
	var items []ast.Node
	for entries := list.ArrayRange(); entries.Next(); {
		if len(items) == itemsMax {
			r.failf(entries.Value(), "%s: there are more than %d entries", key, itemsMax)
			break
		}
		items = append(items, entries.Value())
	}
	return items
}

// text returns a text that is neither empty nor too long, and otherwise the
// empty text. A whole number counts as the text that stands there: ids of
// accounts often look like one.
func (r *reader) text(n ast.Node, key string, bytesMax int) string {
	var text string
	switch n := n.(type) {
	case *ast.StringNode:
		text = n.Value
	case *ast.LiteralNode:
		text = n.Value.Value
	case *ast.IntegerNode:
		text = n.GetToken().Value
		if strings.Trim(text, "0123456789") != "" || len(text) > 1 && text[0] == '0' {
			r.failf(n, "%s: put %s in quotes: as a number it may mean another text", key, text)
			return ""
		}
	default:
		r.failf(n, "%s: expected text, found %s", key, describe(n))
		return ""
	}
	switch {
	case strings.TrimSpace(text) == "":
		r.failf(n, "%s: the text is empty", key)
	case strings.TrimSpace(text) != text:
		r.failf(n, "%s: %q begins or ends with a space", key, clip(text))
	case len(text) > bytesMax:
		r.failf(n, "%s: %d bytes long, at most %d", key, len(text), bytesMax)
	case strings.ContainsFunc(text, unicode.IsControl):
		r.failf(n, "%s: %q holds a control character", key, clip(text))
	default:
		return text
	}
	return ""
}

// clip shortens a text for a message.
func clip(text string) string {
	const bytesMax = 64
	if len(text) <= bytesMax {
		return text
	}
	return strings.ToValidUTF8(text[:bytesMax], "") + "…"
}

func (r *reader) flag(n ast.Node, key string) bool {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		r.failf(n, "%s: expected true or false, found %s", key, describe(n))
		return false
	}
	return b.Value
}

// sorted yields the keys of a map in their order.
func sorted[V any](m map[string]V) iter.Seq[string] {
	return slices.Values(slices.Sorted(maps.Keys(m)))
}

// describe names what a node is, for error sentences.
func describe(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.StringNode:
		return "text " + strconv.Quote(clip(n.Value))
	case *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "number " + clip(n.GetToken().Value)
	case *ast.BoolNode:
		return strconv.FormatBool(n.Value)
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys and values"
	}
	return "YAML " + n.Type().String() + ", which brand files do without"
}
