import type { Listing, ServerView } from '../cloud/port.js';
import type { Member } from '../pool/book.js';
import { sshEndpoint } from '../pool/observe.js';

/**
 * Where the site's services reach each member: what listings showed on its `siteNetwork`. Not durable: the first listing
 * after a start shows it again. A listing that leaves a server out changes nothing.
 */
export class SiteAddressBook {
  private readonly byServer = new Map<string, ServerView['addresses']>();
  private readonly serverOf = new Map<string, string>();

  /** Whether everything was listed once: an address that is not known then is not coming soon. */
  private whole = false;
  private changes = 0;

  get complete(): boolean {
    return this.whole;
  }

  /** Another one when another answer may be had. */
  get revision(): number {
    return this.changes;
  }

  take({ servers, complete }: Listing): void {
    if (complete && !this.whole) this.changes += 1;
    this.whole ||= complete;
    for (const server of servers) {
      if (JSON.stringify(this.byServer.get(server.id)) === JSON.stringify(server.addresses)) continue;
      this.byServer.set(server.id, server.addresses);
      this.changes += 1;
    }
  }

  /** Null while no listing has shown the member's server. */
  addressesOf(member: Member): readonly string[] | null {
    const { spec, endpoint, server } = member;
    // The service's own way to the VM, where that is the same network and no floating address.
    if (spec.siteNetwork === spec.sshNetwork && spec.floatingIpPool === null && endpoint !== null)
      return [endpoint.host];
    const seen = server === null ? undefined : this.byServer.get(server.id);
    if (server === null || seen === undefined) return null;
    this.serverOf.set(member.name, server.id);
    const found =
      sshEndpoint({ ...spec, sshNetwork: spec.siteNetwork, floatingIpPool: null }, seen) ?? endpoint;
    return found === null ? null : [found.host];
  }

  forget(name: string): void {
    const server = this.serverOf.get(name);
    if (server !== undefined) this.byServer.delete(server);
    this.serverOf.delete(name);
  }
}
