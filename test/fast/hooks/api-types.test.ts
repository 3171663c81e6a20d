import { describe, expect, it } from '@jest/globals';
import { build } from 'esbuild';
import { join } from 'node:path';
import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { repoRoot } from '../../../src/repo-root.js';

const apiFile = join(repoRoot, 'src', 'http', 'api.ts');
const hooks = ['service-client', 'prologue', 'sync', 'ending', 'jobstarter', 'main/nodecheck'].map((name) =>
  join(repoRoot, 'hooks', 'src', `${name}.ts`),
);
const config = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(repoRoot, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config,
  ts.sys,
  repoRoot,
);

/** What is the same in every program is read and parsed once. */
const parsed = new Map<string, ts.SourceFile | undefined>();

/** What the compiler says of the hooks when the API's schemas have that text. */
const errorsWith = (api: string): readonly string[] => {
  const options: ts.CompilerOptions = { ...config.options, incremental: false };
  delete options.tsBuildInfoFile;
  const host = ts.createCompilerHost(options);
  const read = host.getSourceFile.bind(host);
  host.getSourceFile = (path, language, ...rest) => {
    if (path === apiFile) return ts.createSourceFile(path, api, language, true);
    if (!parsed.has(path)) parsed.set(path, read(path, language, ...rest));
    return parsed.get(path);
  };
  const program = ts.createProgram(hooks, options, host);
  return hooks.flatMap((path) =>
    program
      .getSemanticDiagnostics(program.getSourceFile(path))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' ')),
  );
};

describe('a change of the API', () => {
  const api = readFileSync(apiFile, 'utf8');

  it('that is none leaves the hooks as they are', () => {
    expect(errorsWith(api)).toEqual([]);
  });

  it.each([
    ['a field of a lease with another name', '    ready: z\n', '    isReady: z\n'],
    ['a field of a VM with another name', '    hostKeys: z.array', '    keys: z.array'],
    ['a port as text', '    port: z.int(),', '    port: z.string(),'],
    ['one more state of a lease', "'waiting', 'granted', 'ended'", "'waiting', 'granted', 'parked', 'ended'"],
    ['a capability of another form', 'capability: z.string()', 'capability: z.object({ token: z.string() })'],
    [
      'jobs of a sync as objects',
      'ended: z.array(z.string())',
      'ended: z.array(z.object({ job: z.string() }))',
    ],
    ['a verdict on the node with another name', '    ok: z.boolean()', '    fine: z.boolean()'],
    [
      'a required field more in a request',
      '    job: jobId,\n    attempt,',
      '    job: jobId,\n    site: z.string(),\n    attempt,',
    ],
    ['a code of a problem with another name', "'no-class-fits'", "'no-class'"],
    [
      'a detail of a release as a list',
      "    detail: z.string(),\n  })\n  .meta({ id: 'Released' })",
      "    detail: z.array(z.string()),\n  })\n  .meta({ id: 'Released' })",
    ],
  ])('does not compile in the hooks: %s', (_what, before, after) => {
    expect(api.split(before).length).toBeGreaterThan(1);
    expect(errorsWith(api.replace(before, after))).not.toEqual([]);
  });
});

it('the hooks bring no package with them, and nothing of the HTTP side', async () => {
  const main = join(repoRoot, 'hooks', 'src', 'main');
  const { metafile } = await build({
    entryPoints: readdirSync(main).map((name) => join(main, name)),
    ...{ bundle: true, platform: 'node', format: 'cjs', write: false, metafile: true, outdir: 'none' },
    absWorkingDir: repoRoot,
    logLevel: 'silent',
  });
  const inputs = Object.keys(metafile.inputs);
  expect(inputs.filter((path) => path.includes('node_modules'))).toEqual([]);
  expect(inputs.filter((path) => path.startsWith('src/http/'))).toEqual([]);
});
