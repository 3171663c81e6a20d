import { describe, expect, it } from '@jest/globals';
import { filesCode } from '../../../src/cli/completion/shells.js';
import { FakeClient, leaseAnswer, memberView, play, statusView, unreachable } from './play.js';

const client = (): FakeClient => {
  const made = new FakeClient();
  made.view = statusView({
    members: [memberView('batch-0001-abcd'), memberView('batch-0002-efgh', { state: 'Busy' })],
    leases: [leaseAnswer({ job: '12.server', user: 'alice' })],
    requests: [leaseAnswer({ job: '13[1].server', user: 'bob', state: 'waiting', vm: null })],
  });
  return made;
};
const words = async (...typed: string[]): Promise<readonly string[]> => {
  const { code, out, err } = await play(['words', '--', ...typed], client());
  expect(err).toBe('');
  return code === filesCode ? ['a file'] : out.split('\n').flatMap((line) => line.split('\t')[0] || []);
};

describe('what may stand next on the command line', () => {
  it.each([
    ['commands that begin so', ['un'], ['unhold', 'undrain']],
    ['commands below one', ['vm', ''], ['show', 'help']],
    ['options', ['status', '--to'], ['--token-file']],
    ['VMs', ['hold', 'batch-0001'], ['batch-0001-abcd']],
    [
      'VMs after an option with a value',
      ['hold', '--reason', 'vm', 'b'],
      ['batch-0001-abcd', 'batch-0002-efgh'],
    ],
    ['jobs', ['why', ''], ['12.server', '13[1].server']],
    ['jobs of an option', ['events', '--job', '12'], ['12.server']],
    ['pools', ['status', '--pool', ''], ['batch']],
    ['pools, as zsh and fish have it', ['status', '--pool=b'], ['--pool=batch']],
    ['pools, as bash has it', ['status', '--pool', '=', 'b'], ['batch']],
    ['choices of an argument', ['completion', ''], ['bash', 'zsh', 'fish']],
    ['a file', ['apply', ''], ['a file']],
    ['a file of an option', ['check', '--config', '/etc/vmp'], ['a file']],
    ['nothing where nothing is known', ['drain', '--reason', ''], []],
    ['nothing beyond the last argument', ['why', '12.server', ''], []],
    ['nothing after a command that is none', ['nonsense', ''], []],
    ['what a job runs is not ours', ['run', '--', '--to'], []],
    ['nothing that is hidden', ['word'], []],
  ])('%s', async (_what, typed, expected) => {
    const found = await words(...typed);
    expect([...found].sort()).toEqual([...expected].sort());
  });

  it('has what it means beside it', async () => {
    const { out } = await play(['words', '--', 'hold', 'batch-0002'], client());
    expect(out).toBe('batch-0002-efgh\tBusy\n');
  });

  it('is nothing, and no error, where the service does not answer', async () => {
    const away = new FakeClient();
    away.failure = unreachable();
    expect(await play(['words', '--', 'hold', ''], away)).toMatchObject({ code: 0, out: '', err: '' });
  });

  it('is every command that there is', async () => {
    const { out } = await play(['--help']);
    const listed = [...out.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name);
    const [found] = [await words('')];
    expect(found.length).toBeGreaterThan(35);
    expect(listed).toEqual(expect.arrayContaining(found.filter((name) => name !== 'help')));
  });
});
