package cache_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"merchstore.io/merchstore/test/eventually"
	"merchstore.io/merchstore/test/valkey"
)

func TestAChangeReachesEveryProcess(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one, two := start(t, server.URL(), source), start(t, server.URL(), source)
	for range 200 {
		for range 3 {
			one.version(7)
			two.version(7)
		}
		version := source.sell(7)
		one.Changed(t.Context(), nil, []int32{7})
		two.want(7, version) // no later
		one.want(7, version)
	}
	if n := one.sum("merchstore_cache_invalidations_total", nil); n != 200 {
		t.Errorf("%d invalidations are counted", n)
	}
}

// TestAProcessThatHangsHoldsNobodyUpForLong has somebody hear of changes who does not acknowledge them.
func TestAProcessThatHangsHoldsNobodyUpForLong(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one, two := start(t, server.URL(), source), start(t, server.URL(), source)
	client := look(t, server)
	heard := make(chan struct{}, 100)
	var listener sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	listener.Go(func() {
		_ = client.Receive(ctx, client.B().Subscribe().Channel("merchstore:changes").Build(), func(rueidis.PubSubMessage) { heard <- struct{}{} })
	})
	for len(heard) == 0 { // until it listens
		one.Changed(t.Context(), nil, []int32{8})
	}
	from := time.Now()
	for range 10 {
		two.want(7, source.products[7].Version)
		version := source.sell(7)
		one.Changed(t.Context(), nil, []int32{7})
		two.want(7, version) // is waited for as before
	}
	if took := time.Since(from); took > 2500*time.Millisecond {
		t.Errorf("ten changes have taken %s", took)
	}
	if n := one.sum("merchstore_cache_errors_total", map[string]string{"operation": "acknowledge"}); n == 0 {
		t.Error("nothing is counted")
	}
	cancel()
	listener.Wait()
}

// TestComingAndGoingHoldsNobodyUp: as in a rolling update.
func TestComingAndGoingHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one := start(t, server.URL(), source)
	stop := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				one.Changed(t.Context(), nil, []int32{7})
			}
		}
	})
	for range 20 {
		other := start(t, server.URL(), source)
		other.version(7)
		other.Close()
	}
	close(stop)
	writer.Wait()
	if n := one.sum("merchstore_cache_errors_total", map[string]string{"operation": "acknowledge"}); n != 0 {
		t.Errorf("%d of %d changes were not acknowledged", n, one.sum("merchstore_cache_invalidations_total", nil))
	}
}

// TestWhatWasReadBeforeACommitIsNotPutInAfterIt holds a reader back who has seen the old version, until the new one is announced.
func TestWhatWasReadBeforeACommitIsNotPutInAfterIt(t *testing.T) {
	t.Parallel()
	for name, inBetween := range map[string]func(*process, *process, int64){
		"nobody reads in between":        func(*process, *process, int64) {},
		"somebody reads in between":      func(one, _ *process, version int64) { one.want(7, version) },
		"somebody else reads in between": func(_, two *process, version int64) { two.want(7, version) },
		"both of them read, and many more": func(one, two *process, version int64) {
			one.want(7, version)
			two.want(7, version)
			two.want(7, version)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, source := valkey.Start(t), newShelf()
			one, two := start(t, server.URL(), source), start(t, server.URL(), source)
			source.holdBack()
			late := make(chan int64)
			go func() { late <- one.version(7) }()
			<-source.has
			slow := source.release
			source.mu.Lock()
			source.release = nil // the next reader is quick
			source.mu.Unlock()

			version := source.sell(7)
			two.Changed(t.Context(), nil, []int32{7})
			inBetween(one, two, version)
			close(slow)
			<-late // has asked before, and may be told what was

			for range 3 {
				one.want(7, version)
				two.want(7, version)
			}
		})
	}
}

// TestTwoStoresInOneServer have a database number each, and share the channels.
func TestTwoStoresInOneServer(t *testing.T) {
	t.Parallel()
	server, mugs, shirts := valkey.Start(t), newShelf(), newShelf()
	shirts.sell(7)
	one, two := start(t, server.URL(), mugs), start(t, strings.TrimSuffix(server.URL(), "0")+"1", shirts)
	for range 20 {
		for range 3 {
			one.want(7, mugs.products[7].Version)
			two.want(7, shirts.products[7].Version)
		}
		version := mugs.sell(7)
		one.Changed(t.Context(), nil, []int32{7})
		one.want(7, version)
		two.want(7, shirts.products[7].Version)
	}
	if n := one.sum("merchstore_cache_errors_total", nil) + two.sum("merchstore_cache_errors_total", nil); n != 0 {
		t.Errorf("%d errors", n)
	}
}

// TestAWriterWhoseConnectionBreaksWaitsAsWell: its client connects once more by itself, but does not hear acknowledgements then.
func TestAWriterWhoseConnectionBreaksWaitsAsWell(t *testing.T) {
	t.Parallel()
	server, source := valkey.Start(t), newShelf()
	one, client := start(t, server.URL(), source), look(t, server)
	var acknowledged atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	heard := make(chan string, 1000)
	var other sync.WaitGroup
	other.Go(func() {
		defer close(heard)
		_ = client.Receive(ctx, client.B().Subscribe().Channel("merchstore:changes").Build(),
			func(m rueidis.PubSubMessage) { heard <- m.Message })
	})
	other.Go(func() { // acknowledges, but takes its time
		for message := range heard {
			<-time.After(20 * time.Millisecond)
			acknowledged.Add(1)
			id, number, _ := strings.Cut(message, " ")
			client.Do(ctx, client.B().Publish().Channel("merchstore:acknowledgments:"+id).Message("other "+number).Build())
		}
	})
	eventually.True(t, limit, "the other one to listen", func() bool { one.Changed(ctx, nil, []int32{8}); return acknowledged.Load() > 0 })
	for range 50 {
		one.awaitUse()
		list, err := client.Do(ctx, client.B().ClientList().Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(strings.TrimPrefix(list, "txt:")) {
			if !strings.Contains(line, " name=merchstore-db ") {
				continue
			}
			id, err := strconv.ParseInt(strings.TrimPrefix(strings.Fields(line)[0], "id="), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if err := client.Do(ctx, client.B().ClientKill().Id(id).Build()).Error(); err != nil {
				t.Fatal(err)
			}
		}
		before := acknowledged.Load()
		one.Changed(ctx, nil, []int32{7})
		if acknowledged.Load() == before {
			t.Error("it has not waited")
		}
	}
	cancel()
	other.Wait()
}
