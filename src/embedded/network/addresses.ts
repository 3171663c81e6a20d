/** IPv4 networks and their addresses, as unsigned numbers. */
export function ipToNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function numberToIp(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

export interface Cidr {
  readonly first: number;
  readonly size: number;
  readonly prefix: number;
}

/** Undefined if it is not an IPv4 network. */
export function parseCidr(text: string): Cidr | undefined {
  const match = /^(\d+\.\d+\.\d+\.\d+)\/(\d+)$/.exec(text);
  if (!match?.[1] || Number(match[2]) > 32) return undefined;
  const prefix = Number(match[2]);
  const size = 2 ** (32 - prefix);
  return { first: Math.floor(ipToNumber(match[1]) / size) * size, size, prefix };
}

export function cidrText(cidr: Cidr): string {
  return `${numberToIp(cidr.first)}/${cidr.prefix}`;
}

/** Splits a network into four of equal size. */
export function quarters(cidr: Cidr): [Cidr, Cidr, Cidr, Cidr] {
  const size = cidr.size / 4;
  const part = (index: number): Cidr => ({ first: cidr.first + index * size, size, prefix: cidr.prefix + 2 });
  return [part(0), part(1), part(2), part(3)];
}

/**
 * Gives out the addresses of a range, each as late as possible after it was given back: an address that comes back at
 * once meets clients that still remember its former owner's host key.
 */
export class AddressPool {
  readonly #used = new Set<number>();
  #next: number;

  constructor(
    readonly first: number,
    readonly last: number,
  ) {
    this.#next = first;
  }

  take(wanted?: string): string | undefined {
    if (wanted !== undefined) {
      const value = ipToNumber(wanted);
      if (this.#used.has(value)) return undefined;
      this.#used.add(value);
      return wanted;
    }
    for (let tried = 0; tried <= this.last - this.first; tried++) {
      const value = this.#next;
      this.#next = value === this.last ? this.first : value + 1;
      if (this.#used.has(value)) continue;
      this.#used.add(value);
      return numberToIp(value);
    }
    return undefined;
  }

  release(address: string): void {
    this.#used.delete(ipToNumber(address));
  }
}
