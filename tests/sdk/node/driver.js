// Drives the Node SDK as the runner's lines on stdin ask for.
//
// A line is one call: {"id": 1, "method": "chat.postMessage", "args": {…}, "after": 0}. It starts
// at once, beside all others, or as soon as the call `after` has been answered. Each answer is a
// line on stdout. At the end of stdin the driver waits for what is still under way and exits.
//
// The SDK's own retries are off: what the proxy lets through to the SDK, the runner sees.
'use strict';

const path = require('node:path');
const readline = require('node:readline');
const { createRequire } = require('node:module');
const { parseArgs } = require('node:util');

// The packages are installed under target/, away from the sources.
const packages = createRequire(path.join(process.env.SDK_TEST_NODE_DIR, 'package.json'));
const { WebClient, LogLevel } = packages('@slack/web-api');

const { values: options } = parseArgs({
  options: { 'base-url': { type: 'string' }, token: { type: 'string' }, timeout: { type: 'string' } },
});

const client = new WebClient(options.token, {
  slackApiUrl: options['base-url'],
  maxRequestConcurrency: 10_000,
  rejectRateLimitedCalls: true,
  retryConfig: { retries: 0 },
  logLevel: LogLevel.ERROR,
  timeout: Number(options.timeout ?? 0) * 1000, // the SDK's default is 0: it waits for ever
});

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

function failed(error) {
  const status = { slack_webapi_platform_error: 200, slack_webapi_rate_limited_error: 429 }[error.code];
  const rateLimited = error.code === 'slack_webapi_rate_limited_error';
  return {
    ok: false,
    kind: error.name,
    error: rateLimited ? 'ratelimited' : (error.data?.error ?? error.body?.error ?? null),
    status: status ?? error.statusCode ?? null,
    detail: `${error.message} ${JSON.stringify(error.data ?? error.body ?? null)}`,
  };
}

async function run(call, before) {
  await before;
  const start = Date.now();
  let outcome;
  try {
    // `chat.postMessage` is `client.chat.postMessage`.
    const [name, ...families] = call.method.split('.').reverse();
    const family = families.reverse().reduce((object, part) => object[part], client);
    await family[name](call.args);
    outcome = { ok: true, error: null, status: 200 };
  } catch (error) {
    outcome = failed(error);
  }
  const { id, method, args } = call;
  say({ id, method, args, ...outcome, start_ms: start, end_ms: Date.now() });
}

async function main() {
  say({ ready: `@slack/web-api ${packages('@slack/web-api/package.json').version}, node ${process.version}` });
  const answered = new Map();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const call = JSON.parse(line);
    answered.set(call.id, run(call, answered.get(call.after)));
  }
  await Promise.all(answered.values());
}

main();
