// Command oto-h3load keeps streams of HTTP/3 connections busy, as h2load does with those of HTTP/2.
//
// It prints one JSON object; what goes wrong is one line on standard error and exit code 1. Any certificate is
// taken, because both ends are the bench's.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// answerTimeout bounds one request: no healthy proxy takes so long.
const answerTimeout = 60 * time.Second

type options struct {
	address, host, target string
	connections, streams  int
	seconds               float64
	requests, answer      int64
	body                  int
	version               int
}

type result struct {
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

func main() {
	var o options
	flag.StringVar(&o.address, "address", "", "IP:PORT of the proxy")
	flag.StringVar(&o.host, "host", "", "domain that is asked for")
	flag.StringVar(&o.target, "target", "/", "path")
	flag.IntVar(&o.connections, "connections", 10, "connections")
	flag.IntVar(&o.streams, "streams", 32, "requests under way on each")
	flag.Float64Var(&o.seconds, "seconds", 0, "length of the run; 0 to end after -requests")
	flag.Int64Var(&o.requests, "requests", 0, "how many there are, without a length")
	flag.Int64Var(&o.answer, "answer", 0, "least size of each answer's body")
	flag.IntVar(&o.body, "body", 0, "size of the body that each request brings; with one it is a POST")
	flag.IntVar(&o.version, "version", 1, "version of QUIC: 1 or 2")
	flag.Parse()
	if o.address == "" || o.host == "" || versions[o.version] == 0 || (o.seconds <= 0 && o.requests <= 0) {
		flag.Usage()
		os.Exit(2)
	}
	found, err := run(o)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "oto-h3load:", err)
		os.Exit(1)
	}
}

// run opens the connections, and has each stream send its next request after an answer.
func run(o options) (result, error) {
	load := &load{options: o, body: bytes.Repeat([]byte("x"), o.body)}
	load.left.Store(o.requests)
	transports := make([]*http3.Transport, o.connections)
	for i := range transports {
		transports[i] = transport(o)
		defer transports[i].Close()
		// The handshakes are no part of the run.
		if _, err := load.ask(transports[i]); err != nil {
			return result{}, fmt.Errorf("connection %d: %w", i, err)
		}
	}
	start := time.Now()
	if o.seconds > 0 {
		load.end = start.Add(time.Duration(o.seconds * float64(time.Second)))
	}
	var group sync.WaitGroup
	for i := range o.connections * o.streams {
		group.Go(func() { load.loop(transports[i%o.connections]) })
	}
	group.Wait()
	elapsed := time.Since(start)
	if load.failure != nil {
		return result{}, load.failure
	}
	if len(load.times) == 0 {
		return result{}, errors.New("no answer at all")
	}
	slices.Sort(load.times)
	at := func(share int) float64 {
		return load.times[(len(load.times)-1)*share/100].Seconds() * 1000
	}
	return result{len(load.times), elapsed.Seconds(), at(50), at(99)}, nil
}

var versions = map[int]quic.Version{1: quic.Version1, 2: quic.Version2}

// transport makes what holds one connection, which the first request opens.
func transport(o options) *http3.Transport {
	return &http3.Transport{
		DisableCompression: true,
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true, ServerName: o.host},
		QUICConfig: &quic.Config{
			MaxIdleTimeout: answerTimeout,
			Versions:       []quic.Version{versions[o.version]},
			// As wide as h2load's: what is measured is the proxy, not the way to it.
			InitialStreamReceiveWindow:     8 << 20,
			MaxStreamReceiveWindow:         8 << 20,
			InitialConnectionReceiveWindow: 32 << 20,
			MaxConnectionReceiveWindow:     32 << 20,
		},
		Dial: func(ctx context.Context, _ string, tlsConfig *tls.Config, config *quic.Config) (*quic.Conn, error) {
			return quic.DialAddr(ctx, o.address, tlsConfig, config)
		},
	}
}

// load is what the streams of a run share.
type load struct {
	options
	body    []byte
	end     time.Time
	left    atomic.Int64
	lock    sync.Mutex
	times   []time.Duration
	failure error
}

func (l *load) goesOn() bool {
	if !l.end.IsZero() {
		return time.Now().Before(l.end)
	}
	return l.left.Add(-1) >= 0
}

func (l *load) loop(transport *http3.Transport) {
	var times []time.Duration
	var failure error
	for failure == nil && l.goesOn() {
		var took time.Duration
		if took, failure = l.ask(transport); failure == nil {
			times = append(times, took)
		}
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	l.times = append(l.times, times...)
	l.failure = errors.Join(l.failure, failure)
}

// ask makes one request, and tells how long it took until all of the answer was there.
func (l *load) ask(transport *http3.Transport) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	method, body := http.MethodGet, io.Reader(nil)
	if len(l.body) > 0 {
		method, body = http.MethodPost, bytes.NewReader(l.body)
	}
	request, err := http.NewRequestWithContext(ctx, method, "https://"+l.host+l.target, body)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	size, err := io.Copy(io.Discard, answer.Body)
	if err != nil {
		return 0, err
	}
	if answer.StatusCode != http.StatusOK || size < l.answer {
		return 0, fmt.Errorf("answer %d with %d octets", answer.StatusCode, size)
	}
	return time.Since(start), nil
}
