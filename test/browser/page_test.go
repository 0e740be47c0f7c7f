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

// limit is for what takes a moment on an idle machine.
const limit = 2 * time.Minute

// screen is what a visitor looks at.
type screen struct {
	name          string
	width, height int64
	mobile        bool
}

var (
	phone   = screen{"phone", 390, 844, true}
	desktop = screen{"desktop", 1280, 800, false}
)

// visitor is somebody with a browser of their own: cookies and storage are nobody else's.
type visitor struct {
	t      *testing.T
	ctx    context.Context
	url    string
	screen screen

	mu       sync.Mutex
	tolerate string        // part of the messages on the console that are no mistake now
	came     chan struct{} // a message that was tolerated
}

// visit opens a browser on the store's pages. What the console complains of fails the test.
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
				t.Errorf("the console says: %s: %s (%s)", m.Type, m.Text, m.URL)
			}
		}
	}()
	t.Cleanup(func() {
		cancelTab()
		<-done
	})
	return v
}

// do fails the test unless something succeeds in time. Its context is the tab's.
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

// open goes to a page, or to where that sends one, and waits until it can be used.
func (v *visitor) open(path string) {
	v.t.Helper()
	v.run(chromedp.Navigate(v.url + path))
	v.await(ready)
}

const ready = `"ready" in document.documentElement.dataset`

// click clicks what is in the middle of the screen, where nothing lies over it.
func (v *visitor) click(css string) {
	v.t.Helper()
	v.run(chromedp.WaitVisible(chromedp.CSS(css)))
	evaluate[bool](v, fmt.Sprintf(`(document.querySelector(%s).scrollIntoView({block: "center", behavior: "instant"}), true)`, quoted(css)))
	v.run(chromedp.Click(chromedp.CSS(css)))
}

// fill types values into fields, by their names, in the place of what is there.
func (v *visitor) fill(form string, values ...string) {
	v.t.Helper()
	for i := 0; i < len(values); i += 2 {
		css := fmt.Sprintf("%s [name=%s]", form, values[i])
		v.run(chromedp.WaitVisible(chromedp.CSS(css)))
		evaluate[bool](v, fmt.Sprintf("(document.querySelector(%s).select(), true)", quoted(css)))
		v.run(chromedp.SendKeys(chromedp.CSS(css), values[i+1]))
	}
}

// submit clicks a form's button.
func (v *visitor) submit(form string) { v.t.Helper(); v.click(form + " [type=submit]") }

// upload chooses a file.
func (v *visitor) upload(css string, content []byte) {
	v.t.Helper()
	path := filepath.Join(v.t.TempDir(), "picture.png")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		v.t.Fatal(err)
	}
	v.run(chromedp.SetUploadFiles(chromedp.CSS(css), []string{path}))
}

// evaluate gives what an expression, or its promise, comes to.
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
		case <-ticker.C: // also after an error: the page may be going, and the next one coming
		case <-ctx.Done():
			v.shoot("failure")
			v.t.Fatalf("waited %v for %s (%v)\nat %s: %s", limit, expression, err, evaluate[string](v, "location.href"), evaluate[string](v, "document.body.innerText"))
		}
	}
}

// awaitText waits until an element is seen and has some words in it.
func (v *visitor) awaitText(css, words string) {
	v.t.Helper()
	v.await(fmt.Sprintf("Array.from(document.querySelectorAll(%s)).some((e) => e.checkVisibility() && e.textContent.includes(%s))", quoted(css), quoted(words)))
}

// arrive waits until a page is there that the one before has sent one to.
func (v *visitor) arrive(path string) {
	v.t.Helper()
	v.await(fmt.Sprintf("location.pathname === %s && %s", quoted(path), ready))
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always has its JSON
	}
	return string(b)
}

// expecting lets the console complain of a refusal that is asked for, and waits for that: it may come later than what
// the page says of it.
func (v *visitor) expecting(message string, what func()) {
	v.t.Helper()
	set := func(to string) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.tolerate = to
		select {
		case <-v.came: // left over
		default:
		}
	}
	set(message)
	defer set("")
	what()
	select {
	case <-v.came:
	case <-time.After(limit):
		v.t.Errorf("the console does not complain of %q", message)
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

// look keeps a screenshot of the page in both themes, and lets axe look for what keeps people out.
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

// shoot keeps a screenshot.
func (v *visitor) shoot(name string) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, limit)
	defer cancel()
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		v.t.Errorf("take a screenshot: %v", err)
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
