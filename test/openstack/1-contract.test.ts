import { cloudContract } from '../support/cloud-contract.js';
import { labNames, OpenStackLab } from '../support/openstack-lab.js';

cloudContract(
  'a real OpenStack',
  () => {
    const { flavor, image, network } = labNames;
    return Promise.resolve({
      env: new OpenStackLab().env(),
      flavor,
      image,
      network,
      patienceMs: 300_000,
    });
  },
  () => Promise.resolve(),
);
