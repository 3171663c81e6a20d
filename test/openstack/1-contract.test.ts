import { cloudContract } from '../support/cloud-contract.js';
import { labNames, OpenStackLab } from '../support/openstack-lab.js';

cloudContract(
  'a real OpenStack',
  () => {
    const { flavor, emptyImage: image, network, external } = labNames;
    const lab = new OpenStackLab();
    return Promise.resolve({
      env: lab.env(),
      flavor,
      image,
      network,
      external,
      patienceMs: 300_000,
      tells: ['ports'],
      limitPorts: (limit) => lab.portQuota(limit),
    });
  },
  () => Promise.resolve(),
);
