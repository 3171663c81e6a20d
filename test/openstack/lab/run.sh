#!/bin/bash
# run.sh COMMAND...   Brings OpenStack up in namespaces of its own, runs the command there, and takes all of it down.
#
# The namespaces are what keeps the machine clean, however this ends: network (ports, bridges, firewall rules),
# processes (when the first one ends, the kernel ends all the others) and mounts (everything that daemons mount or
# write below /run, and the lab's whole state, which is in memory). The command gets VMPOOL_OPENSTACK, the state's
# directory, with clouds.yaml and openrc in it. LAB_LOGS=DIR keeps the services' logs.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
[ $# -gt 0 ] || { echo "usage: run.sh COMMAND..." >&2; exit 2; }
"$LAB_SCRIPTS/prepare.sh"
# Two labs at the same time each see their own state there.
export VMPOOL_OPENSTACK=$LAB_CACHE/state LAB_SHARE=$LAB_CACHE/share LAB_MODE
mkdir -p "$VMPOOL_OPENSTACK"
# unshare waits without hearing SIGTERM; when it is killed, the kernel kills the namespaces' first process and so all.
child=
trap '[ -z "$child" ] || kill -KILL "$child" 2>/dev/null; wait' EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT
unshare --net --mount --pid --fork --kill-child=KILL --mount-proc --propagation private \
  "$LAB_SCRIPTS/inside.sh" "$@" &
child=$!
code=0
wait "$child" || code=$?
child=
exit "$code"
