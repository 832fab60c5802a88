// Command load puts distinct keys into etcd as fast as a number of concurrent clients can, as etcd's own benchmark
// tool does, and prints what came of it as one line of JSON. It is started by test/bench/etcd/etcd-load.ts.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/clientv3"
)

type result struct {
	Committed int            `json:"committed"`
	WarmUp    int            `json:"warmUp"`
	Others    map[string]int `json:"others"`
	Ms        float64        `json:"ms"`
	P50Ms     float64        `json:"p50Ms"`
	P99Ms     float64        `json:"p99Ms"`
}

type options struct {
	endpoint                             string
	connections, clients, keySize, value int
	warmUp, duration                     time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.endpoint, "endpoint", "", "host:port of the leader")
	flag.IntVar(&o.connections, "connections", 1, "gRPC connections")
	flag.IntVar(&o.clients, "clients", 1, "concurrent puts over all connections")
	flag.IntVar(&o.value, "value-bytes", 256, "size of a value")
	flag.IntVar(&o.keySize, "key-bytes", 16, "size of a key")
	flag.DurationVar(&o.warmUp, "warm-up", time.Second, "not measured")
	flag.DurationVar(&o.duration, "duration", 4*time.Second, "measured")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(o options) error {
	connections, err := dial(o)
	if err != nil {
		return err
	}
	value := make([]byte, o.value)
	rand.Read(value)
	load := &load{options: o, value: string(value), connections: connections}
	load.next = uint64(time.Now().UnixNano())
	warmUp := load.runFor(o.warmUp)
	measured := load.runFor(o.duration)
	measured.WarmUp = warmUp.Committed
	return json.NewEncoder(os.Stdout).Encode(measured)
}

func dial(o options) ([]*clientv3.Client, error) {
	config := clientv3.Config{Endpoints: []string{o.endpoint}, DialTimeout: 5 * time.Second}
	var connections []*clientv3.Client
	for i := 0; i < o.connections; i++ {
		client, err := clientv3.New(config)
		if err != nil {
			return nil, fmt.Errorf("cannot reach etcd at %s: %w", o.endpoint, err)
		}
		connections = append(connections, client)
	}
	return connections, nil
}

type load struct {
	options
	value       string
	connections []*clientv3.Client
	next        uint64
}

// One client's share, kept apart so that counting costs no lock.
type share struct {
	latencies []time.Duration
	others    map[string]int
}

func (l *load) runFor(duration time.Duration) result {
	shares := make([]share, l.clients)
	start := time.Now()
	end := start.Add(duration)
	var all sync.WaitGroup
	for i := range shares {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			l.put(&shares[i], l.connections[i%len(l.connections)], end)
		}(i)
	}
	all.Wait()
	return summary(shares, time.Since(start))
}

func (l *load) put(s *share, client *clientv3.Client, end time.Time) {
	s.others = map[string]int{}
	for time.Now().Before(end) {
		key := fmt.Sprintf("%0*x", l.keySize, atomic.AddUint64(&l.next, 1))
		sent := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		_, err := client.Put(ctx, key, l.value)
		cancel()
		if err != nil {
			s.others[err.Error()]++
			continue
		}
		s.latencies = append(s.latencies, time.Since(sent))
	}
}

func summary(shares []share, took time.Duration) result {
	var latencies []time.Duration
	others := map[string]int{}
	for _, s := range shares {
		latencies = append(latencies, s.latencies...)
		for name, count := range s.others {
			others[name] += count
		}
	}
	sort.Slice(latencies, func(a, b int) bool { return latencies[a] < latencies[b] })
	at := func(part float64) float64 {
		if len(latencies) == 0 {
			return 0
		}
		return float64(latencies[int(float64(len(latencies))*part)]) / 1e6
	}
	return result{
		Committed: len(latencies), Others: others, Ms: float64(took) / 1e6, P50Ms: at(0.5), P99Ms: at(0.99),
	}
}
