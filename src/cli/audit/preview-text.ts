/** One step of a preview that is not the same as before. */
export interface Step {
  /** `create`, `update`, `delete`, `replace`...; `refresh`: what it is in the cloud is not what the stack's state says. */
  readonly op: string;
  readonly type: string;
  readonly name: string;
  /** Of a refresh: the properties that differ. */
  readonly properties: readonly string[];
}

const stepLine = /^\s*(?:[-~+=<>]+ ?)?([a-z][\w.-]*:[\w./-]+:[\w.-]+): \(([a-z-]+)\)/;
const urnLine = /^\s*\[urn=urn:pulumi:[^\]]*::([^\]]*)\]$/;
const propertyLine = /^ {6}[-~+] ([A-Za-z]\w*)\s*:/;

/** Changes of themselves: when Nova last touched the server, and what it never tells again. */
const passing = new Set(['updated', 'adminPass']);

/**
 * The steps in what `pulumi preview --refresh --diff` prints. Its JSON does not tell what a refresh found (both states
 * in it are the old one, as of 3.259), and `--expect-no-changes` passes over whatever members ignore, which is every
 * change but their end: so the words are read. Pure.
 */
export const stepsIn = (text: string): readonly Step[] => {
  const steps: { op: string; type: string; name: string; properties: string[] }[] = [];
  for (const line of text.split('\n')) {
    const head = stepLine.exec(line);
    const last = steps.at(-1);
    if (head !== null) {
      steps.push({ op: head[2] ?? '', type: head[1] ?? '', name: '', properties: [] });
    } else if (last !== undefined) {
      const urn = urnLine.exec(line)?.[1];
      const property = propertyLine.exec(line)?.[1];
      if (urn !== undefined && last.name === '') last.name = urn;
      else if (property !== undefined) last.properties.push(property);
    }
  }
  return steps.flatMap((step) => {
    if (step.op === 'same' || step.op === 'read') return [];
    const properties = step.properties.filter((property) => !passing.has(property));
    // Pulumi names the stack itself and the resources that it looked at, also where nothing differs.
    if (step.op === 'refresh' && properties.length === 0) return [];
    return [{ ...step, properties }];
  });
};

/** Of so many properties at most each is named. */
const namedAtMost = 6;

/** What a step says of the cloud, in a line. Pure. */
export const stepText = ({ op, type, name, properties }: Step): string => {
  if (op !== 'refresh') return `${op} ${type} ${name}: the cloud and the stack differ`;
  // A server that is gone has lost all of them.
  return properties.includes('id')
    ? `${type} ${name} is not in the cloud any more`
    : `${type} ${name} was changed in the cloud: ${properties.slice(0, namedAtMost).join(', ')}${properties.length > namedAtMost ? '...' : ''}`;
};
