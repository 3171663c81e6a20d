import { cellContract } from '../support/cell-contract.js';
import { labNames, OpenStackLab } from '../support/openstack-lab.js';
import { patienceMs } from '../support/openstack-story.js';

cellContract(
  'a real OpenStack',
  () => {
    const { flavor, emptyImage: image, network, otherNetwork, external } = labNames;
    const lab = new OpenStackLab();
    return Promise.resolve({
      env: lab.env(),
      flavor,
      image,
      networks: [network, otherNetwork],
      // There is one host, and so one zone.
      zones: ['nova'],
      floatingIpPool: external,
      volumes: false,
      // The guests of the lab have nothing else to learn from who they are.
      forcesConfigDrive: true,
      cards: (id) => lab.cards(id),
      patienceMs,
    });
  },
  () => Promise.resolve(),
  2 * patienceMs,
);
