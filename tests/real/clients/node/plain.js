// Drives an HTTP client of Node that is no SDK, as the runner's lines on stdin ask for.
//
// The lines are those of driver.js. Every call is a POST of a form, and nothing but the time-out is set, where one
// is given. `webhook` posts its `text` as JSON.
'use strict';

const path = require('node:path');
const readline = require('node:readline');
const { createRequire } = require('node:module');
const { parseArgs } = require('node:util');

// The packages are installed under target/, away from the sources.
const packages = createRequire(path.join(process.env.SDK_TEST_NODE_DIR, 'package.json'));

const { values: options, positionals: [client] } = parseArgs({
  allowPositionals: true,
  options: { 'base-url': { type: 'string' }, token: { type: 'string' }, timeout: { type: 'string' } },
});
const timeout = options.timeout === undefined ? undefined : Number(options.timeout) * 1000;

// Each sends a POST, and returns status and body.
const CLIENTS = {
  fetch: () => ({ version: `fetch of Node ${process.version}`, send: byFetch(fetch) }),
  undici() {
    return { version: `undici ${packages('undici/package.json').version}`, send: byFetch(packages('undici').fetch) };
  },
  axios() {
    const axios = packages('axios');
    const more = timeout === undefined ? {} : { timeout };
    return {
      version: `axios ${axios.VERSION}`,
      async send(url, headers, body) {
        const answer = await axios.post(url, body, { headers, validateStatus: null, responseType: 'text', ...more });
        return [answer.status, answer.data];
      },
    };
  },
  'node-fetch'() {
    const nodeFetch = packages('node-fetch');
    const more = timeout === undefined ? {} : { timeout };
    const version = `node-fetch ${packages('node-fetch/package.json').version}`;
    return { version, send: (url, headers, body) => read(nodeFetch(url, { method: 'POST', headers, body, ...more })) };
  },
};

// Its time-out is that of its agent: until the headers are here. A shorter one is made of a signal.
function byFetch(itsFetch) {
  return async (url, headers, body) => {
    if (timeout === undefined) {
      return read(itsFetch(url, { method: 'POST', headers, body }));
    }
    const giveUp = new AbortController();
    const timer = setTimeout(() => giveUp.abort(), timeout);
    try {
      return await read(itsFetch(url, { method: 'POST', headers, body, signal: giveUp.signal }));
    } finally {
      clearTimeout(timer);
    }
  };
}

async function read(promise) {
  const answer = await promise;
  return [answer.status, await answer.text()];
}

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const { version, send } = CLIENTS[client]();

function request({ method, args }) {
  if (method === 'webhook') {
    const origin = options['base-url'].replace(/\/api\/$/, '');
    return [origin + args.path, { 'content-type': 'application/json' }, JSON.stringify({ text: args.text })];
  }
  const form = new URLSearchParams();
  for (const [name, value] of Object.entries(args)) {
    form.set(name, typeof value === 'string' ? value : JSON.stringify(value));
  }
  const headers = {
    authorization: `Bearer ${options.token}`,
    'content-type': 'application/x-www-form-urlencoded',
  };
  return [options['base-url'] + method, headers, form.toString()];
}

async function run(call, before) {
  await before;
  const start = Date.now();
  let outcome;
  try {
    const [status, body] = await send(...request(call));
    const said = body.startsWith('{') ? JSON.parse(body) : { ok: status === 200 };
    outcome = { ok: said.ok, error: said.error ?? null, status, kind: null, detail: body.slice(0, 200) };
  } catch (error) {
    const detail = `${error.message} ${error.cause?.message ?? ''}`;
    outcome = { ok: false, error: null, status: null, kind: error.name, detail };
  }
  const { id, method, args } = call;
  say({ id, method, args, ...outcome, start_ms: start, end_ms: Date.now() });
}

async function main() {
  say({ ready: version });
  const answered = new Map();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const call = JSON.parse(line);
    answered.set(call.id, run(call, answered.get(call.after)));
  }
  await Promise.all(answered.values());
}

main();
