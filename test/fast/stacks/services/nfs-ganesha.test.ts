import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ganeshaExports, ganeshaSettings } from '../../../../stacks/services/nfs-ganesha.js';
import { serviceInput, serviceMember } from '../../../support/service-host.js';

const parse = (changes: object) =>
  ganeshaSettings.safeParse({
    type: 'nfs-ganesha',
    host: 'local',
    exports: [{ id: 77, path: '/srv/scratch', pseudo: '/scratch', ...changes }],
  });
const settings = (changes: object = {}) => ganeshaSettings.parse(parse(changes).data);

describe('the export blocks of NFS-Ganesha', () => {
  it('give nothing to anybody but the members and those named in the settings', () => {
    const given = settings({
      access: 'RO',
      also: ['10.1.0.0/16'],
      parameters: { Protocols: '3,4', Anonymous_uid: '65534' },
      fsal: 'MEM',
      fsalParameters: { Async_Type: 'NONE' },
    });
    const members = [serviceMember(1, { addresses: ['10.0.0.1', 'fd00::1'] }), serviceMember(2)];
    expect(ganeshaExports(given, serviceInput(0, { members }), 'batch-svc-files'))
      .toBe(`# vmpool:batch-svc-files writes this file; changes by hand are lost.
EXPORT {
  Export_Id = 77;
  Path = "/srv/scratch";
  Pseudo = "/scratch";
  Protocols = 3,4;
  SecType = sys;
  Squash = Root_Squash;
  Access_Type = None;
  Anonymous_uid = 65534;
  FSAL {
    Name = MEM;
    Async_Type = NONE;
  }
  CLIENT { Clients = 10.1.0.0/16; Access_Type = RO; } # always
  CLIENT { Clients = 10.0.0.1, fd00::1; Access_Type = RO; } # batch-1-abcd
  CLIENT { Clients = 127.0.0.3; Access_Type = RO; } # batch-2-abcd
}
`);
  });

  it('have one block and one access for all that the settings let in', () => {
    const word = fc.string({ unit: 'binary', maxLength: 20 });
    fc.assert(
      fc.property(word, word, word, (path, key, value) => {
        const parsed = parse({ path: `/${path}`, pseudo: '/x', parameters: { [key]: value } });
        if (!parsed.success) return;
        const text = ganeshaExports(parsed.data, serviceInput(1), 'id');
        expect(text.match(/[{}]/g)).toHaveLength(6);
        expect(text.match(/Access_Type/gi)?.length).toBeLessThanOrEqual(3);
        expect(text.split('\n').every((line) => /^(#.*|EXPORT \{|}|\s+.*[;{}]( # .*)?|)$/.test(line))).toBe(
          true,
        );
      }),
    );
  });

  it('refuse settings that would widen what we wrote', () => {
    for (const changes of [
      { parameters: { Access_Type: 'RW' } },
      { parameters: { access_type: 'RW' } },
      { parameters: { Path: '/etc' } },
      { parameters: { X: '1; Access_Type = RW' } },
      { path: '/srv/a"b' },
      { also: ['*'] },
    ])
      expect(parse(changes).success).toBe(false);
  });
});
