package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"
)

// measureServer starts the peer's server, asks for one token, and then has all clients ask
// for answers at the same time.
func (p *peer) measureServer(ctx context.Context, c config, r *results) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	args := []string{"-m", p.model, "--host", "127.0.0.1", "--port", port, "-t", strconv.Itoa(c.threads)}
	clients := strconv.Itoa(c.clients)
	var cmd *exec.Cmd
	switch {
	case p.server != "":
		cmd = command(ctx, p.server, append(args, "-np", clients, "-c", strconv.Itoa(c.clients*(c.answer+256)))...)
	case p.name == r.peers[0]:
		cmd = command(ctx, c.trit+",serve", append(args, "--parallel", clients, "--log-level", "error")...)
	default:
		return nil
	}
	var messages tail
	cmd.Stdout, cmd.Stderr = &messages, &messages
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := c.load(ctx, p.name, start, cmd.Process.Pid, "http://127.0.0.1:"+port, r); err != nil {
		cmd.Process.Kill()
		ended := cmd.Wait()
		return fmt.Errorf("%s: %w (%w)\n%s", cmd, err, ended, messages.text)
	}
	cmd.Process.Kill()
	cmd.Wait() //nolint:errcheck // it was killed
	return nil
}

// tail is the end of what was written.
type tail struct{ text []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-2000):]
	return len(b), nil
}

// load waits for a server that was started, and is its clients.
func (c config) load(ctx context.Context, name string, start time.Time, pid int, url string, r *results) error {
	for {
		res, err := client.Get(url + "/health")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Since(start) > 10*time.Minute || ctx.Err() != nil {
			return fmt.Errorf("it is not ready: %w", errors.Join(err, ctx.Err()))
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := ask(ctx, url, "Once", 1); err != nil {
		return err
	}
	r.add(name, startUp, time.Since(start).Seconds())

	answers, failures := make([]answer, c.clients), make([]error, c.clients)
	var all sync.WaitGroup
	start = time.Now()
	for i := range c.clients {
		all.Go(func() {
			answers[i], failures[i] = ask(ctx, url, fmt.Sprintf("Client %d asks for a story", i), c.answer)
		})
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	tokens, first, gaps := 0, []float64(nil), []float64(nil)
	for _, a := range answers {
		tokens += a.tokens
		first, gaps = append(first, a.first), append(gaps, a.gaps...)
	}
	r.add(name, served, float64(tokens)/took)
	r.add(name, firstToken, 1000*quantile(first, .5))
	r.add(name, between, 1000*quantile(gaps, .5))
	r.add(name, between99, 1000*quantile(gaps, .99))
	if mb := peakMemory(pid); mb > 0 {
		r.add(name, memory, mb)
	}
	return nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// answer is what a client saw of one stream; times are in seconds.
type answer struct {
	tokens int
	first  float64
	gaps   []float64
}

// client has a connection for each request: a server may close one while the next request
// is on its way, and nobody can tell that from a server that ended.
var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask streams a completion and takes the time of each event. llama-server's own API has one
// for every token, also where that has no text, as most have of random weights.
func ask(ctx context.Context, url, prompt string, tokens int) (answer, error) {
	var a answer
	body, err := json.Marshal(map[string]any{"prompt": prompt, "n_predict": tokens, "temperature": 0, "ignore_eos": true, "stream": true})
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", url+"/completion", bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	last := time.Now()
	res, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		return a, fmt.Errorf("%s: %s", res.Status, text)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var event struct {
			Stop   bool `json:"stop"`
			Tokens int  `json:"tokens_predicted"`
		}
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			return a, err
		}
		if event.Stop {
			a.tokens = event.Tokens
			continue
		}
		now := time.Now()
		if a.first == 0 {
			a.first = now.Sub(last).Seconds()
		} else {
			a.gaps = append(a.gaps, now.Sub(last).Seconds())
		}
		last = now
	}
	if err := lines.Err(); err != nil {
		return a, err
	}
	if a.tokens == 0 {
		return a, errors.New("the stream does not say how many tokens it had")
	}
	return a, nil
}

// peakMemory returns the largest resident memory of a process in MB, with its mapped
// files; 0 where the system does not tell.
func peakMemory(pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kb float64
	fmt.Sscan(after, &kb)
	return kb * 1024 / 1e6
}
