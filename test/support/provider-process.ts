import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import grpc from '@grpc/grpc-js';
import empty from 'google-protobuf/google/protobuf/empty_pb.js';
import struct from 'google-protobuf/google/protobuf/struct_pb.js';
import engineService from '@pulumi/pulumi/proto/engine_grpc_pb.js';
import provider from '@pulumi/pulumi/proto/provider_pb.js';
import providerService from '@pulumi/pulumi/proto/provider_grpc_pb.js';
import { locateEngine } from '../../scripts/engine/locate.mjs';

const startLimitMs = 60_000;
const callLimitMs = 120_000;

type Inputs = Parameters<typeof struct.Struct.fromJavaScript>[0];

/** What the plugin was asked for did not come about; the message is the provider's own. */
export class ProviderError extends Error {}

function inputs(value: Inputs): InstanceType<typeof struct.Struct> {
  return struct.Struct.fromJavaScript(value);
}

/**
 * The engine's OpenStack plugin without Pulumi around it: started as the engine starts it, configured with nothing
 * but the environment, and asked over gRPC. A tenth of what a `pulumi preview` costs. Close it.
 */
export class ProviderProcess {
  private constructor(
    private readonly child: ChildProcess,
    private readonly engine: grpc.Server,
    private readonly client: InstanceType<typeof providerService.ResourceProviderClient>,
  ) {}

  /**
   * `env` is all the plugin gets besides PATH; `config` is what a stack's config says to the provider, `cwd` where
   * the plugin looks for files first. Throws `ProviderError` when it refuses its configuration.
   */
  static async start(
    env: Readonly<Record<string, string>>,
    { config = {}, cwd = tmpdir() }: { config?: Readonly<Record<string, string>>; cwd?: string } = {},
  ): Promise<ProviderProcess> {
    const { pulumiHome, versions } = locateEngine();
    const program = join(
      pulumiHome,
      'plugins',
      `resource-openstack-v${versions.openstack}`,
      'pulumi-resource-openstack',
    );
    const engine = new grpc.Server();
    const silent = (_call: unknown, answer: (error: null, value: unknown) => void): void =>
      answer(null, new empty.Empty());
    engine.addService(engineService.EngineService, {
      log: silent,
      getRootResource: silent,
      setRootResource: silent,
      startDebugging: silent,
      requirePulumiVersion: silent,
    });
    const port = await new Promise<number>((resolve, reject) => {
      engine.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    const child = spawn(program, [`127.0.0.1:${port}`], {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      cwd,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      const lines = createInterface({ input: child.stdout });
      const [first] = (await once(lines, 'line', { signal: AbortSignal.timeout(startLimitMs) })) as [string];
      const client = new providerService.ResourceProviderClient(
        `127.0.0.1:${first.trim()}`,
        grpc.credentials.createInsecure(),
      );
      const running = new ProviderProcess(child, engine, client);
      try {
        await running.configure(config);
      } catch (error) {
        await running.close();
        throw error;
      }
      return running;
    } catch (error) {
      child.kill('SIGKILL');
      engine.forceShutdown();
      throw error;
    }
  }

  private call<T>(
    send: (answer: (error: grpc.ServiceError | null, value: T) => void) => unknown,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      send((error, value) => {
        if (error === null) resolve(value);
        else reject(new ProviderError(error.details));
      });
    });
  }

  private get options(): grpc.CallOptions {
    return { deadline: Date.now() + callLimitMs };
  }

  private async configure(config: Readonly<Record<string, string>>): Promise<void> {
    const request = new provider.ConfigureRequest();
    request.setArgs(inputs({ ...config }));
    request.setAcceptsecrets(true);
    request.setAcceptresources(true);
    await this.call((answer) => this.client.configure(request, new grpc.Metadata(), this.options, answer));
  }

  /** A data source by its token, such as `openstack:compute/getFlavor:getFlavor`. */
  async invoke(token: string, args: Inputs): Promise<Readonly<Record<string, unknown>>> {
    const request = new provider.InvokeRequest();
    request.setTok(token);
    request.setArgs(inputs(args));
    const response = await this.call<InstanceType<typeof provider.InvokeResponse>>((answer) =>
      this.client.invoke(request, new grpc.Metadata(), this.options, answer),
    );
    const failure = response.getFailuresList()[0];
    if (failure !== undefined) throw new ProviderError(failure.getReason());
    return response.getReturn()?.toJavaScript() ?? {};
  }

  /** Makes a resource: its id. */
  async create(type: string, name: string, properties: Inputs, timeoutS: number): Promise<string> {
    const request = new provider.CreateRequest();
    request.setUrn(`urn:pulumi:test::test::${type}::${name}`);
    request.setProperties(inputs(properties));
    request.setTimeout(timeoutS);
    const response = await this.call<InstanceType<typeof provider.CreateResponse>>((answer) =>
      this.client.create(request, new grpc.Metadata(), this.options, answer),
    );
    return response.getId();
  }

  async close(): Promise<void> {
    this.client.close();
    this.engine.forceShutdown();
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
  }
}
