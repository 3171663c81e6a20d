#!/usr/bin/env node
/**
 * Bare SSH responders: an SSH server at each of the addresses that the embedded cloud gives to servers without machines,
 * which answers the service's scripts as an empty VM would, at once. What is measured over them is the service's own part,
 * its SSH included. Says where it listens in a line of JSON; ends on SIGTERM.
 *
 *   node bench/vms/responder.mjs FIRST-ADDRESS COUNT HOST-KEY-FILE
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { gzipSync } from 'node:zlib';
import ssh2 from 'ssh2';
import { ipToNumber, numberToIp } from '../../dist/src/embedded/network/addresses.js';
import { guestScript } from '../../dist/src/guest/scripts.js';
import { shellWord } from '../../dist/src/guest/quote.js';
import { bootIdOf } from './boot-id.mjs';

const [firstAddress = '', countText = '0', keyFile = ''] = process.argv.slice(2);
const hostKeys = [readFileSync(keyFile)];
const markerField = 12;
const survey = gzipSync(
  ['boot\t-', 'self\t1', 'firewall\t', `tree\t${'0'.repeat(64)}`, 'end', ''].join('\0'),
);

/** By the text that the service sends for it. */
const answers = new Map(
  Object.entries({
    probe: (vm) => `boot ${bootIdOf(vm.address)}\nmarker ${vm.marker ?? '-'}\nend\n`,
    contract: () => `clock ${Math.floor(Date.now() / 1000)}\nend\n`,
    welcome: () => 'ok\n',
    stage: (vm, input) => {
      vm.marker = input.split('\0')[markerField] ?? null;
      return 'ok\n';
    },
    scrub: (vm) => {
      vm.marker = null;
      return 'ok\n';
    },
    measure: () => 'ok\n',
    survey: () => survey,
  }).map(([name, answer]) => [shellWord(guestScript(name)), answer]),
);
const answerTo = (command) => [...answers].find(([script]) => command.includes(script))?.[1];

const serve = (vm) => {
  // No keepalives of its own, as OpenSSH's has none unless its administrator wants them. This one takes no for an answer
  // only as the longest of all periods.
  const server = new ssh2.Server({ hostKeys, keepaliveInterval: 2 ** 31 - 1 }, (client) => {
    client.on('error', () => undefined);
    client.on('authentication', (login) => {
      if (login.method === 'publickey') login.accept();
      else login.reject(['publickey']);
    });
    client.on('session', (accept) => {
      accept().on('exec', (acceptExec, reject, { command }) => {
        const answer = answerTo(command);
        if (answer === undefined) return reject();
        const channel = acceptExec();
        const chunks = [];
        channel.on('data', (chunk) => chunks.push(chunk));
        channel.on('end', () => {
          channel.write(answer(vm, Buffer.concat(chunks).toString()));
          channel.exit(0);
          channel.end();
        });
      });
    });
  });
  return new Promise((resolve, reject) => {
    // As OpenSSH's does: what answers in several small packets would wait 40 ms for the caller's delayed ACK of the first.
    const sockets = createServer({ noDelay: true }, (socket) => server.injectSocket(socket));
    sockets.once('error', reject);
    sockets.listen(22, vm.address, resolve);
  });
};
const vms = Array.from({ length: Number(countText) }, (_, n) => ({
  ...{ address: numberToIp(ipToNumber(firstAddress) + n), marker: null },
}));
await Promise.all(vms.map(serve));
console.log(JSON.stringify({ listening: vms.length }));
process.once('SIGTERM', () => process.exit(0));
