/** What an npm package's type declarations show of its resources and functions. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import ts from 'typescript';

import { array, map, object, scalar, type Fields, type Shape } from './shapes.js';

/** A resource or function as its declarations show it. */
export interface Declared {
  readonly token: string;
  readonly inputs: Fields;
  readonly outputs: Fields;
  /** Names of the outputs that the package asks the engine to keep secret. */
  readonly secrets: readonly string[];
}

/** Everything that a package declares. */
export interface Declarations {
  readonly resources: ReadonlyMap<string, Declared>;
  readonly functions: ReadonlyMap<string, Declared>;
  readonly provider: Fields;
}

/** Reads the declarations (and, for the tokens, the JavaScript beside them) of a package below `root`. */
export function readDeclarations(root: string): Declarations {
  const types = new NestedTypes(root);
  const resources = new Map<string, Declared>();
  const functions = new Map<string, Declared>();
  let provider: Fields = new Map();
  for (const file of declarationFiles(root)) {
    const source = parse(join(root, file));
    const script = readFileSync(join(root, file.replace(/\.d\.ts$/, '.js')), 'utf8');
    const resourceToken = /\.__pulumiType = '([^']+:[^']+)'/.exec(script)?.[1];
    const functionToken = /\binvoke\("([^"]+)"/.exec(script)?.[1];
    if (resourceToken !== undefined) {
      resources.set(resourceToken, { ...readResource(source, resourceToken, types), secrets: secretOutputs(script) });
    } else if (functionToken !== undefined) {
      functions.set(functionToken, readFunction(source, functionToken, types));
    } else if (file === 'provider.d.ts') {
      provider = types.fields(interfaceNamed(source, 'ProviderArgs'));
    }
  }
  return { resources, functions, provider };
}

function declarationFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.d.ts') && !/(^|\/)(index|utilities|vars)\.d\.ts$/.test(file))
    .filter((file) => !file.startsWith('types/') && !file.includes('node_modules'))
    .sort();
}

function readResource(source: ts.SourceFile, token: string, types: NestedTypes): Declared {
  const found = source.statements.find((node): node is ts.ClassDeclaration => ts.isClassDeclaration(node));
  if (found?.name === undefined) throw new Error(`${source.fileName} declares no class`);
  const outputs = new Map<string, { required: boolean; shape: Shape }>();
  for (const member of found.members) {
    if (!ts.isPropertyDeclaration(member) || member.type === undefined) continue;
    outputs.set(nameOf(member.name), { required: !allowsUndefined(member.type), shape: types.shape(member.type) });
  }
  return { token, inputs: types.fields(interfaceNamed(source, `${found.name.text}Args`)), outputs, secrets: [] };
}

function secretOutputs(script: string): string[] {
  const list = /additionalSecretOutputs: \[([^\]]*)\]/.exec(script)?.[1] ?? '';
  return [...list.matchAll(/"([^"]+)"/g)].flatMap(([, name]) => (name === undefined ? [] : [name]));
}

function readFunction(source: ts.SourceFile, token: string, types: NestedTypes): Declared {
  const name = token.split(':').at(-1) ?? '';
  const title = name.charAt(0).toUpperCase() + name.slice(1);
  return {
    token,
    inputs: types.fields(interfaceNamed(source, `${title}Args`)),
    outputs: types.fields(interfaceNamed(source, `${title}Result`)),
    secrets: [],
  };
}

function parse(file: string): ts.SourceFile {
  return ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022, true);
}

function interfaceNamed(source: ts.SourceFile, name: string): ts.InterfaceDeclaration {
  const found = source.statements.find(
    (node): node is ts.InterfaceDeclaration => ts.isInterfaceDeclaration(node) && node.name.text === name,
  );
  if (found === undefined) throw new Error(`${source.fileName} declares no interface ${name}`);
  return found;
}

function nameOf(name: ts.PropertyName): string {
  return ts.isIdentifier(name) || ts.isStringLiteral(name) ? name.text : name.getText();
}

function allowsUndefined(type: ts.TypeNode): boolean {
  const inner = unwrap(type);
  return ts.isUnionTypeNode(inner) && inner.types.some(isUndefined);
}

function isUndefined(type: ts.TypeNode): boolean {
  return type.kind === ts.SyntaxKind.UndefinedKeyword;
}

/** Strips pulumi.Input<> and pulumi.Output<>. */
function unwrap(type: ts.TypeNode): ts.TypeNode {
  if (ts.isParenthesizedTypeNode(type)) return unwrap(type.type);
  if (ts.isTypeReferenceNode(type)) {
    const name = type.typeName.getText();
    const argument = type.typeArguments?.[0];
    if ((name === 'pulumi.Input' || name === 'pulumi.Output') && argument !== undefined) return unwrap(argument);
  }
  return type;
}

/** The object types in types/input.d.ts and types/output.d.ts, by names such as "inputs.compute.InstanceNetwork". */
class NestedTypes {
  private readonly byName = new Map<string, ts.InterfaceDeclaration>();

  constructor(root: string) {
    for (const [prefix, file] of [
      ['inputs', 'types/input.d.ts'],
      ['outputs', 'types/output.d.ts'],
    ] as const) {
      for (const node of parse(join(root, file)).statements) this.collect(prefix, node);
    }
  }

  private collect(prefix: string, node: ts.Statement): void {
    if (ts.isInterfaceDeclaration(node)) {
      this.byName.set(`${prefix}.${node.name.text}`, node);
    } else if (ts.isModuleDeclaration(node) && node.body !== undefined && ts.isModuleBlock(node.body)) {
      for (const inner of node.body.statements) this.collect(`${prefix}.${node.name.text}`, inner);
    }
  }

  fields(declaration: ts.InterfaceDeclaration): Fields {
    const fields = new Map<string, { required: boolean; shape: Shape }>();
    for (const member of declaration.members) {
      if (!ts.isPropertySignature(member) || member.type === undefined) continue;
      fields.set(nameOf(member.name), { required: member.questionToken === undefined, shape: this.shape(member.type) });
    }
    return fields;
  }

  shape(type: ts.TypeNode): Shape {
    const node = unwrap(type);
    if (ts.isUnionTypeNode(node)) return this.union(node);
    if (ts.isArrayTypeNode(node)) return array(this.shape(node.elementType));
    if (ts.isTypeLiteralNode(node)) {
      const index = node.members.find((member) => ts.isIndexSignatureDeclaration(member));
      if (index?.type !== undefined) return map(this.shape(index.type));
    }
    if (ts.isTypeReferenceNode(node)) return this.reference(node.typeName.getText());
    switch (node.kind) {
      case ts.SyntaxKind.StringKeyword:
        return scalar('string');
      case ts.SyntaxKind.NumberKeyword:
        return scalar('number');
      case ts.SyntaxKind.BooleanKeyword:
        return scalar('boolean');
      case ts.SyntaxKind.AnyKeyword:
        return scalar('any');
      default:
        throw new Error(`${node.getSourceFile().fileName}: what shape is ${node.getText()}?`);
    }
  }

  private union(node: ts.UnionTypeNode): Shape {
    const members = node.types.filter((member) => !isUndefined(member)).map((member) => this.shape(member));
    const [first, ...rest] = members;
    if (first === undefined) throw new Error(`${node.getText()} has no members`);
    // Asset | Archive is what the schema calls an asset.
    if (members.some((shape) => shape.kind === 'asset')) return scalar('asset');
    if (rest.length > 0) throw new Error(`${node.getSourceFile().fileName}: what shape is ${node.getText()}?`);
    return first;
  }

  private reference(name: string): Shape {
    if (name === 'pulumi.asset.Asset') return scalar('asset');
    if (name === 'pulumi.asset.Archive') return scalar('archive');
    // Enumerations of both packages are of strings.
    if (name.startsWith('enums.')) return scalar('string');
    const declaration = this.byName.get(name);
    if (declaration === undefined) throw new Error(`the declarations refer to ${name}, which they do not declare`);
    return object(this.fields(declaration));
  }
}
