// An HTTPS server that speaks HTTP/2 and HTTP/1.1, and answers every call with what was spoken.
//
//   node https.js KEY CERTIFICATE

'use strict';

const { readFileSync } = require('node:fs');
const { createSecureServer } = require('node:http2');

const [key, cert] = process.argv.slice(2).map((file) => readFileSync(file));
const server = createSecureServer({ key, cert, allowHTTP1: true }, (request, response) => {
  request.resume();
  request.on('end', () => {
    response.setHeader('content-type', 'application/json');
    const { httpVersion: version, headers } = request;
    response.end(JSON.stringify({ ok: true, version, host: headers.host ?? headers[':authority'] }));
  });
});
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
