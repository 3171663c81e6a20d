#!/usr/bin/env node
/**
 * The floor under a durable answer: a bare Express route that writes as many bytes as one commit does, makes them
 * durable (write, fsync, rename) and answers. Calls that come meanwhile share the next write, as commits do.
 *
 *   node bench/scale/floor.mjs DIRECTORY BYTES
 */
import express from 'express';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';

const [dir = '', bytesText = '0'] = process.argv.slice(2);
const data = Buffer.alloc(Number(bytesText), 120);
const write = async () => {
  const handle = await open(join(dir, 'floor.tmp'), 'w');
  await handle.writeFile(data);
  await handle.sync();
  await handle.close();
  await rename(join(dir, 'floor.tmp'), join(dir, 'floor'));
};
let running = null;
let next = null;
const durable = () => {
  if (running === null) {
    running = write().finally(() => (running = null));
    return running;
  }
  next ??= running.then(() => {
    next = null;
    return durable();
  });
  return next;
};
const app = express();
app.post('/', express.json({ limit: 1_048_576 }), async (request, response) => {
  await durable();
  response.status(201).json({ ok: true, job: request.body.job });
});
app.post('/bare', express.json({ limit: 1_048_576 }), (request, response) => {
  response.status(201).json({ ok: true, job: request.body.job });
});
const server = app.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}` }));
});
process.on('SIGTERM', () => process.exit(0));
