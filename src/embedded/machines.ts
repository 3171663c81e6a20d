/** What Nova needs from whatever runs a server. */
export interface MachineSpec {
  readonly id: string;
  readonly name: string;
  readonly image: { readonly id: string; readonly name: string };
  readonly addresses: readonly string[];
  /** As given to Nova: base64. */
  readonly userData: string | undefined;
  readonly key: { readonly name: string; readonly publicKey: string } | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  readonly projectId: string;
  readonly availabilityZone: string;
  /** The guest takes neither user data nor key, as an image without cloud-init. */
  readonly ignoreUserData: boolean;
}

/** How connections to a machine's SSH port fare. */
export type SshMode = 'answer' | 'mute' | 'drop' | 'refuse';

/** A server's machine. All calls are idempotent; failures reject with a reason that becomes the server's fault. */
export interface Machine {
  /** The init as the host sees it while the machine runs. */
  readonly initPid: number | undefined;
  boot(ssh: SshMode): Promise<void>;
  /** `drop`: as a power cut; peers are not told. */
  stop(network: 'refuse' | 'drop'): Promise<void>;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  network(mode: SshMode): Promise<void>;
  fillDisk(full: boolean): Promise<void>;
  /** Gives the machine another host key, which its console does not show. */
  changeHostKey(): Promise<void>;
  setAddresses(addresses: readonly string[]): Promise<void>;
  console(): Promise<string>;
  /** Ends all processes and wipes all files. */
  end(): Promise<void>;
}

export interface Machines {
  create(spec: MachineSpec): Promise<Machine>;
}

/** Servers in name only, for tests of the API. */
export const noMachines: Machines = {
  create: (spec) =>
    Promise.resolve({
      initPid: undefined,
      boot: () => Promise.resolve(),
      stop: () => Promise.resolve(),
      freeze: () => Promise.resolve(),
      thaw: () => Promise.resolve(),
      network: () => Promise.resolve(),
      fillDisk: () => Promise.resolve(),
      changeHostKey: () => Promise.resolve(),
      setAddresses: () => Promise.resolve(),
      console: () => Promise.resolve(`[    0.000000] ${spec.name}: a server without a machine\n`),
      end: () => Promise.resolve(),
    }),
};
