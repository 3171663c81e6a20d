/** A plugin's process, spoken to as the engine does, over gRPC. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { z } from 'zod';

import { locateEngine } from '../../../scripts/engine/locate.mjs';

// The SDK's own stubs; CommonJS, and not part of its typed surface.
const require = createRequire(import.meta.url);
const stubs = z.object({ ResourceProviderClient: z.custom<new (address: string, credentials: unknown) => Client>() });
const messages = z.object({ CheckRequest: z.custom<new () => CheckRequest>() });
const { ResourceProviderClient } = stubs.parse(require('@pulumi/pulumi/proto/provider_grpc_pb.js'));
const { CheckRequest } = messages.parse(require('@pulumi/pulumi/proto/provider_pb.js'));
const { Struct } = z
  .object({ Struct: z.custom<{ fromJavaScript(value: object): Struct }>((value) => typeof value === 'function') })
  .parse(require('google-protobuf/google/protobuf/struct_pb.js'));
const { credentials } = z
  .object({ credentials: z.custom<{ createInsecure(): unknown }>() })
  .parse(require('@grpc/grpc-js'));

interface Struct {
  toJavaScript(): Record<string, unknown>;
}
interface CheckRequest {
  setUrn(urn: string): void;
  setOlds(value: Struct): void;
  setNews(value: Struct): void;
  setRandomseed(seed: Uint8Array): void;
}
interface CheckResponse {
  getInputs(): Struct | undefined;
  getFailuresList(): { getReason(): string }[];
}
type Callback = (error: Error | null, response: CheckResponse) => void;
interface Client {
  check(request: CheckRequest, callback: Callback): void;
  checkConfig(request: CheckRequest, callback: Callback): void;
  close(): void;
}

const startLimitMs = 30_000;

/** What a check made of the inputs. */
export interface Checked {
  readonly inputs: Record<string, unknown>;
  readonly failures: readonly string[];
}

export class ProviderProcess {
  private constructor(
    private readonly child: ChildProcess,
    private readonly client: Client,
  ) {}

  /** Starts the plugin (such as "openstack", "3.15.2") with this environment, and nothing of the machine's. */
  static async start(name: string, version: string, env: Record<string, string>): Promise<ProviderProcess> {
    const path = join(locateEngine().pulumiHome, 'plugins', `resource-${name}-v${version}`, `pulumi-resource-${name}`);
    // Its first argument is the address of the engine, which it only dials when it has something to log.
    const child = spawn(path, ['127.0.0.1:9'], { env, stdio: ['ignore', 'pipe', 'ignore'] });
    const port = await firstLine(child);
    const client = new ResourceProviderClient(`127.0.0.1:${port}`, credentials.createInsecure());
    return new ProviderProcess(child, client);
  }

  /** What the plugin makes of a resource's inputs. */
  check(token: string, inputs: object): Promise<Checked> {
    return this.ask('check', `urn:pulumi:test::test::${token}::thing`, inputs);
  }

  /** What the plugin makes of the provider's settings. */
  checkConfig(inputs: object): Promise<Checked> {
    return this.ask('checkConfig', 'urn:pulumi:test::test::pulumi:providers:openstack::default', inputs);
  }

  private ask(call: 'check' | 'checkConfig', urn: string, inputs: object): Promise<Checked> {
    const request = new CheckRequest();
    request.setUrn(urn);
    request.setOlds(Struct.fromJavaScript({}));
    request.setNews(Struct.fromJavaScript(inputs));
    request.setRandomseed(new Uint8Array(32));
    return new Promise((resolve, reject) => {
      this.client[call](request, (error, response) => {
        if (error !== null) {
          reject(error);
          return;
        }
        resolve({
          inputs: response.getInputs()?.toJavaScript() ?? {},
          failures: response.getFailuresList().map((failure) => failure.getReason()),
        });
      });
    });
  }

  async close(): Promise<void> {
    this.client.close();
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    if (child.stdout === null) throw new Error('the plugin has no stdout');
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error('the plugin did not say its port'));
    }, startLimitMs);
    const lines = createInterface({ input: child.stdout });
    lines.once('line', (line) => {
      clearTimeout(timer);
      resolve(line.trim());
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the plugin ended with ${String(code)}`));
    });
  });
}
