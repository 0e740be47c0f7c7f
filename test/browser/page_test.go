package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// limit bounds steps that take a moment on an idle machine.
const limit = 2 * time.Minute

// screen is a screen size.
type screen struct {
	name          string
	width, height int64
	mobile        bool
}

var (
	phone   = screen{"phone", 390, 844, true}
	desktop = screen{"desktop", 1280, 800, false}
)

// visitor is a user with a browser profile of their own.
type visitor struct {
	t      *testing.T
	ctx    context.Context
	url    string
	screen screen

	mu       sync.Mutex
	tolerate string        // part of console messages that are expected now
	came     chan struct{} // an expected message has arrived
}

// visit starts a browser. Unexpected warnings and errors on its console fail the test.
func visit(t *testing.T, url string, s screen) *visitor {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("chromium"), chromedp.NoSandbox)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancelTab := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		cancelTab()
		cancel()
	})
	v := &visitor{t: t, ctx: ctx, url: url, screen: s, came: make(chan struct{}, 1)}
	v.do(func(ctx context.Context) error {
		_, err := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
			Width: s.width, Height: s.height, DeviceScaleFactor: 1, Mobile: s.mobile,
		})
		return err
	})
	messages := chromedp.Console(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m, err := range messages {
			if err != nil {
				return
			}
			if (m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleException || m.Type == chromedp.ConsoleWarning) && !v.tolerates(m.Text) {
				t.Errorf("console: %s: %s (%s)", m.Type, m.Text, m.URL)
			}
		}
	}()
	t.Cleanup(func() {
		cancelTab()
		<-done
	})
	return v
}

// do calls what with the tab's context. The test fails if it returns an error.
func (v *visitor) do(what func(ctx context.Context) error) {
	v.t.Helper()
	if err := what(v.ctx); err != nil {
		v.shoot("failure")
		v.t.Fatal(err)
	}
}

func (v *visitor) run(steps ...chromedp.Action[chromedp.Void]) {
	v.t.Helper()
	v.do(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return chromedp.Do(ctx, steps...)
	})
}

// open navigates to a page, follows redirects, and waits until the page is ready.
func (v *visitor) open(path string) {
	v.t.Helper()
	v.run(chromedp.Navigate(v.url + path))
	v.await(ready)
}

const ready = `"ready" in document.documentElement.dataset`

// click scrolls an element to the middle of the screen, where nothing covers it, and clicks it.
func (v *visitor) click(css string) {
	v.t.Helper()
	v.run(chromedp.WaitVisible(chromedp.CSS(css)))
	evaluate[bool](v, fmt.Sprintf(`(document.querySelector(%s).scrollIntoView({block: "center", behavior: "instant"}), true)`, quoted(css)))
	v.run(chromedp.Click(chromedp.CSS(css)))
}

// fill types values into fields, given as pairs of name and value, and replaces their content.
func (v *visitor) fill(form string, values ...string) {
	v.t.Helper()
	for i := 0; i < len(values); i += 2 {
		css := fmt.Sprintf("%s [name=%s]", form, values[i])
		v.run(chromedp.WaitVisible(chromedp.CSS(css)))
		evaluate[bool](v, fmt.Sprintf("(document.querySelector(%s).select(), true)", quoted(css)))
		v.run(chromedp.SendKeys(chromedp.CSS(css), values[i+1]))
	}
}

// submit clicks a form's submit button.
func (v *visitor) submit(form string) { v.t.Helper(); v.click(form + " [type=submit]") }

// upload selects a file in a file input.
func (v *visitor) upload(css string, content []byte) {
	v.t.Helper()
	path := filepath.Join(v.t.TempDir(), "picture.png")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		v.t.Fatal(err)
	}
	v.run(chromedp.SetUploadFiles(chromedp.CSS(css), []string{path}))
}

// evaluate returns the value of an expression, or of its promise.
func evaluate[T any](v *visitor, expression string) (result T) {
	v.t.Helper()
	v.do(func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		if result, err = chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise)); err != nil {
			return fmt.Errorf("%.200s: %w", expression, err)
		}
		return nil
	})
	return result
}

// await waits until an expression is true.
func (v *visitor) await(expression string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, limit)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		is, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && is {
			return
		}
		select {
		case <-ticker.C: // also after an error: the page may be navigating
		case <-ctx.Done():
			v.shoot("failure")
			v.t.Fatalf("waited %v for %s (%v)\nat %s: %s", limit, expression, err, evaluate[string](v, "location.href"), evaluate[string](v, "document.body.innerText"))
		}
	}
}

// awaitText waits until an element is visible and contains a text.
func (v *visitor) awaitText(css, words string) {
	v.t.Helper()
	v.await(fmt.Sprintf("Array.from(document.querySelectorAll(%s)).some((e) => e.checkVisibility() && e.textContent.includes(%s))", quoted(css), quoted(words)))
}

// arrive waits for a navigation to a page.
func (v *visitor) arrive(path string) {
	v.t.Helper()
	v.await(fmt.Sprintf("location.pathname === %s && %s", quoted(path), ready))
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings can always be encoded
	}
	return string(b)
}

// expecting expects a console message while it calls what, and waits for the message, which may
// arrive later than the page shows the error.
func (v *visitor) expecting(message string, what func()) {
	v.t.Helper()
	set := func(to string) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.tolerate = to
		select {
		case <-v.came: // of an earlier call
		default:
		}
	}
	set(message)
	defer set("")
	what()
	select {
	case <-v.came:
	case <-time.After(limit):
		v.t.Errorf("no console message contains %q", message)
	}
}

func (v *visitor) tolerates(message string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tolerate == "" || !strings.Contains(message, v.tolerate) {
		return false
	}
	select {
	case v.came <- struct{}{}:
	default:
	}
	return true
}

// look takes a screenshot of the page in both themes, and checks its accessibility with axe.
func (v *visitor) look(name string) {
	v.t.Helper()
	axe, err := os.ReadFile(filepath.Join("node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		v.t.Fatalf("%v (`make test` installs it)", err)
	}
	for _, theme := range []string{"light", "dark"} {
		v.do(func(ctx context.Context) error {
			_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
			})
			return err
		})
		if wide := evaluate[int](v, "document.documentElement.scrollWidth - innerWidth"); wide > 0 {
			v.t.Errorf("%s is %d pixels wider than the screen", name, wide)
		}
		evaluate[bool](v, string(axe)+"; true")
		found := evaluate[[]string](v, `axe.run({resultTypes: ["violations"]}).then((r) => r.violations
			.filter((f) => f.impact === "serious" || f.impact === "critical")
			.map((f) => f.id + ": " + f.help + ": " + f.nodes.map((n) => n.html).join(" ")))`)
		for _, f := range found {
			v.t.Errorf("%s, %s, %s: %s", name, v.screen.name, theme, f)
		}
		v.shoot(name + "-" + theme)
	}
}

// shoot saves a screenshot.
func (v *visitor) shoot(name string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, limit)
	defer cancel()
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		v.t.Errorf("screenshot: %v", err)
		return
	}
	folder := filepath.Join("..", "..", "build", "screenshots")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, v.screen.name+"-"+name+".png"), shot, 0o600); err != nil {
		v.t.Fatal(err)
	}
}
