import { z } from 'zod';
import { commonSettings, plainPath } from './host.js';
import type { HostPlan, ServiceInput } from './plan.js';
import { shellQuote } from './shell.js';

/** As Torque takes them; `@POOL@` stands for the pool's name. */
const property = z.string().regex(/^(?:[A-Za-z0-9_.:-]|@POOL@){1,64}$/, 'is no property of a Torque node');
const nodeName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/, 'is no name of a Torque node');

export const torqueSettings = z.strictObject({
  type: z.literal('torque'),
  ...commonSettings,
  qmgr: plainPath.default('/usr/bin/qmgr'),
  pbsnodes: plainPath.default('/usr/bin/pbsnodes'),
  /** Node of each worker, where it has another name than the worker has here. */
  nodes: z.record(z.string(), nodeName).default({}),
  /** Given to each worker's node, besides those that it has. */
  properties: z.array(property).max(32).default([]),
});
export type TorqueSettings = z.infer<typeof torqueSettings>;

/** A line for each node: name, processors, our properties. Nodes that Torque could not name are left out. Pure. */
export const torqueWishes = (settings: TorqueSettings, input: ServiceInput): string =>
  Object.entries(input.slots)
    .map(([worker, slots]) => ({ node: settings.nodes[worker] ?? worker, slots }))
    .filter(({ node, slots }) => nodeName.safeParse(node).success && slots > 0)
    .sort((a, b) => (a.node < b.node ? -1 : 1))
    .map(({ node, slots }) => [node, slots, ...propertiesOf(settings, input)].join(' '))
    .map((line) => `${line}\n`)
    .join('');

const propertiesOf = ({ properties }: TorqueSettings, { pool }: ServiceInput): string[] => [
  ...new Set(properties.map((text) => text.replaceAll('@POOL@', pool))),
];

const wishes = '$VMPOOL_STATE/files/nodes';

/**
 * What qmgr and pbsnodes say and take (TORQUE 6.1 and 4.2, administrator's guide, "Node management"). A node keeps the
 * processors that its jobs sit on: `jobs = 0-1/12.server,5/13.server` leaves no fewer than 6.
 */
const functions = ({ qmgr, pbsnodes }: TorqueSettings): string => `
qmgr=${shellQuote(qmgr)} pbsnodes=${shellQuote(pbsnodes)}
# node: its np, its properties (commas) and the least np that its jobs leave, in three lines
torque_node() {
  said=$("$pbsnodes" "$1" 2>&1) || { printf 'pbsnodes %s: %s\\n' "$1" "$said" | head -n 3; return 1; }
  printf '%s\\n' "$said" | awk '
    $1 == "np" && $2 == "=" { np = $3 }
    $1 == "properties" && $2 == "=" { sub(/^[^=]*= */, ""); gsub(/ /, ""); properties = $0 }
    $1 == "jobs" && $2 == "=" {
      sub(/^[^=]*= */, ""); gsub(/ /, "")
      n = split($0, parts, ",")
      for (i = 1; i <= n; i++) { sub(/\\/.*/, "", parts[i]); sub(/.*-/, "", parts[i]); if (parts[i] + 1 > least) least = parts[i] + 1 }
    }
    END { if (np == "") exit 1; print np; print properties; print least + 0 }' || {
    echo "pbsnodes $1 says nothing of np"; return 1; }
}
torque_set() { # what, node
  said=$("$qmgr" -c "set node $2 $1" 2>&1) || { printf 'qmgr: set node %s %s: %s\\n' "$2" "$1" "$said" | head -n 3; return 1; }
}
torque_has() { case ",$1," in *",$2,"*) return 0 ;; esac; return 1; }
# node, np, properties (blanks), properties that were ours (blanks)
torque_bring() {
  facts=$(torque_node "$1") || { printf '%s\\n' "$facts"; return 1; }
  { read -r np; read -r has; read -r least; } <<END
$facts
END
  target=$2
  [ "$least" -gt "$target" ] && target=$least
  [ "$np" = "$target" ] || torque_set "np = $target" "$1" || return 1
  for each in $3; do torque_has "$has" "$each" || torque_set "properties += $each" "$1" || return 1; done
  for each in $4; do
    case " $3 " in *" $each "*) continue ;; esac
    if torque_has "$has" "$each"; then torque_set "properties -= $each" "$1" || return 1; fi
  done
  [ "$target" = "$2" ] || { echo "$1 keeps np = $target instead of $2 until the job on its processor $((target - 1)) has ended"; late=1; }
}
`;

/** Every node is known to Torque, before anything is changed. */
const check = (settings: TorqueSettings): string => `${functions(settings)}
[ "$VMPOOL_MODE" = apply ] || exit 0
while read -r node np ours; do torque_node "$node" || exit 1; done <"$VMPOOL_STAGE${wishes}"`;

/**
 * Brings each node to its line. What a node had before us is noted once, for the day when it is no longer ours. A node
 * whose jobs still need more is brought as far as they leave it, and the update is tried again.
 */
const reload = (settings: TorqueSettings): string => `${functions(settings)}
late=0 now=${wishes} before="$VMPOOL_STATE/before"
[ -f "$now" ] || now=/dev/null
touch "$before" || exit 1
while read -r node np ours <&3; do
  if ! grep -q "^$node " "$before"; then
    facts=$(torque_node "$node") || { printf '%s\\n' "$facts"; exit 1; }
    has=$(printf '%s\\n' "$facts" | sed -n 2p)
    mine=''
    for each in $ours; do torque_has "$has" "$each" || mine="$mine $each"; done
    printf '%s %s\\n' "$node" "$(printf '%s\\n' "$facts" | sed -n 1p)" >>"$before" || exit 1
  fi
  given=$(sed -n "s/^$node //p" "$VMPOOL_STATE/given" 2>/dev/null)
  # Noted before it is given: a run that is cut off must know it.
  { grep -v "^$node " "$VMPOOL_STATE/given" 2>/dev/null; printf '%s %s\\n' "$node" "$(printf '%s\\n' $given $ours | sort -u | tr '\\n' ' ')"; } >"$VMPOOL_STATE/given.new" &&
    mv -f "$VMPOOL_STATE/given.new" "$VMPOOL_STATE/given" || exit 1
  torque_bring "$node" "$np" "$ours" "$given" || exit 1
done 3<"$now"
while read -r node np <&3; do
  grep -q "^$node " "$now" && continue
  torque_bring "$node" "$np" '' "$(sed -n "s/^$node //p" "$VMPOOL_STATE/given" 2>/dev/null)" || exit 1
  [ "$late" = 1 ] && continue
  grep -v "^$node " "$before" >"$before.new"; mv -f "$before.new" "$before"
  grep -v "^$node " "$VMPOOL_STATE/given" >"$VMPOOL_STATE/given.new"; mv -f "$VMPOOL_STATE/given.new" "$VMPOOL_STATE/given"
done 3<"$before"
[ "$late" = 0 ]`;

export const planTorque = (settings: TorqueSettings, input: ServiceInput): HostPlan => ({
  files: [{ path: '@state/nodes', text: torqueWishes(settings, input), mode: '0600' }],
  check: check(settings),
  reload: reload(settings),
  confirm: null,
  // There is no way back for a number: jobs may have come since. The next update brings it to what is wanted then.
  rollback: 'true',
  hookLimitSeconds: 60,
});
