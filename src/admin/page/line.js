// The line to the server: tells what comes, and says when nothing does.

/** Without an event for so long the line counts as cut; after longer it is made anew. */
const SILENT = 4_000;
const DEAD = 12_000;
const LOOK = 500;
const AGAIN = 2_000;

/**
 * Watches until the page is closed. `told` gets the name and the data of each event, `cut` a sentence
 * when the line is cut and nothing when it stands again.
 */
export function watch(told, cut) {
  let source = null;
  let heard = performance.now();
  let again = null;

  const open = () => {
    again = null;
    source?.close();
    heard = performance.now();
    source = new EventSource("events");
    for (const name of ["history", "picture"]) {
      source.addEventListener(name, (event) => {
        heard = performance.now();
        told(name, JSON.parse(event.data));
        if (name === "picture") cut("");
      });
    }
    source.addEventListener("error", async () => {
      cut("The line to slackwater is cut.");
      // It comes back by itself, but not after a refusal.
      if (source.readyState !== EventSource.CLOSED || again) return;
      again = setTimeout(open, AGAIN);
      const refusal = await refused();
      if (refusal) cut(refusal);
    });
  };

  setInterval(() => {
    const silent = performance.now() - heard;
    if (silent > SILENT) cut("slackwater says nothing any more.");
    if (silent > DEAD && !again) open();
  }, LOOK);
  // A page that comes back from the background must not wait for a timer that slept.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && !again && performance.now() - heard > SILENT) open();
  });
  open();
}

/** What the server says to one more watcher; nothing if it lets it in or is not there. */
async function refused() {
  const end = new AbortController();
  try {
    const answer = await fetch("events", { signal: end.signal });
    if (answer.ok) return "";
    return (await answer.json()).message ?? "";
  } catch {
    return "";
  } finally {
    end.abort();
  }
}
