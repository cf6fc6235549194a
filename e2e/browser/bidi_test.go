package browser

import (
	"bufio"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// bidi is a connection of the WebDriver BiDi protocol: JSON over a WebSocket.
type bidi struct {
	conn net.Conn

	mu      sync.Mutex // of what is written, and of all below
	last    int
	waiting map[int]chan bidiMessage
	listen  map[string]func(method string, params json.RawMessage) // by the id of a tab
	broken  error
}

// bidiMessage is an answer or an event.
type bidiMessage struct {
	Type    string // success, error or event
	ID      int
	Method  string
	Params  json.RawMessage
	Result  json.RawMessage
	Error   string
	Message string
}

// patience is how long a command may take.
const patience = 60 * time.Second

// dialBiDi connects to ws://HOST:PORT/PATH.
func dialBiDi(address string) (*bidi, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	conn, err := net.DialTimeout("tcp", u.Host, patience)
	if err != nil {
		return nil, err
	}
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", u.Path, u.Host, base64.StdEncoding.EncodeToString(key))
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(conn, 1<<16)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("%s answers %s", address, response.Status)
	}
	b := &bidi{conn: conn, waiting: map[int]chan bidiMessage{}, listen: map[string]func(string, json.RawMessage){}}
	go b.read(r)
	return b, nil
}

// command sends a command and reads its result.
func (b *bidi) command(method string, params, result any) error {
	done := make(chan bidiMessage, 1)
	b.mu.Lock()
	b.last++
	id, err := b.last, b.broken
	if err == nil {
		var data []byte
		if data, err = json.Marshal(map[string]any{"id": id, "method": method, "params": params}); err == nil {
			b.waiting[id] = done
			err = b.write(1, data)
		}
	}
	b.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case answer := <-done:
		if answer.Type != "success" {
			return fmt.Errorf("%s: %s: %s", method, answer.Error, answer.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(answer.Result, result)
	case <-time.After(patience):
		return fmt.Errorf("%s: there is no answer", method)
	}
}

// write sends a frame, masked as those of clients are. The caller holds mu.
func (b *bidi) write(opcode byte, data []byte) error {
	frame := []byte{0x80 | opcode}
	switch n := len(data); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	case n < 1<<16:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(n))
	default:
		frame = binary.BigEndian.AppendUint64(append(frame, 0x80|127), uint64(n))
	}
	var mask [4]byte // Firefox takes none of zeros
	if _, err := rand.Read(mask[:]); err != nil {
		return err
	}
	frame = append(frame, mask[:]...)
	for i, c := range data {
		frame = append(frame, c^mask[i%4])
	}
	_, err := b.conn.Write(frame)
	return err
}

// read takes what comes until the connection ends.
func (b *bidi) read(r *bufio.Reader) {
	var message []byte
	var err error
	for err == nil {
		var opcode byte
		var final bool
		var data []byte
		if opcode, final, data, err = readFrame(r); err != nil {
			break
		}
		switch opcode {
		case 0, 1, 2:
			message = append(message, data...)
			if final {
				b.take(message)
				message = message[:0]
			}
		case 8:
			err = errors.New("the browser has gone")
		case 9:
			b.mu.Lock()
			err = b.write(10, data)
			b.mu.Unlock()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = err
	for _, done := range b.waiting {
		done <- bidiMessage{Type: "error", Error: "connection", Message: err.Error()}
	}
	b.waiting = map[int]chan bidiMessage{}
}

func readFrame(r *bufio.Reader) (opcode byte, final bool, data []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(r, head[:]); err != nil {
		return 0, false, nil, err
	}
	size := uint64(head[1] & 0x7f)
	switch size {
	case 126:
		var n uint16
		err = binary.Read(r, binary.BigEndian, &n)
		size = uint64(n)
	case 127:
		err = binary.Read(r, binary.BigEndian, &size)
	}
	if err == nil && (size > 1<<28 || head[1]&0x80 != 0) {
		err = errors.New("a frame is too long, or masked")
	}
	if err != nil {
		return 0, false, nil, err
	}
	data = make([]byte, size)
	_, err = io.ReadFull(r, data)
	return head[0] & 0x0f, head[0]&0x80 != 0, data, err
}

// take hands a message to whoever waits for it.
func (b *bidi) take(data []byte) {
	var m bidiMessage
	if err := json.Unmarshal(data, &m); err != nil {
		return
	}
	b.mu.Lock()
	if m.Type != "event" {
		if done := b.waiting[m.ID]; done != nil {
			done <- m
		}
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		return
	}
	var about struct {
		Context string
		Source  struct{ Context string }
	}
	_ = json.Unmarshal(m.Params, &about) // events without a tab are nobody's
	listener := b.listen[about.Context+about.Source.Context]
	b.mu.Unlock()
	if listener != nil {
		listener(m.Method, append(json.RawMessage(nil), m.Params...))
	}
}

// on has a function hear what happens in a tab; nil ends that.
func (b *bidi) on(context string, listener func(method string, params json.RawMessage)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if listener == nil {
		delete(b.listen, context)
		return
	}
	b.listen[context] = listener
}
