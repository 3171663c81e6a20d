#!/bin/bash
# Brings the pool of docs/tutorials/first-pool.md up by that page's own commands, steps 1 to 5, for the pages that go on
# from there. It runs on when this ends; the page's last step ends it.
set -euo pipefail
cd "$(dirname "$0")/.."
place=/var/tmp/first-pool
page=docs/tutorials/first-pool.md

if [ "$(id -u)" != 0 ]; then
  echo "The servers of the tutorial's cloud are isolated machines of their own: run this as root." >&2
  exit 1
fi
pid_of() { cat "$place/$1.pid" 2>/dev/null || true; }
# After a restart of the machine another process may have that number.
runs() { tr '\0' ' ' <"/proc/$(pid_of "$1")/cmdline" 2>/dev/null | grep -q "src/cli/main.js $2"; }
told="  . $place/session    takes a bash session, as root, to it
  step 10 of $page ends it"

if runs cloud cloud && runs service serve; then
  printf 'The pool is up.\n%s\n' "$told"
  exit 0
fi
if [ -e "$place" ]; then
  echo "$place is there, but its cloud or its service does not run: the machine was started anew, or the steps of" \
    "$page were not all done. Go on with them there, or remove it and try once more:" >&2
  ! runs cloud cloud || echo "  kill $(pid_of cloud)" >&2
  ! runs service serve || echo "  kill $(pid_of service)" >&2
  echo "  rm -r $place" >&2
  exit 1
fi

ended() {
  code=$?
  rm -f "$commands"
  [ "$code" = 0 ] && return
  ! runs service serve || kill "$(pid_of service)"
  ! runs cloud cloud || kill "$(pid_of cloud)"
  echo "The pool did not come up; what is in $place may say why. Remove that directory before the next try." >&2
}
commands=$(mktemp)
trap ended EXIT
awk '/^## 6\. / { exit } /^```$/ { on = 0 } on; /^```sh$/ { on = 1 }' "$page" >"$commands"
# Nobody types here: what reads its standard input must not read these commands.
. "$commands" </dev/null
printf '\nThe pool is up.\n%s\n' "$told"
