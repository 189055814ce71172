// A Bolt for JavaScript app, pointed at the proxy as the README says. It prints where it listens.
//
// The slash command `/post` has it post a message and answer through `respond()` as many times as
// the command's text says; a mention has it post a message. What `respond()` came to is posted in
// the end.
'use strict';

const path = require('node:path');
const { createRequire } = require('node:module');
const { parseArgs } = require('node:util');

// The packages are installed under target/, away from the sources.
const packages = createRequire(path.join(process.env.SDK_TEST_NODE_DIR, 'package.json'));
const { App, LogLevel } = packages('@slack/bolt');

const text = { type: 'string' };
const { values: options } = parseArgs({ options: { proxy: text, token: text, 'signing-secret': text } });

const fetchThroughSlackwater = (url, init) =>
  fetch(String(url).replace('https://hooks.slack.com/', `${options.proxy}/`), init);

const app = new App({
  token: options.token,
  signingSecret: options['signing-secret'],
  logLevel: LogLevel.ERROR,
  clientOptions: { slackApiUrl: `${options.proxy}/api/`, fetch: fetchThroughSlackwater },
});

app.command('/post', async ({ ack, command, client, respond }) => {
  await ack();
  await client.chat.postMessage({ channel: command.channel_id, text: 'posted' });
  const said = [];
  for (let n = 0; n < Number(command.text); n += 1) {
    said.push(await respond(`answer ${n}`).then((answer) => answer.status, (error) => error.statusCode ?? String(error)));
  }
  await client.chat.postMessage({ channel: command.channel_id, text: JSON.stringify(said) });
});

app.event('app_mention', async ({ say }) => {
  await say('you called');
});

async function main() {
  const server = await app.start({ port: 0, host: '127.0.0.1' });
  const { version } = packages('@slack/bolt/package.json');
  process.stdout.write(`${JSON.stringify({ ready: `@slack/bolt ${version}`, port: server.address().port })}\n`);
}

main();
