package markdown

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// opening is a bracket that may begin a link or a picture.
type opening struct {
	piece  int
	delims int // marks of emphasis before it
	image  bool
	closed bool // a link cannot be in a link
}

func (in *inline) bracket(text string, mark byte) {
	in.add(piece{text: text, mark: mark, length: 1, count: 1})
	in.opened = append(in.opened, opening{piece: len(in.pieces) - 1, delims: len(in.delims), image: mark == '!'})
	in.pos += len(text)
}

// closeBracket ends a link if an address follows.
func (in *inline) closeBracket(rest string) {
	in.pos++
	last := len(in.opened) - 1
	if last < 0 {
		in.plain.WriteByte(']')
		return
	}
	o := in.opened[last]
	in.opened = in.opened[:last]
	address, n := destination(rest[1:])
	if o.closed || n == 0 {
		in.plain.WriteByte(']')
		return
	}
	in.pos += n
	in.flush()
	var text strings.Builder
	for _, p := range in.pieces[o.piece+1:] {
		text.WriteString(p.text)
	}
	if address == text.String() || strings.HasPrefix(address, "#") {
		address = ""
	}
	// The piece ends the link even if it has no text.
	in.pieces = append(in.pieces, piece{text: address, style: Address})
	in.emphasis(o.delims)
	in.pieces[o.piece].count = 0
	begin, end := &in.pieces[o.piece+1], &in.pieces[len(in.pieces)-1]
	begin.turn[link]++
	end.turn[link]--
	if o.image {
		begin.turn[image]++
		end.turn[image]--
		end.style |= Image
		return
	}
	for i := len(in.opened) - 1; i >= 0 && !in.opened[i].closed; i-- {
		in.opened[i].closed = !in.opened[i].image
	}
}

// maxAddress bounds how far the end of an address is looked for.
const maxAddress = 2000

// destination reads "(address "title")"; n is its length, 0 if there is none.
func destination(s string) (address string, n int) {
	const blanks = " \n"
	s = s[:min(len(s), maxAddress)]
	rest, ok := strings.CutPrefix(s, "(")
	if !ok {
		return "", 0
	}
	rest = strings.TrimLeft(rest, blanks)
	if strings.HasPrefix(rest, "<") {
		end := strings.IndexAny(rest, ">\n")
		if end < 0 || rest[end] != '>' {
			return "", 0
		}
		address, rest = rest[1:end], rest[end+1:]
	} else {
		depth, end := 0, 0
	scan:
		for ; end < len(rest); end++ {
			switch c := rest[end]; {
			case c <= ' ':
				break scan
			case c == '\\' && end+1 < len(rest) && rest[end+1] > ' ':
				end++
			case c == '(':
				depth++
			case c == ')':
				if depth--; depth < 0 {
					break scan
				}
			}
		}
		if depth > 0 {
			return "", 0
		}
		address, rest = rest[:end], rest[end:]
	}
	after := strings.TrimLeft(rest, blanks)
	if after != "" && after != rest && strings.ContainsRune(`"'(`, rune(after[0])) {
		quote := after[:1]
		if quote == "(" {
			quote = ")"
		}
		end := strings.Index(after[1:], quote)
		if end < 0 {
			return "", 0
		}
		after = strings.TrimLeft(after[end+2:], blanks)
	}
	if !strings.HasPrefix(after, ")") {
		return "", 0
	}
	return unescape(address), len(s) - len(after) + 1
}

// unescape removes backslashes before punctuation.
func unescape(s string) string {
	if !strings.ContainsRune(s, '\\') {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && isPunctuation(rune(s[i+1])) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// angle reads an address in angle brackets, or <br>.
func (in *inline) angle(rest string) bool {
	end := strings.IndexAny(rest[1:min(len(rest), maxAddress)], "<> \n")
	if end < 0 {
		return false
	}
	end++
	switch strings.TrimRight(strings.ToLower(rest[1:end]), "/") {
	case "br":
		tail := strings.TrimLeft(rest[end:], " ")
		tail = strings.TrimPrefix(tail, "/")
		if strings.HasPrefix(tail, ">") {
			in.plain.WriteByte('\n')
			in.pos += len(rest) - len(tail) + 1
			return true
		}
		return false
	}
	address := rest[1:end]
	scheme, _, ok := strings.Cut(address, ":")
	ok = ok && len(scheme) >= 2 && len(scheme) <= 32 && isLetter(scheme[0]) && strings.IndexFunc(scheme, notScheme) < 0
	name, host, mail := strings.Cut(address, "@")
	mail = mail && name != "" && strings.Contains(host, ".")
	if rest[end] != '>' || !ok && !mail {
		return false
	}
	in.add(piece{text: address, style: Link})
	in.pos += end + 1
	return true
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

func notScheme(r rune) bool {
	return r >= utf8.RuneSelf || !isLetter(byte(r)) && !(r >= '0' && r <= '9') && !strings.ContainsRune("+.-", r)
}

// address reads an address that stands in the text as it is.
func (in *inline) address(rest string) bool {
	before, _ := utf8.DecodeLastRuneInString(in.text[:in.pos])
	if in.pos > 0 && (unicode.IsLetter(before) && !isWide(before) || unicode.IsDigit(before) || before == '_') {
		return false
	}
	head := 0
	for _, h := range []string{"https://", "http://", "www."} {
		if strings.HasPrefix(rest, h) {
			head = len(h)
		}
	}
	if head == 0 {
		return false
	}
	end := strings.IndexFunc(rest, func(r rune) bool {
		return r <= ' ' || strings.ContainsRune("<>[]`\"|\\", r) ||
			r >= utf8.RuneSelf && (isPunctuation(r) || isWide(r) || unicode.IsSpace(r))
	})
	if end < 0 {
		end = len(rest)
	}
	// Punctuation at the end belongs to the sentence, as does a parenthesis that was opened before.
	excess := strings.Count(rest[:end], ")") - strings.Count(rest[:end], "(")
	for ; end > head; end-- {
		c := rest[end-1]
		if c == ')' {
			if excess--; excess < 0 {
				break
			}
		}
		if !strings.ContainsRune(`?!.,:;*_~')`, rune(c)) {
			break
		}
	}
	if end <= head {
		return false
	}
	in.add(piece{text: rest[:end], style: Link})
	in.pos += end
	return true
}

// entities are the names of characters that prose uses.
var entities = map[string]string{
	"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'", "nbsp": "\u00a0", "copy": "©", "reg": "®",
	"trade": "™", "hellip": "…", "mdash": "—", "ndash": "–", "lsquo": "‘", "rsquo": "’", "ldquo": "“",
	"rdquo": "”", "laquo": "«", "raquo": "»", "bull": "•", "middot": "·", "times": "×", "divide": "÷",
	"plusmn": "±", "minus": "−", "deg": "°", "euro": "€", "pound": "£", "yen": "¥", "cent": "¢",
	"sect": "§", "para": "¶", "le": "≤", "ge": "≥", "ne": "≠", "larr": "←", "rarr": "→", "uarr": "↑",
	"darr": "↓", "harr": "↔", "infin": "∞", "frac12": "½", "sup2": "²", "sup3": "³",
}

// entity reads a character that is written as its name or number.
func (in *inline) entity(rest string) bool {
	end := strings.IndexByte(rest[:min(len(rest), 12)], ';')
	if end < 2 {
		return false
	}
	name := rest[1:end]
	text, known := entities[name]
	if number, ok := strings.CutPrefix(name, "#"); ok {
		base := 10
		if hex := strings.TrimLeft(number, "xX"); len(hex)+1 == len(number) {
			number, base = hex, 16
		}
		code, err := strconv.ParseUint(number, base, 21)
		// What commands a terminal is left as it was written.
		known = err == nil && unicode.IsPrint(rune(code))
		text = string(rune(code))
	}
	if !known {
		return false
	}
	in.plain.WriteString(text)
	in.pos += end + 1
	return true
}
