package qwen35

import (
	"slices"

	"trit/internal/kernel"
)

// convolution mixes each channel with its last values and applies SiLU, in place.
type convolution layer

// convPart is how many channels are a part of their own.
const convPart = 1024

// Parts implements model.Recurrence.
func (l *convolution) Parts() int { return (l.u.Width + convPart - 1) / convPart }

// channels returns the channels of a part.
func (l *convolution) channels(part int) (from, to int) {
	return part * convPart, min((part+1)*convPart, l.u.Width)
}

// Numbers implements model.Recurrence.
func (l *convolution) Numbers(part int) (from, n int) {
	from, to := l.channels(part)
	past := l.c.ConvWidth - 1
	return l.at + past*from, past * (to - from)
}

// Step implements model.Recurrence. The sum begins with the oldest token.
func (l *convolution) Step(state []float32, row, part int) {
	all, width := l.u.Width, l.c.ConvWidth
	from, to := l.channels(part)
	u, n := l.u.Row(row)[from:to], to-from
	past := state
	if width == 4 {
		a, b, c := past[:len(u)], past[n:][:len(u)], past[2*n:][:len(u)]
		w0, w1 := l.Conv[from:][:len(u)], l.Conv[all+from:][:len(u)]
		w2, w3 := l.Conv[2*all+from:][:len(u)], l.Conv[3*all+from:][:len(u)]
		for i, x := range u {
			u[i] = ((0 + float32(a[i]*w0[i]) + float32(b[i]*w1[i])) + float32(c[i]*w2[i])) + float32(x*w3[i])
			a[i], b[i], c[i] = b[i], c[i], x
		}
	} else {
		for i, x := range u {
			var sum float32
			for tap := range width - 1 {
				sum += float32(past[tap*n+i] * l.Conv[tap*all+from+i])
				if tap > 0 {
					past[(tap-1)*n+i] = past[tap*n+i]
				}
			}
			u[i] = sum + float32(x*l.Conv[(width-1)*all+from+i])
			if width > 1 {
				past[(width-2)*n+i] = x
			}
		}
	}
	kernel.SiLUMul(u, u, ones[:len(u)])
}

// Operands implements model.Recurrence.
func (l *convolution) Operands(part int) (from, n int) {
	from, to := l.channels(part)
	return l.noted + from, to - from
}

// Record implements model.Recurrence.
func (l *convolution) Record(record []float32, row, part int) {
	from, to := l.channels(part)
	copy(record, l.u.Row(row)[from:to])
}

// Replay implements model.Recurrence.
func (l *convolution) Replay(state, record, _ []float32, _ int) {
	if len(state) > 0 {
		copy(state, state[len(record):])
		copy(state[len(state)-len(record):], record)
	}
}

var ones = slices.Repeat([]float32{1}, convPart)

// deltaRule takes every value head through its recurrence.
type deltaRule layer

// Parts implements model.Recurrence.
func (l *deltaRule) Parts() int { return l.c.ValueHeads }

// Numbers implements model.Recurrence.
func (l *deltaRule) Numbers(h int) (from, n int) {
	n = l.c.StateDim * l.c.StateDim
	return l.at + (l.c.ConvWidth-1)*l.u.Width + h*n, n
}

// Step implements model.Recurrence. Value head h belongs to key head h mod nK.
func (l *deltaRule) Step(state []float32, row, h int) {
	q, k, v := l.heads(row, h)
	d := l.c.StateDim
	kernel.DeltaStep(l.o.Row(row)[h*d:(h+1)*d], state, q, k, v, kernel.Exp1(l.g.Row(row)[h]), l.beta.Row(row)[h])
}

// heads returns the query, key and value of a value head.
func (l *deltaRule) heads(row, h int) (q, k, v []float32) {
	d, keys := l.c.StateDim, l.c.KeyHeads
	u, key := l.u.Row(row), h%keys
	return u[key*d : (key+1)*d], u[(keys+key)*d : (keys+key+1)*d], u[(2*keys+h)*d : (2*keys+h+1)*d]
}

// Operands implements model.Recurrence.
func (l *deltaRule) Operands(h int) (from, n int) {
	n = headRecord(l.c)
	return l.noted + l.u.Width + h*n, n
}

// Record implements model.Recurrence.
func (l *deltaRule) Record(record []float32, row, h int) {
	_, k, v := l.heads(row, h)
	d := l.c.StateDim
	copy(record, k)
	copy(record[d:], v)
	record[2*d], record[2*d+1] = kernel.Exp1(l.g.Row(row)[h]), l.beta.Row(row)[h]
}

// Replay implements model.Recurrence. Nobody asks for the result.
func (l *deltaRule) Replay(state, record, scratch []float32, _ int) {
	d := l.c.StateDim
	k, v := record[:d], record[d:2*d]
	kernel.DeltaStep(scratch[:d], state, k, k, v, record[2*d], record[2*d+1])
}
