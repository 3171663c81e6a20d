import { describe, expect, it } from '@jest/globals';
import { figureTarget, gangliaConfig, gangliaSettings } from '../../../../stacks/services/ganglia.js';
import { serviceInput, serviceMember } from '../../../support/service-host.js';

const settings = (changes: object = {}): ReturnType<typeof gangliaSettings.parse> =>
  gangliaSettings.parse({ type: 'ganglia', host: 'local', ...changes });
const config = (changes: object = {}, members = [serviceMember(1)]): { text: string; url: string } =>
  gangliaConfig(settings(changes), serviceInput(0, { members }), 'batch-svc-ganglia');

const far = {
  address: 'monitor.example.org',
  keyFile: '/etc/vmpool/service-key',
  hostKey: `ssh-ed25519 ${'A'.repeat(68)}`,
};

describe("the collector's file", () => {
  it('lets in the members and the vmpool service, each once, and nobody else', () => {
    const { text } = config({}, [serviceMember(1), serviceMember(2), serviceMember(1)]);
    expect(text.split('\n')[0]).toContain('vmpool:batch-svc-ganglia ');
    expect(text.match(/access \{ ip = "[^"]*" mask = 32 action = "allow" \}/g)).toEqual(
      ['127.0.0.1', '127.0.0.2', '127.0.0.3'].map(
        (ip) => `access { ip = "${ip}" mask = 32 action = "allow" }`,
      ),
    );
    expect(text).toContain('default = "deny"');
    expect(text).not.toContain('inet6');
  });

  it('has a channel for each family that a member has', () => {
    const { text } = config({}, [serviceMember(1, { addresses: ['10.0.0.1', 'fd00::1'] })]);
    expect(text).toMatch(/family = inet6[^]*ip = "fd00::1" mask = 128/);
    expect(text).toMatch(/family = inet4[^]*ip = "10\.0\.0\.1" mask = 32/);
  });

  it('shows by its URL which file it is: the same for the same members, another for others', () => {
    expect(config().url).toBe(config().url);
    expect(config().text).toContain(`url = "${config().url}"`);
    expect(config({}, [serviceMember(2)]).url).not.toBe(config().url);
    expect(config({ extra: '# x' }).url).not.toBe(config().url);
  });

  it('takes no name that could end its string, nor an attribute of the XML that gmond does not escape', () => {
    for (const cluster of ['a"b', "a'b", 'a\\', 'a<b', 'a&b', '${HOME}', 'a\nb'])
      expect(gangliaSettings.safeParse({ type: 'ganglia', host: 'local', cluster }).success).toBe(false);
  });
});

describe('where the figures go', () => {
  it('is this machine for a local collector, and another one only when it is said as whom it sees the service', () => {
    expect(figureTarget(settings())).toEqual({ address: '127.0.0.1', port: 8660, from: '127.0.0.1' });
    expect(figureTarget(settings({ host: far }))).toBeNull();
    expect(figureTarget(settings({ host: far, metricsFrom: '192.0.2.9' }))).toEqual({
      ...{ address: 'monitor.example.org', port: 8660, from: '192.0.2.9' },
    });
  });
});
