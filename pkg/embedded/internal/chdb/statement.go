package chdb

import "strings"

// statement is what the HTTP layer has to know about a query's text; the engine parses it for real.
type statement struct {
	text   string // the whole text
	insert bool   // INSERT whose rows follow as data, not INSERT … SELECT
	head   string // for insert: the statement up to FORMAT or VALUES; otherwise the text without FORMAT
	format string // the format named in the text, "" if none
	data   string // for insert: what follows FORMAT name or VALUES
}

// parse splits a query's text. It never fails: what it does not understand is left to the engine.
func parse(text string) statement {
	l := lexer{text: text}
	first := l.next()
	if !first.is("INSERT") {
		return parseQuery(text)
	}
	return parseInsert(text, &l)
}

// parseQuery finds a trailing FORMAT clause.
func parseQuery(text string) statement {
	s := statement{text: text}
	l := lexer{text: text}
	end := len(text) // where the statement ends: before a closing semicolon or comment
	format, formatEnd := -1, -1
	last := 0
	for t := l.next(); t.kind != tokenEnd; t = l.next() {
		if t.is(";") && l.depth == 0 {
			end = t.start
			break
		}
		if l.depth == 0 && t.is("FORMAT") {
			name := l.next()
			after := l.peek()
			if name.kind == tokenWord && (after.kind == tokenEnd || after.is(";") || after.is("SETTINGS")) {
				format, formatEnd, s.format = t.start, name.end, name.text
			}
			t = name
		}
		last = t.end
	}
	end = min(end, last)
	s.head = text[:end]
	if format >= 0 {
		s.head = text[:format] + text[formatEnd:end]
	}
	return s
}

// parseInsert finds where the data of an INSERT begins; INSERT itself is already read.
func parseInsert(text string, l *lexer) statement {
	whole := statement{text: text, head: text}
	t := l.next()
	for t.is("INTO") || t.is("TABLE") {
		t = l.next()
	}
	if t.is("FUNCTION") {
		l.next()
	}
	for l.peek().is(".") { // a table name may itself be a keyword: step over it
		l.next()
		l.next()
	}
	opened := false
	for t = l.next(); ; t = l.next() {
		switch {
		case t.kind == tokenEnd || t.is(";"):
			return statement{text: text, insert: true, head: text[:t.start]}
		case t.is("(") && !opened:
			opened = true
			if inner := l.peek(); inner.is("SELECT") || inner.is("WITH") {
				return whole
			}
		case l.depth > 0 || t.is(")"):
		case t.is("SELECT"), t.is("WITH"), t.is("WATCH"), t.is("EXPLAIN"), t.is("FROM"):
			q := parseQuery(text)
			q.head = text
			return q
		case t.is("VALUES"):
			return statement{text: text, insert: true, head: text[:t.start], format: "Values", data: text[t.end:]}
		case t.is("FORMAT"):
			name := l.next()
			return statement{text: text, insert: true, head: text[:t.start], format: name.text, data: afterFormat(text[name.end:])}
		}
	}
}

// afterFormat skips what may stand between a format's name and the data: a semicolon, blanks and one
// line break.
func afterFormat(data string) string {
	data = strings.TrimLeft(data, " \t\f")
	if strings.HasPrefix(data, ";") {
		data = strings.TrimLeft(data[1:], " \t\f")
	}
	data = strings.TrimPrefix(data, "\r")
	return strings.TrimPrefix(data, "\n")
}

// trailing returns what follows the semicolon that ends VALUES data, blanks and comments aside; the
// engine drops it silently.
func trailing(values string) string {
	l := lexer{text: values}
	for t := l.next(); t.kind != tokenEnd; t = l.next() {
		if t.is(";") && l.depth == 0 {
			if next := l.next(); next.kind != tokenEnd {
				return values[next.start:]
			}
			return ""
		}
	}
	return ""
}

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenWord
	tokenQuoted
	tokenMark
)

type token struct {
	kind       tokenKind
	start, end int
	text       string
}

// is reports whether the token is the keyword or mark, in any case.
func (t token) is(want string) bool {
	return (t.kind == tokenWord || t.kind == tokenMark) && strings.EqualFold(t.text, want)
}

// lexer cuts ClickHouse SQL into words, quoted pieces and marks, skipping blanks and comments, and
// counts open parentheses.
type lexer struct {
	text  string
	at    int
	depth int
}

func (l *lexer) peek() token {
	ahead := *l
	return ahead.next()
}

func (l *lexer) next() token {
	l.skip()
	start := l.at
	if start >= len(l.text) {
		return token{kind: tokenEnd, start: len(l.text), end: len(l.text)}
	}
	kind := tokenMark
	switch c := l.text[start]; {
	case isWord(c):
		kind = tokenWord
		for l.at < len(l.text) && isWord(l.text[l.at]) {
			l.at++
		}
	case c == '\'' || c == '"' || c == '`':
		kind = tokenQuoted
		l.quoted(c)
	case c == '$' && l.heredoc():
		kind = tokenQuoted
	default:
		l.at++
		switch c {
		case '(', '[', '{':
			l.depth++
		case ')', ']', '}':
			l.depth--
		}
	}
	return token{kind: kind, start: start, end: l.at, text: l.text[start:l.at]}
}

// skip steps over blanks, -- and # line comments and /* nested */ comments.
func (l *lexer) skip() {
	for l.at < len(l.text) {
		rest := l.text[l.at:]
		switch {
		case strings.IndexByte(" \t\r\n\f\v", rest[0]) >= 0:
			l.at++
		case strings.HasPrefix(rest, "--"), strings.HasPrefix(rest, "# "), strings.HasPrefix(rest, "#!"):
			line := strings.IndexByte(rest, '\n')
			if line < 0 {
				line = len(rest) - 1
			}
			l.at += line + 1
		case strings.HasPrefix(rest, "/*"):
			l.comment()
		default:
			return
		}
	}
}

func (l *lexer) comment() {
	nested := 0
	for l.at < len(l.text) {
		switch rest := l.text[l.at:]; {
		case strings.HasPrefix(rest, "/*"):
			nested++
			l.at += 2
		case strings.HasPrefix(rest, "*/"):
			nested--
			l.at += 2
			if nested == 0 {
				return
			}
		default:
			l.at++
		}
	}
}

func (l *lexer) quoted(quote byte) {
	for l.at++; l.at < len(l.text); l.at++ {
		switch l.text[l.at] {
		case '\\':
			l.at++
		case quote:
			if l.at+1 < len(l.text) && l.text[l.at+1] == quote {
				l.at++
				continue
			}
			l.at++
			return
		}
	}
	l.at = len(l.text)
}

// heredoc steps over $tag$ … $tag$ if one begins here.
func (l *lexer) heredoc() bool {
	rest := l.text[l.at:]
	stop := 1
	for stop < len(rest) && isWord(rest[stop]) {
		stop++
	}
	if stop >= len(rest) || rest[stop] != '$' {
		return false
	}
	tag := rest[:stop+1]
	closing := strings.Index(rest[len(tag):], tag)
	if closing < 0 {
		return false
	}
	l.at += 2*len(tag) + closing
	return true
}

func isWord(c byte) bool {
	return c == '_' || c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
