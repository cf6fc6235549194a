package jinja

import (
	"fmt"
	"strings"
	"time"
)

// maxRange is the longest range() that jinja2's sandbox allows.
const maxRange = 100_000

// globals are the functions every template sees.
var globals map[string]*callable

func init() {
	globals = map[string]*callable{}
	for name, fn := range map[string]func(s *state, a *args) (Value, error){
		"range":           rangeFunc,
		"dict":            dictFunc,
		"namespace":       namespaceFunc,
		"raise_exception": raiseFunc,
		"strftime_now":    strftimeFunc,
		"joiner":          joinerFunc,
		"cycler":          cyclerFunc,
	} {
		globals[name] = &callable{name, fn}
	}
}

func rangeFunc(s *state, a *args) (Value, error) {
	if len(a.pos) < 1 || len(a.pos) > 3 || len(a.kw) > 0 {
		return nil, fail(ErrType, "range takes 1 to 3 positional arguments")
	}
	n := [3]int64{0, 0, 1}
	for i, v := range a.pos {
		x, err := intArg("bound", v, 0)
		if err != nil {
			return nil, err
		}
		n[i] = x
	}
	if len(a.pos) == 1 {
		n[0], n[1] = 0, n[0]
	}
	start, stop, step := n[0], n[1], n[2]
	if step == 0 {
		return nil, fail(ErrType, "step must not be zero")
	}
	l := NewList()
	for v := start; step > 0 && v < stop || step < 0 && v > stop; {
		if len(l.Items) >= maxRange {
			return nil, fail(ErrLimit, "range has more than %d items", maxRange)
		}
		l.Items = append(l.Items, v)
		next := v + step
		if (next > v) != (step > 0) { // beyond 64 bits, so beyond stop
			break
		}
		v = next
	}
	return l, s.allocItems(len(l.Items))
}

// dictFunc is dict(mapping or pairs, **values).
func dictFunc(s *state, a *args) (Value, error) {
	d := NewDict(len(a.kw))
	if len(a.pos) > 1 {
		return nil, fail(ErrType, "takes at most 1 positional argument")
	}
	if len(a.pos) == 1 {
		if from, ok := a.pos[0].(*Dict); ok {
			for i, k := range from.keys {
				d.set(k, from.vals[i])
			}
		} else {
			items, err := s.items(a.pos[0])
			if err != nil {
				return nil, err
			}
			for _, e := range items {
				pair, err := s.items(e)
				if err != nil {
					return nil, err
				}
				if len(pair) != 2 || !hashable(pair[0]) {
					return nil, fail(ErrType, "needs a mapping or a list of (key, value) pairs")
				}
				d.set(pair[0], pair[1])
			}
		}
	}
	for _, kw := range a.kw {
		d.set(kw.name, kw.val)
	}
	return d, s.allocItems(2 * d.Len())
}

func namespaceFunc(s *state, a *args) (Value, error) {
	d, err := dictFunc(s, a)
	if err != nil {
		return nil, err
	}
	return &namespace{d.(*Dict)}, nil
}

func raiseFunc(s *state, a *args) (Value, error) {
	p, err := a.bind("message")
	if err != nil {
		return nil, err
	}
	msg := ""
	if p[0] != absent {
		if msg, err = s.str(p[0]); err != nil {
			return nil, err
		}
	}
	return nil, fail(ErrRaised, "%s", msg)
}

func joinerFunc(s *state, a *args) (Value, error) {
	p, err := a.bind("sep")
	if err != nil {
		return nil, err
	}
	sep := p[0]
	if sep == absent {
		sep = ", "
	}
	used := false
	return &callable{"joiner", func(*state, *args) (Value, error) {
		if !used {
			used = true
			return "", nil
		}
		return sep, nil
	}}, nil
}

// cyclerFunc makes an object with next, reset and current.
func cyclerFunc(s *state, a *args) (Value, error) {
	if len(a.pos) == 0 {
		return nil, fail(ErrType, "needs at least one item")
	}
	pos, items := 0, a.pos
	ns := &namespace{NewDict(3)}
	ns.vars.set("current", items[0])
	move := func(to int) {
		pos = to % len(items)
		ns.vars.set("current", items[pos])
	}
	ns.vars.set("next", &callable{"next", func(*state, *args) (Value, error) {
		v := items[pos]
		move(pos + 1)
		return v, nil
	}})
	ns.vars.set("reset", &callable{"reset", func(*state, *args) (Value, error) {
		move(0)
		return nil, nil
	}})
	return ns, nil
}

func strftimeFunc(s *state, a *args) (Value, error) {
	p, err := a.strings("format")
	if err != nil {
		return nil, err
	}
	text, err := strftime(s.now(), p[0])
	if err != nil {
		return nil, err
	}
	return text, s.alloc(len(text))
}

// strftime formats t by C's directives in the C locale.
func strftime(t time.Time, format string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		i++
		pad := true
		if i < len(format) && format[i] == '-' { // glibc: no padding
			pad = false
			i++
		}
		if i == len(format) {
			return "", fail(ErrType, "time format ends in %%")
		}
		num := func(v, width int, fill string) {
			if !pad {
				fmt.Fprintf(&b, "%d", v)
			} else {
				fmt.Fprintf(&b, "%"+fill+fmt.Sprint(width)+"d", v)
			}
		}
		hour12 := (t.Hour()+11)%12 + 1
		switch c := format[i]; c {
		case 'a':
			b.WriteString(t.Format("Mon"))
		case 'A':
			b.WriteString(t.Format("Monday"))
		case 'b', 'h':
			b.WriteString(t.Format("Jan"))
		case 'B':
			b.WriteString(t.Format("January"))
		case 'c':
			b.WriteString(t.Format("Mon Jan _2 15:04:05 2006"))
		case 'C':
			num(t.Year()/100, 2, "0")
		case 'd':
			num(t.Day(), 2, "0")
		case 'D', 'x':
			b.WriteString(t.Format("01/02/06"))
		case 'e':
			num(t.Day(), 2, "")
		case 'f':
			num(t.Nanosecond()/1000, 6, "0")
		case 'F':
			b.WriteString(t.Format("2006-01-02"))
		case 'G':
			year, _ := t.ISOWeek()
			num(year, 4, "0")
		case 'H':
			num(t.Hour(), 2, "0")
		case 'I':
			num(hour12, 2, "0")
		case 'j':
			num(t.YearDay(), 3, "0")
		case 'k':
			num(t.Hour(), 2, "")
		case 'l':
			num(hour12, 2, "")
		case 'm':
			num(int(t.Month()), 2, "0")
		case 'M':
			num(t.Minute(), 2, "0")
		case 'n':
			b.WriteByte('\n')
		case 'p':
			b.WriteString(t.Format("PM"))
		case 'P':
			b.WriteString(t.Format("pm"))
		case 'r':
			b.WriteString(t.Format("03:04:05 PM"))
		case 'R':
			b.WriteString(t.Format("15:04"))
		case 's':
			fmt.Fprintf(&b, "%d", t.Unix())
		case 'S':
			num(t.Second(), 2, "0")
		case 't':
			b.WriteByte('\t')
		case 'T', 'X':
			b.WriteString(t.Format("15:04:05"))
		case 'u':
			num((int(t.Weekday())+6)%7+1, 1, "0")
		case 'U':
			num((t.YearDay()+6-int(t.Weekday()))/7, 2, "0")
		case 'V':
			_, week := t.ISOWeek()
			num(week, 2, "0")
		case 'w':
			num(int(t.Weekday()), 1, "0")
		case 'W':
			num((t.YearDay()+6-(int(t.Weekday())+6)%7)/7, 2, "0")
		case 'y':
			num(t.Year()%100, 2, "0")
		case 'Y':
			num(t.Year(), 4, "0")
		case 'z', 'Z': // transformers formats a time without zone: both are empty
		case '%':
			b.WriteByte('%')
		default:
			return "", fail(ErrUnsupported, "time directive %%%c", c)
		}
	}
	return b.String(), nil
}
