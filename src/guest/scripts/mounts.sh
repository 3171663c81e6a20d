# Functions put before welcome.sh and stage.sh: mounts that the site lists. They expect `failed`, and `shared`: for
# each mount five fields, that is type, source, target, options, and 1 where nothing goes on without it.
mount_at() { # mount_at PATH: is something mounted right there?
  local point
  while read -r _ _ _ _ point _; do
    printf -v point '%b' "${point//\\/\\0}"
    [ "$point" = "$1" ] && return 0
  done </proc/self/mountinfo
  return 1
}
# mount_shared NOTE: mounts what is not mounted yet; calls `NOTE dir PATH` before it makes a directory.
mount_shared() {
  local note=$1 i problem target parent parents
  for ((i = 0; i + 4 < ${#shared[@]}; i += 5)); do
    target=${shared[i + 2]} problem=
    mount_at "$target" && continue
    # A link on the way would take the mount, and what is written there, somewhere else.
    if [ "$(realpath -m -- "$target")" != "$target" ]; then
      problem="$target leads through a link to $(realpath -m -- "$target")"
    elif [ -e "$target" ] && [ ! -d "$target" ]; then
      problem="$target is not a directory"
    else
      parent=$target parents=()
      while [ -n "$parent" ] && [ ! -d "$parent" ]; do parents=("$parent" "${parents[@]}") parent=${parent%/*}; done
      for parent in "${parents[@]}"; do
        "$note" dir "$parent"
        mkdir -m 755 "$parent" || failed "cannot make $parent"
      done
      problem=$(timeout -k 2 15 mount -t "${shared[i]}" -o "nosuid,nodev${shared[i + 3]:+,${shared[i + 3]}}" -- \
        "${shared[i + 1]}" "$target" 2>&1 9>&-) && continue
      problem=${problem:-"no answer within 15 s"}
    fi
    problem="cannot mount ${shared[i + 1]} on $target: $problem"
    [ "${shared[i + 4]}" = 1 ] && failed "$problem"
    printf 'note %q\n' "$problem" >&3
  done
}
