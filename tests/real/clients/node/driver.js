// Drives the Node SDK as the runner's lines on stdin ask for.
//
// A line is one call: {"id": 1, "method": "chat.postMessage", "args": {…}, "after": 0}. It starts
// at once, beside all others, or as soon as the call `after` has been answered. Each answer is a
// line on stdout. At the end of stdin the driver waits for what is still under way and exits.
//
// `form` says how the arguments travel: a multipart call has a file, everything else is a form. The
// method `webhook` is that of @slack/webhook.
//
// Without --retry the SDK's own retries are off: what the proxy lets through to it, the runner sees. With
// --defaults all is as the SDK has it. --web-api chooses its version, and --minute says how long one of
// Slack's minutes takes here, in seconds: what the SDK waits for is as much shorter.
'use strict';

const path = require('node:path');
const readline = require('node:readline');
const { createRequire } = require('node:module');
const { parseArgs } = require('node:util');

// The packages are installed under target/, away from the sources.
const packages = createRequire(path.join(process.env.SDK_TEST_NODE_DIR, 'package.json'));
const { IncomingWebhook } = packages('@slack/webhook');

const { values: options } = parseArgs({
  options: {
    'base-url': { type: 'string' },
    token: { type: 'string' },
    timeout: { type: 'string' },
    retry: { type: 'boolean', default: false },
    defaults: { type: 'boolean', default: false },
    'web-api': { type: 'string', default: '8' },
    minute: { type: 'string', default: '60' },
  },
});

const webApi = { 7: 'web-api-7', 8: '@slack/web-api' }[options['web-api']];
const { WebClient, LogLevel, WebClientEvent, retryPolicies } = packages(webApi);

const SCALE = Number(options.minute) / 60;
const HEADERS_TIMEOUT = 300_000; // of fetch, below version 8

// fetch as it is, but for the time-out: its promise is kept when the headers are here.
async function fetchInScaledTime(url, init) {
  const giveUp = new AbortController();
  const timer = setTimeout(() => giveUp.abort(), HEADERS_TIMEOUT * SCALE);
  try {
    return await fetch(url, { ...init, signal: giveUp.signal });
  } finally {
    clearTimeout(timer);
  }
}

function clientOptions() {
  const common = { slackApiUrl: options['base-url'], logLevel: LogLevel.ERROR };
  if (options.defaults) {
    if (SCALE === 1) {
      return common;
    }
    const retryConfig = { ...retryPolicies.tenRetriesInAboutThirtyMinutes, minTimeout: 1000 * SCALE };
    const scaled = { ...common, retryConfig };
    return options['web-api'] === '8' ? { ...scaled, fetch: fetchInScaledTime } : scaled;
  }
  return {
    ...common,
    maxRequestConcurrency: 10_000,
    rejectRateLimitedCalls: !options.retry,
    retryConfig: { retries: options.retry ? 3 : 0 },
    timeout: Number(options.timeout ?? 0) * 1000, // the SDK's default is 0: it waits for ever
  };
}

const client = new WebClient(options.token, clientOptions());

// How often calls with the same arguments have been refused with a 429, of the SDK's own knowledge.
const limited = new Map();
const nameOf = ({ team_id, ...args }) => JSON.stringify(args);
client.on(WebClientEvent.RATE_LIMITED, (_seconds, { body }) => {
  limited.set(nameOf(body), (limited.get(nameOf(body)) ?? 0) + 1);
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

function send({ method, args, form }) {
  if (method === 'webhook') {
    const { path: rest, ...message } = args;
    const origin = options['base-url'].replace(/\/api\/$/, '');
    return new IncomingWebhook(`${origin}${rest}`).send(message);
  }
  if (form === 'multipart') {
    return client.apiCall(method, { ...args, file: Buffer.from('channel=C0&text=a+file') });
  }
  // `chat.postMessage` is `client.chat.postMessage`.
  const [name, ...families] = method.split('.').reverse();
  const family = families.reverse().reduce((object, part) => object[part], client);
  return family[name](args);
}

async function run(call, before) {
  await before;
  const start = Date.now();
  let outcome;
  try {
    await send(call);
    outcome = { ok: true, error: null, status: 200 };
  } catch (error) {
    outcome = failed(error);
  }
  const { id, method, args } = call;
  say({ id, method, args, ...outcome, limited: limited.get(nameOf(args)) ?? 0, start_ms: start, end_ms: Date.now() });
}

async function main() {
  say({ ready: `@slack/web-api ${packages(`${webApi}/package.json`).version}, node ${process.version}` });
  const answered = new Map();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const call = JSON.parse(line);
    answered.set(call.id, run(call, answered.get(call.after)));
  }
  await Promise.all(answered.values());
}

main();
