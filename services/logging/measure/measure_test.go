package measure_test

import (
	"testing"

	"fmt"
	"github.com/prometheus/client_golang/prometheus"
	"merchstore.io/merchstore/internal/rpc"
	"merchstore.io/merchstore/services/logging/measure"
	"os"
	"strings"
)

func TestX(t *testing.T) {
	n := 200000
	conn, err := rpc.Dial("127.0.0.1:50052", rpc.DialOptions{Service: "merchstore.v1.LoggingService"}, rpc.NewClientMetrics(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	cpu := func(pid string) float64 {
		b, _ := os.ReadFile("/proc/" + pid + "/stat")
		f := strings.Fields(string(b))
		var u, k float64
		fmt.Sscan(f[13], &u)
		fmt.Sscan(f[14], &k)
		return (u + k) * 1e4
	}
	pids := []string{"self", os.Getenv("PID"), os.Getenv("BPID")}
	run := func(name string, f func() float64) float64 {
		var before [3]float64
		for i, p := range pids {
			before[i] = cpu(p)
		}
		r := f()
		var total float64
		out := ""
		for i, p := range pids {
			d := (cpu(p) - before[i]) / float64(n)
			total += d
			out += fmt.Sprintf(" %.1f", d)
		}
		fmt.Printf("%s %.0f/s cpu us/msg client,logging,broker:%s total %.1f\n", name, r, out, total)
		return total
	}
	var sum float64
	for range 3 {
		b := run("bare", func() float64 {
			b, err := measure.Bare(t.Context(), "127.0.0.1:29092", "log-channel", n)
			if err != nil {
				t.Fatal(err)
			}
			return b
		})
		s := run("streamed", func() float64 {
			b, err := measure.Streamed(t.Context(), conn, n)
			if err != nil {
				t.Fatal(err)
			}
			return b
		})
		fmt.Printf("cpu ratio %.2f\n", b/s)
		sum += b / s
	}
	fmt.Printf("MEAN %.2f\n", sum/4)
}
