package sample

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// numbers visits the numeric fields of a struct and of the structs in it.
func numbers(v reflect.Value, path string, visit func(path string, field reflect.Value)) {
	for i := range v.NumField() {
		name := path + v.Type().Field(i).Name
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			numbers(f, name+".", visit)
		case reflect.Int, reflect.Float64:
			visit(name, f)
		}
	}
}

// TestParamsAreComplete: every number of Options is a parameter, and has one row.
func TestParamsAreComplete(t *testing.T) {
	var o Options
	rows := map[any]string{}
	for _, p := range Params() {
		var field any = nil
		if p.whole != nil {
			field = p.whole(&o)
		} else {
			field = p.float(&o)
		}
		if other, ok := rows[field]; ok {
			t.Errorf("%s and %s are the same field", other, p.Name)
		}
		rows[field] = p.Name
		if (p.whole == nil) == (p.float == nil) {
			t.Errorf("%s has no field, or two", p.Name)
		}
	}
	numbers(reflect.ValueOf(&o).Elem(), "", func(path string, field reflect.Value) {
		if path == "TopLogProbs" || path == "TopCandidates" { // says what is told about tokens, not which are taken
			return
		}
		if _, ok := rows[field.Addr().Interface()]; !ok {
			t.Errorf("Options.%s is not in the table of parameters", path)
		}
	})
}

// TestParamNames: no name means two parameters, and each finds its own.
func TestParamNames(t *testing.T) {
	seen := map[string]string{}
	for _, p := range Params() {
		for _, name := range append([]string{p.Name, p.Synonym, p.Flag}, p.Aliases...) {
			if name == "" {
				continue
			}
			key := strings.ReplaceAll(name, "-", "_")
			if other, ok := seen[key]; ok && other != p.Name {
				t.Errorf("%s is a name of %s and of %s", name, other, p.Name)
			}
			seen[key] = p.Name
			for _, spelling := range []string{name, strings.ToUpper(name), strings.ReplaceAll(name, "_", "-")} {
				if found, ok := LookupParam(spelling); !ok || found.Name != p.Name {
					t.Errorf("LookupParam(%q) = %v, %v", spelling, found, ok)
				}
			}
		}
		if p.Flag == "" || p.Help == "" || strings.Contains(p.Flag, "_") || strings.Contains(p.Name, "-") {
			t.Errorf("the row of %s is not complete: %+v", p.Name, p)
		}
	}
	if p, ok := LookupParam("top_q"); ok {
		t.Errorf("top_q is %s", p.Name)
	}
	if _, ok := LookupParam(""); ok {
		t.Error("an empty name is found")
	}
}

// TestParamValues: values at the ends of a range are taken and those beyond refused
// with the range, by Set and by Validate; the neutral value is in it.
func TestParamValues(t *testing.T) {
	for _, p := range Params() {
		o := Neutral()
		o.DRY.Multiplier = 1 // otherwise the rest of DRY is not looked at
		if p.Name == "mirostat" {
			o.Order = nil
		}
		if p.neutral < p.Min || p.neutral > p.Max {
			t.Errorf("%s: the neutral value %v is not in the range", p.Name, p.neutral)
		}
		for _, v := range []float64{p.Min, p.Max} {
			if err := p.Set(&o, v); err != nil || p.Get(&o) != v {
				t.Errorf("%s = %v: %v, and then it is %v", p.Name, v, err, p.Get(&o))
			}
			if err := o.Validate(); err != nil {
				t.Errorf("%s = %v: %v", p.Name, v, err)
			}
			if got, err := p.Parse(p.Format(&o)); err != nil || math.Abs(got-v) > 1e-5*math.Abs(v) {
				t.Errorf("%s = %v is written %s and read %v (%v)", p.Name, v, p.Format(&o), got, err)
			}
		}
		before := p.Get(&o)
		for _, v := range []float64{p.Min - 1, p.Max * 2, math.NaN(), math.Inf(1), math.Inf(-1)} {
			var bad *OptionError
			if v <= p.Max && v >= p.Min {
				continue
			}
			if err := p.Set(&o, v); !errors.As(err, &bad) || bad.Option != p.Name || bad.Want != p.Range() || p.Get(&o) != before {
				t.Errorf("%s = %v: %v, and then it is %v", p.Name, v, err, p.Get(&o))
			}
		}
		var bad *OptionError
		if err := p.Set(&o, p.Min+0.5); p.Whole() && (!errors.As(err, &bad) || bad.Want != "a whole number") {
			t.Errorf("%s = %v: %v", p.Name, p.Min+0.5, err)
		}
		if p.Whole() {
			continue
		}
		q := Neutral()
		q.DRY.Multiplier = 1
		*p.float(&q) = p.Max + 1
		if err := q.Validate(); !errors.As(err, &bad) || bad.Option != p.Name {
			t.Errorf("Validate of %s = %v: %v", p.Name, p.Max+1, err)
		}
	}
}

func TestParamRanges(t *testing.T) {
	for name, want := range map[string]string{
		"top_p":              "0 to 1 (1 turns it off)",
		"temperature":        "0 to 1000 (0 is greedy)",
		"top_k":              "a whole number (0 or less turns it off)",
		"repeat_last_n":      "-1 or more (-1 is the whole history)",
		"dry_base":           "1 to 1e+06",
		"dry_allowed_length": "1 or more",
		"mirostat":           "0 to 2 (0 turns it off)",
		"mirostat_tau":       "0 to 100 (bits)",
	} {
		p, ok := LookupParam(name)
		if !ok || p.Range() != want {
			t.Errorf("%s: %q, want %q", name, p.Range(), want)
		}
	}
}

// TestNeutralIsOff: of what is neutral, no stage is left.
func TestNeutralIsOff(t *testing.T) {
	o := Neutral()
	if stages := o.stages(1); len(stages) != 0 {
		t.Errorf("stages %v", stages)
	}
}
