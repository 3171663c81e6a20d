import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';

import { ProviderProcess } from './provider-process.js';

jest.setTimeout(60_000);

let plugin: ProviderProcess;

beforeAll(async () => {
  plugin = await ProviderProcess.start('openstack', '3.15.2', {
    OS_CLOUD: 'site',
    OS_REGION_NAME: 'north',
    OS_INSECURE: 'true',
    OS_PASSWORD: 'hushhush',
    OS_AUTH_URL: 'http://127.0.0.1:9/v3',
  });
});
afterAll(async () => {
  await plugin.close();
});

describe('the settings of the openstack plugin', () => {
  it('that come from the environment are accepted, and stay out of the state', async () => {
    expect(await plugin.checkConfig({})).toEqual({ inputs: {}, failures: [] });
  });

  it('that the program gives are kept', async () => {
    expect((await plugin.checkConfig({ region: 'south' })).inputs).toEqual({ region: 'south' });
  });

  it('that do not exist are refused by name', async () => {
    expect((await plugin.checkConfig({ regoin: 'south' })).failures.join()).toMatch(/regoin/);
  });
});

describe('the inputs of openstack resources', () => {
  it('get a name made of the resource name where they have none, and keep the one they have', async () => {
    const instance = 'openstack:compute/instance:Instance';
    expect((await plugin.check(instance, { flavorName: 'small', imageName: 'test' })).inputs['name']).toMatch(
      /^thing-[0-9a-f]{7}$/,
    );
    expect((await plugin.check(instance, { name: 'vm-1', flavorName: 'small' })).inputs['name']).toBe('vm-1');
  });

  it('are taken in the shapes of the npm package where these differ from the Terraform ones', async () => {
    const group = await plugin.check('openstack:compute/serverGroup:ServerGroup', { policies: ['soft-anti-affinity'] });
    expect(group.failures).toEqual([]);
    expect(group.inputs['policies']).toEqual(['soft-anti-affinity']);

    const subnet = await plugin.check('openstack:networking/subnet:Subnet', {
      networkId: 'n',
      cidr: '10.0.0.0/24',
      allocationPools: [{ start: '10.0.0.2', end: '10.0.0.9' }],
    });
    expect(subnet.failures).toEqual([]);

    const numbers = await plugin.check('openstack:compute/instance:Instance', { metadata: { generation: 3 } });
    expect(numbers.failures).toEqual([]);
  });

  it('are refused by name when the provider does not know them', async () => {
    const { failures } = await plugin.check('openstack:networking/subnet:Subnet', { cidr: '10.0.0.0/24' });
    expect(failures.join()).toMatch(/networkId/);
  });
});
