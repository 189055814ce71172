// Drives slack-go, or the HTTP client of Go's library, as the runner's lines on stdin ask for.
//
// The lines are those of ../python/driver.py; so are the answers. Nothing but the time-out is set, where one is given.
// `webhook` posts its `text`. `grafana` is not Grafana, but sends as it does.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

// call is one line.
type call struct {
	ID     int                        `json:"id"`
	Method string                     `json:"method"`
	Args   map[string]json.RawMessage `json:"args"`
	After  *int                       `json:"after"`
}

// outcome is what came of one.
type outcome struct {
	ID     int                        `json:"id"`
	Method string                     `json:"method"`
	Args   map[string]json.RawMessage `json:"args"`
	OK     bool                       `json:"ok"`
	Error  string                     `json:"error"`
	Status int                        `json:"status"`
	Kind   string                     `json:"kind"`
	Detail string                     `json:"detail"`
	Start  int64                      `json:"start_ms"`
	End    int64                      `json:"end_ms"`
}

// sender sends a call.
type sender func(*call, *outcome) error

// version of slack-go, given at its compilation.
var version string

var (
	baseURL = flag.String("base-url", "", "")
	token   = flag.String("token", "", "")
	timeout = flag.Float64("timeout", 0, "seconds; without one there is none")
)

// text is an argument as a form has it.
func (c *call) text(name string) string {
	var text string
	if json.Unmarshal(c.Args[name], &text) == nil {
		return text
	}
	return string(c.Args[name])
}

func client() *http.Client {
	return &http.Client{Timeout: time.Duration(*timeout * float64(time.Second))}
}

// slackGo sends through the SDK.
func slackGo() sender {
	options := []slack.Option{slack.OptionAPIURL(*baseURL)}
	if *timeout > 0 {
		options = append(options, slack.OptionHTTPClient(client()))
	}
	api := slack.New(*token, options...)
	return func(c *call, _ *outcome) error {
		switch c.Method {
		case "conversations.list":
			_, _, err := api.GetConversations(&slack.GetConversationsParameters{Limit: 200})
			return err
		case "chat.postMessage":
			_, _, err := api.PostMessage(c.text("channel"), slack.MsgOptionText(c.text("text"), false))
			return err
		case "views.open":
			_, err := api.OpenView(c.text("trigger_id"), slack.ModalViewRequest{Type: slack.VTModal})
			return err
		case "webhook":
			message := &slack.WebhookMessage{Text: c.text("text")}
			return slack.PostWebhook(strings.TrimSuffix(*baseURL, "/api/")+c.text("path"), message)
		}
		return fmt.Errorf("this driver has no %s", c.Method)
	}
}

// netHTTP sends a form.
func netHTTP() sender { return plain(client(), "") }

// grafana sends as Grafana's contact point does, which is not to be had: receivers/slack/v1/slack.go of
// https://github.com/grafana/alerting has an http.Client with a time-out of 30 s, and this User-Agent.
func grafana() sender {
	if *timeout == 0 {
		*timeout = 30
	}
	return plain(client(), "Grafana")
}

func plain(client *http.Client, userAgent string) sender {
	return func(c *call, came *outcome) error {
		target, kind, body := *baseURL+c.Method, "application/x-www-form-urlencoded", ""
		if c.Method == "webhook" {
			target, kind = strings.TrimSuffix(*baseURL, "/api/")+c.text("path"), "application/json"
			body = fmt.Sprintf(`{"text":%s}`, c.Args["text"])
		} else {
			form := url.Values{}
			for name := range c.Args {
				form.Set(name, c.text(name))
			}
			body = form.Encode()
		}
		request, err := http.NewRequest("POST", target, strings.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+*token)
		request.Header.Set("Content-Type", kind)
		if userAgent != "" {
			request.Header.Set("User-Agent", userAgent)
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		came.Status = answer.StatusCode
		said, err := io.ReadAll(answer.Body)
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(said, []byte("{")) {
			came.OK = came.Status == 200
			return nil
		}
		return json.Unmarshal(said, came)
	}
}

func main() {
	senders := map[string]func() sender{"slack-go": slackGo, "net-http": netHTTP, "grafana": grafana}
	name := os.Args[1]
	if err := flag.CommandLine.Parse(os.Args[2:]); err != nil {
		os.Exit(2)
	}
	send := senders[name]()

	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	var writing sync.Mutex
	say := func(line any) {
		writing.Lock()
		defer writing.Unlock()
		_ = out.Encode(line)
	}
	ready := "net/http, " + runtime.Version()
	if name == "grafana" {
		ready = "as Grafana sends, " + runtime.Version()
	} else if name == "slack-go" {
		ready = fmt.Sprintf("slack-go %s, %s", version, runtime.Version())
	}
	say(map[string]string{"ready": ready})

	answered := map[int]chan struct{}{}
	var all sync.WaitGroup
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		c := &call{}
		if err := json.Unmarshal(lines.Bytes(), c); err != nil {
			panic(err)
		}
		var before chan struct{}
		if c.After != nil {
			before = answered[*c.After]
		}
		done := make(chan struct{})
		answered[c.ID] = done
		all.Add(1)
		go func() {
			defer all.Done()
			defer close(done)
			if before != nil {
				<-before
			}
			came := &outcome{Start: time.Now().UnixMilli()}
			err := send(c, came)
			came.ID, came.Method, came.Args = c.ID, c.Method, c.Args
			var limited *slack.RateLimitedError
			switch {
			case errors.As(err, &limited):
				came.Error, came.Status, came.Kind, came.Detail = "ratelimited", 429, "RateLimitedError", err.Error()
			case err != nil:
				came.Error, came.Kind, came.Detail = err.Error(), fmt.Sprintf("%T", err), err.Error()
			case name == "slack-go":
				came.OK, came.Status = true, 200
			}
			came.End = time.Now().UnixMilli()
			say(came)
		}()
	}
	all.Wait()
}
