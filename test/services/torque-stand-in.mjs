#!/usr/bin/env node
/**
 * Stands in for Torque's qmgr and pbsnodes, by the name under which it is called. It takes nothing outside this grammar,
 * which is what TORQUE 6.1 takes of it, and refuses the rest with a code other than 0:
 *
 *   qmgr     = "qmgr" "-c" command
 *   command  = "set" " node " name " np = " number
 *            | "set" " node " name " properties " ( "+=" | "-=" ) " " word
 *   pbsnodes = "pbsnodes" name
 *
 * Unknown nodes, np = 0, an np that takes a processor from under a job, a property twice or one that is not there are
 * refused too. State: TORQUE_STATE, `{ down, refuses?, nodes: { NAME: { np, properties: [], jobs: { PROCESSOR: JOB } } }, calls: [] }`.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';

const path = process.env.TORQUE_STATE;
const state = JSON.parse(readFileSync(path, 'utf8'));
const refuse = (why, code = 1) => {
  console.error(`${basename(process.argv[1])}: ${why}`);
  process.exit(code);
};
const save = () => {
  writeFileSync(`${path}.${process.pid}`, JSON.stringify(state));
  renameSync(`${path}.${process.pid}`, path);
};
const nodeOf = (name) => {
  if (!Object.hasOwn(state.nodes, name)) refuse(`Unknown node  MSG=cannot locate specified node ${name}`, 15);
  return state.nodes[name];
};
const args = process.argv.slice(2);
if (state.down) refuse('cannot connect to server torque (errno=111) Connection refused', 3);

if (basename(process.argv[1]) === 'pbsnodes') {
  if (args.length !== 1 || !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(args[0]))
    refuse(`usage: ${args.join(' ')}`, 2);
  const { np, properties, jobs } = nodeOf(args[0]);
  const busy = Object.entries(jobs).map(([processor, job]) => `${processor}/${job}`);
  console.log(args[0]);
  console.log(`     state = ${busy.length === 0 ? 'free' : 'job-exclusive'}`);
  console.log('     power_state = Running');
  console.log(`     np = ${np}`);
  if (properties.length > 0) console.log(`     properties = ${properties.join(',')}`);
  console.log('     ntype = cluster');
  if (busy.length > 0) console.log(`     jobs = ${busy.join(state.old ? ', ' : ',')}`);
  console.log('     status = opsys=linux,jobs=99/none,np=77');
  console.log('     mom_service_port = 15002');
} else if (basename(process.argv[1]) === 'qmgr') {
  if (args.length !== 2 || args[0] !== '-c') refuse(`usage: ${args.join(' ')}`, 2);
  const set =
    /^set node ([A-Za-z0-9][A-Za-z0-9._-]*) (?:np = ([1-9][0-9]*)|properties (\+=|-=) ([A-Za-z0-9_.:-]+))$/.exec(
      args[1],
    );
  if (set === null) refuse(`Syntax error: ${args[1]}`, 2);
  if (state.refuses !== undefined && new RegExp(state.refuses).test(args[1]))
    refuse('Unauthorized Request', 1);
  const [, name, np, operator, word] = set;
  const node = nodeOf(name);
  if (np !== undefined) {
    const highest = Math.max(
      -1,
      ...Object.keys(node.jobs)
        .flatMap((key) => key.split(/[-,]/))
        .map(Number),
    );
    if (Number(np) <= highest) refuse(`a job sits on processor ${highest} of ${name}`, 1);
    node.np = Number(np);
  } else if (operator === '+=') {
    if (node.properties.includes(word)) refuse(`${name} has the property ${word} already`, 1);
    node.properties.push(word);
  } else {
    if (!node.properties.includes(word)) refuse(`${name} has no property ${word}`, 1);
    node.properties = node.properties.filter((each) => each !== word);
  }
  state.calls.push(args[1]);
  save();
} else refuse('called by another name', 2);
