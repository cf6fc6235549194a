package cache

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"trit/internal/kernel"
)

// ErrPrefixFile reports a file of saved prefixes that is damaged or was made
// for other weights, another KV type, other arithmetic or another machine.
var ErrPrefixFile = errors.New("cache: bad prefix file")

// Identity says what computed the keys and values of a pool. Saved prefixes are
// only good for the same one.
type Identity struct {
	// Weights is a hash of the weights and of the settings they are used with.
	Weights [sha256.Size]byte
	// Numerics is the version of the arithmetic.
	Numerics uint32
}

// A prefix file is a prefixHeader, a prefixStates, Pages times a prefixEntry and the
// prefixParts followed by the page's bytes and those of its parts: of its snapshot, and
// of layers with a sliding window. The SHA-256 of all that ends it. All is little-endian,
// but the bytes of pages and their parts are in the machine's own order. A page comes
// after the one before it in the sequence.
//
// Version 2 has neither prefixStates nor prefixParts, and is still read where there
// is no state.
const (
	prefixMagic     = "tritkv\r\n"
	prefixVersion   = 3
	prefixStateless = 2
)

type prefixHeader struct {
	Magic     [8]byte
	Version   uint32
	Numerics  uint32
	Weights   [sha256.Size]byte
	KVType    [8]byte // its name
	Layers    uint32
	KVHeads   uint32
	HeadDim   uint32
	PageSize  uint32  // positions
	PageBytes uint64  // without parts
	Order     [4]byte // 1, 2, 3, 4 in the machine's byte order
	Pages     uint32
}

type prefixStates struct {
	StateBytes uint64 // of one
	Snapshots  uint32
}

type prefixParts uint32

const (
	partSnapshot prefixParts = 1 << iota
	partWindow
)

type prefixEntry struct {
	Parent uint32 // number of the page before it in the sequence, from 1; 0 for none
	Tokens [kernel.PageTokens]int32
}

func (p *Pool) prefixHeader(id Identity) prefixHeader {
	h := prefixHeader{
		Version: prefixVersion, Numerics: id.Numerics, Weights: id.Weights,
		Layers: uint32(p.config.Layers), KVHeads: uint32(p.config.KVHeads), HeadDim: uint32(p.config.HeadDim),
		PageSize: kernel.PageTokens, PageBytes: uint64(p.leanBytes),
	}
	copy(h.Magic[:], prefixMagic)
	copy(h.KVType[:], p.config.Type.String())
	binary.NativeEndian.PutUint32(h.Order[:], 0x01020304)
	return h
}

// SavePrefixes writes all pages of the prefix index that can be adopted, and returns
// their number.
func (p *Pool) SavePrefixes(w io.Writer, id Identity) (int, error) {
	order, snapshots := p.adoptable()
	h := p.prefixHeader(id)
	h.Pages = uint32(len(order))
	states := prefixStates{StateBytes: 4 * uint64(p.config.StateSize), Snapshots: uint32(snapshots)}
	sum := sha256.New()
	buffered := bufio.NewWriterSize(w, 1<<16)
	out := io.MultiWriter(buffered, sum)
	if err := errors.Join(binary.Write(out, binary.LittleEndian, &h), binary.Write(out, binary.LittleEndian, &states)); err != nil {
		return 0, fmt.Errorf("saving prefixes: %w", err)
	}
	number := make(map[uint64]uint32, len(order)) // by serial
	for i, page := range order {
		n := &p.prefix.nodes[page]
		number[n.serial] = uint32(i + 1)
		entry := prefixEntry{Parent: number[n.edge.parent], Tokens: n.edge.tokens}
		has, data := prefixParts(0), []any{p.data(page)}
		if n.snapshot != NoState {
			has |= partSnapshot
			data = append(data, p.stateMemory(n.snapshot)[:states.StateBytes])
		}
		if p.windows.has(page) {
			has |= partWindow
			data = append(data, p.windowData(page))
		}
		for _, part := range append([]any{&entry, has}, data...) {
			if err := binary.Write(out, binary.LittleEndian, part); err != nil {
				return i, fmt.Errorf("saving prefixes: %w", err)
			}
		}
	}
	if _, err := buffered.Write(sum.Sum(nil)); err != nil {
		return 0, fmt.Errorf("saving prefixes: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return 0, fmt.Errorf("saving prefixes: %w", err)
	}
	return len(order), nil
}

// adoptable lists the pages of the index that a table can adopt: of a model with state
// those that lead to a snapshot. A page comes after the one before it in the sequence.
func (p *Pool) adoptable() (pages []Page, snapshots int) {
	order := p.prefix.fromRoot()
	if p.config.StateSize == 0 {
		return order, 0
	}
	leads := make(map[uint64]bool, len(order)) // by serial
	for _, page := range slices.Backward(order) {
		if n := &p.prefix.nodes[page]; n.snapshot != NoState || leads[n.serial] {
			leads[n.serial], leads[n.edge.parent] = true, true
		}
	}
	for _, page := range order {
		if n := &p.prefix.nodes[page]; leads[n.serial] {
			pages = append(pages, page)
			if n.snapshot != NoState {
				snapshots++
			}
		}
	}
	return pages, snapshots
}

// fromRoot lists the pages that can be reached from the root, level by level.
func (x *prefixIndex) fromRoot() []Page {
	children := make(map[uint64][]Page, len(x.pages))
	for page := range x.nodes {
		if n := &x.nodes[page]; n.serial != 0 {
			children[n.edge.parent] = append(children[n.edge.parent], Page(page))
		}
	}
	order := slices.Clone(children[0])
	for i := 0; i < len(order); i++ {
		order = append(order, children[x.nodes[order[i]].serial]...)
	}
	return order
}

// LoadPrefixes reads pages into the prefix index and returns their number. On
// an error it has read none. The errors are ErrPrefixFile, ErrFull when the
// budget is too small, and those of the reader.
func (p *Pool) LoadPrefixes(r io.Reader, id Identity) (int, error) {
	l := prefixLoader{pool: p, in: bufio.NewReaderSize(r, 1<<16)}
	err := l.load(id)
	if err == nil {
		l.index()
	}
	for i := len(l.pages) - 1; i >= 0; i-- {
		if l.parts[i]&partWindow != 0 {
			p.drop(l.pages[i])
		}
		p.Release(l.pages[i])
	}
	for _, s := range l.states {
		p.releaseState(s)
	}
	if err != nil {
		return 0, err
	}
	return len(l.pages), nil
}

// prefixLoader is a file that is being read.
type prefixLoader struct {
	pool    *Pool
	in      *bufio.Reader
	entries []prefixEntry
	pages   []Page  // of entries, each referenced once, as are the
	states  []State // of entries, NoState for those without, and the
	parts   []prefixParts
}

func (l *prefixLoader) load(id Identity) error {
	sum := sha256.New()
	in := io.TeeReader(l.in, sum)
	var got prefixHeader
	if err := readPart(in, "header", &got); err != nil {
		return err
	}
	if err := l.pool.checkHeader(&got, id); err != nil {
		return err
	}
	var states prefixStates
	if got.Version != prefixStateless {
		if err := readPart(in, "header", &states); err != nil {
			return err
		}
	}
	if err := l.pool.checkRoom(&got, &states); err != nil {
		return err
	}
	for i := range got.Pages {
		what := fmt.Sprintf("page %d of %d", i+1, got.Pages)
		var entry prefixEntry
		if err := readPart(in, what, &entry); err != nil {
			return err
		}
		var has prefixParts
		if got.Version != prefixStateless {
			if err := readPart(in, what, &has); err != nil {
				return err
			}
		}
		if entry.Parent > i {
			return fmt.Errorf("%w: page %d follows page %d, which comes later", ErrPrefixFile, i+1, entry.Parent)
		}
		page, err := l.pool.Alloc()
		if err != nil {
			return fmt.Errorf("loading %d pages of prefixes: %w", got.Pages, err)
		}
		l.entries, l.pages, l.states = append(l.entries, entry), append(l.pages, page), append(l.states, NoState)
		l.parts = append(l.parts, partWindow&l.pool.kinds()) // which it was given
		if err := readPart(in, what, l.pool.data(page)); err != nil {
			return err
		}
		if has&^l.pool.kinds() != 0 {
			return fmt.Errorf("%w: %s has parts that pages do not have here (%d)", ErrPrefixFile, what, has)
		}
		if has&partSnapshot != 0 {
			if states.Snapshots == 0 {
				return fmt.Errorf("%w: %s has a snapshot too many", ErrPrefixFile, what)
			}
			states.Snapshots--
			state, err := l.pool.allocState(true)
			if err != nil {
				return fmt.Errorf("loading %d pages of prefixes: %w", got.Pages, err)
			}
			l.states[i] = state
			if err := readPart(in, what, l.pool.stateMemory(state)[:states.StateBytes]); err != nil {
				return err
			}
		}
		if has&partWindow != 0 {
			if err := readPart(in, what, l.pool.windowData(page)); err != nil {
				return err
			}
		} else if l.parts[i] != 0 {
			l.pool.drop(page)
			l.parts[i] = 0
		}
	}
	want := sum.Sum(nil)
	stored := make([]byte, sha256.Size)
	if err := readPart(l.in, "checksum", stored); err != nil {
		return err
	}
	if !bytes.Equal(stored, want) {
		return fmt.Errorf("%w: it is damaged: its checksum is %x, it says %x; delete it", ErrPrefixFile, want, stored)
	}
	if _, err := l.in.ReadByte(); err != io.EOF {
		return fmt.Errorf("%w: there is more after the checksum", ErrPrefixFile)
	}
	return nil
}

// kinds returns the parts that pages may have.
func (p *Pool) kinds() (has prefixParts) {
	if p.config.StateSize > 0 {
		has |= partSnapshot
	}
	if p.config.WindowLayers > 0 {
		has |= partWindow
	}
	return has
}

// readPart reads a value of fixed size.
func readPart(r io.Reader, what string, v any) error {
	var err error
	if b, ok := v.([]byte); ok {
		_, err = io.ReadFull(r, b)
	} else {
		err = binary.Read(r, binary.LittleEndian, v)
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends in the %s; delete it", ErrPrefixFile, what)
	}
	if err != nil {
		return fmt.Errorf("loading prefixes: %s: %w", what, err)
	}
	return nil
}

// checkHeader compares a file's header with what this pool would write.
func (p *Pool) checkHeader(got *prefixHeader, id Identity) error {
	want := p.prefixHeader(id)
	if got.Magic != want.Magic {
		return fmt.Errorf("%w: it does not start with %q", ErrPrefixFile, prefixMagic)
	}
	if got.Version != want.Version && (got.Version != prefixStateless || p.config.StateSize > 0) {
		return badField("format version", got.Version, want.Version)
	}
	for _, field := range []struct {
		what      string
		got, want any
	}{
		{"numerics version", got.Numerics, want.Numerics},
		{"weights' hash", fmt.Sprintf("%x", got.Weights), fmt.Sprintf("%x", want.Weights)},
		{"KV type", string(bytes.TrimRight(got.KVType[:], "\x00")), p.config.Type.String()},
		{"number of layers", got.Layers, want.Layers},
		{"number of KV heads", got.KVHeads, want.KVHeads},
		{"head dimension", got.HeadDim, want.HeadDim},
		{"page size", got.PageSize, want.PageSize},
		{"page size in bytes", got.PageBytes, want.PageBytes},
		{"byte order", got.Order, want.Order},
	} {
		if field.got != field.want {
			return badField(field.what, field.got, field.want)
		}
	}
	return nil
}

// badField says that a file has something else in a field of its header.
func badField(what string, got, want any) error {
	return fmt.Errorf("%w: its %s is %v, here it is %v; it was saved by another model or version, delete it", ErrPrefixFile, what, got, want)
}

// checkRoom compares what a file holds with the budget.
func (p *Pool) checkRoom(h *prefixHeader, s *prefixStates) error {
	if want := 4 * uint64(p.config.StateSize); s.StateBytes != want {
		return badField("state size in bytes", s.StateBytes, want)
	}
	if p.config.StateSize == 0 && s.Snapshots > 0 {
		return badField("number of snapshots", s.Snapshots, 0)
	}
	limit := int64(min(p.config.PrefixPages, p.config.MaxPages))
	if n := int64(h.Pages) + int64(s.Snapshots)*int64(p.states.pages); n > limit {
		return fmt.Errorf("%w: the file holds %d pages of prefixes, the budget is %d", ErrFull, n, limit)
	}
	return nil
}

// index puts the pages that were read into the index.
func (l *prefixLoader) index() {
	x := l.pool.prefix
	for i, entry := range l.entries {
		e := edge{tokens: entry.Tokens}
		if entry.Parent > 0 {
			e.parent = x.nodes[l.pages[entry.Parent-1]].serial
		}
		if known, ok := x.pages[e]; ok {
			l.pool.Retain(known)
			if l.parts[i] != 0 {
				l.pool.moveWindow(known, l.pages[i]) // it is the only one to refer to it
			}
			l.pool.Release(l.pages[i])
			l.pages[i] = known
		} else {
			x.add(l.pages[i], e)
		}
		if s := l.states[i]; s != NoState {
			l.pool.setSnapshot(l.pages[i], s)
		}
	}
}
