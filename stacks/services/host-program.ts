/**
 * What runs on a service's host: POSIX sh with flock, timeout, sha256sum, stat and mv -T (coreutils and util-linux of
 * any Linux). Every error is a line that begins with `vmpool: `, which is what the operator sees.
 *
 * `$state/current` names the version that the daemon was last known to run with; it is replaced by one rename, after
 * the reload. `$state/pending` is there from before the first file is touched until then: who finds it knows that a
 * run was cut off and that the daemon has to be told again.
 */
export const hostProgram = String.raw`
vmpool_say() { printf 'vmpool: %s\n' "$*"; }
vmpool_fail() { vmpool_say "$@" >&2; exit 1; }
vmpool_sum() { sha256sum <"$1" | cut -d ' ' -f 1; }
vmpool_path() { case $1 in @state/*) printf '%s\n' "$state/files/\${1#@state/}" ;; *) printf '%s\n' "$1" ;; esac; }

# mode, path; the text comes on stdin
vmpool_file() {
  file_path=$(vmpool_path "$2")
  mkdir -p "$stage$(dirname "$file_path")" && cat >"$stage$file_path" && chmod "$1" "$stage$file_path" || return 1
  printf '%s %s %s\n' "$(vmpool_sum "$stage$file_path")" "$1" "$file_path" >>"$new/manifest"
}

# The hook's words go to $work/words.
vmpool_hook() {
  [ -n "$1" ] || return 0
  VMPOOL_MODE=$mode VMPOOL_STAGE=$stage VMPOOL_CONFIRMED=$confirmed VMPOOL_STATE=$state VMPOOL_WORK=$work \
    timeout -k 5 "$limit" sh -c "cd /; $1" </dev/null >"$work/words" 2>&1 9>&-
  hook_code=$?
  [ "$hook_code" -eq 0 ] && return 0
  [ "$hook_code" -eq 124 ] && printf 'not done within %s seconds\n' "$limit" >>"$work/words"
  return 1
}
vmpool_words() { tail -n 20 "$work/words" | cut -c 1-400 | sed 's/^/vmpool:   /' >&2; }

vmpool_same() { # sum, mode, path
  [ -f "$3" ] && [ ! -L "$3" ] && [ "$(vmpool_sum "$3")" = "$1" ] && [ "0$(stat -c %a "$3")" = "$2" ]
}
vmpool_all_same() {
  while read -r sum perm path; do vmpool_same "$sum" "$perm" "$path" || return 1; done <"$1/manifest"
}
# Each file by one rename; what is the same already is not touched.
vmpool_install() {
  while read -r sum perm path; do
    vmpool_same "$sum" "$perm" "$path" && continue
    dir=$(dirname "$path")
    temp=$dir/.$(basename "$path").vmpool-new
    (umask 022 && mkdir -p "$dir") && rm -f "$temp" && cp "$1/files$path" "$temp" && chmod "$perm" "$temp" || return 1
    sync "$temp" 2>/dev/null || :
    mv -fT "$temp" "$path" || return 1
    if command -v restorecon >/dev/null 2>&1; then restorecon "$path" 2>/dev/null || :; fi
  done <"$1/manifest"
}
# Takes out the files of one version that another one has not.
vmpool_drop() {
  [ -f "$1/manifest" ] || return 0
  while read -r sum perm path; do
    cut -d ' ' -f 3- "$2/manifest" | grep -qxF -- "$path" && continue
    rm -f -- "$path" || return 1
  done <"$1/manifest"
}
# What is at one of our paths, is not in a version of ours and does not bear our mark is somebody else's.
vmpool_foreign() {
  while read -r sum perm path; do
    [ -e "$path" ] || [ -L "$path" ] || continue
    cat "$state"/v.*/manifest 2>/dev/null | cut -d ' ' -f 3- | grep -qxF -- "$path" && continue
    vmpool_same "$sum" "$perm" "$path" && continue
    [ -f "$path" ] && head -n 5 "$path" | grep -qF "vmpool:$id " && continue
    printf '%s\n' "$path"
  done <"$1/manifest"
}
vmpool_back() {
  vmpool_install "$old" && vmpool_drop "$state/v.$version" "$old" && vmpool_drop "$unfinished" "$old" || return 1
  : >"$work/began"
  vmpool_hook "$rollback" && { rm -f "$state/pending"; return 0; }
}

vmpool_main() {
  mode=$1
  set -u
  umask 077
  LC_ALL=C PATH=\${PATH:-/usr/bin:/bin}:/usr/sbin:/sbin
  export LC_ALL PATH
  vmpool_settings
  for tool in flock timeout sha256sum stat; do
    command -v "$tool" >/dev/null 2>&1 || vmpool_fail "$tool is missing on the service's host: install coreutils and util-linux"
  done
  if [ "$mode" = remove ]; then
    [ -d "$state" ] || { vmpool_say 'nothing of ours is here'; exit 0; }
    [ "$(cat "$state/place" 2>/dev/null)" = "$place" ] || { vmpool_say 'what is here is of a newer configuration and stays'; exit 0; }
  fi
  mkdir -p "$state/files" || vmpool_fail "$state cannot be made: set stateDir to a directory that $(id -un) may write"
  exec 9>"$state/lock"
  flock -w 60 9 || vmpool_fail 'an earlier update of this service is still running on its host'
  work=$state/work new=$state/new
  rm -rf "$work" "$new" && mkdir -p "$work" "$new/files" || vmpool_fail "$state cannot be written"
  trap 'rm -rf "$work" "$new"' EXIT
  trap 'exit 143' TERM INT HUP
  stage=$new/files
  : >"$new/manifest"
  vmpool_functions >"$work/functions"
  if [ "$mode" = apply ]; then
    vmpool_files || vmpool_fail "the new files cannot be written into $state: is its disk full?"
  fi
  version=$(vmpool_sum "$new/manifest")
  old=$state/current confirmed=$state/current/files
  if [ ! -f "$old/manifest" ]; then
    mkdir -p "$state/v.none/files" && : >"$state/v.none/manifest"
    old=$state/v.none confirmed=$state/v.none/files
  fi
  unfinished=$state/v.none
  [ -f "$state/pending" ] && unfinished=$state/v.$(cat "$state/pending")
  if [ "$mode" = apply ] && [ ! -f "$state/pending" ] && [ "$(readlink "$state/current")" = "v.$version" ] && vmpool_all_same "$new"; then
    printf '%s\n' "$place" >"$state/place"
    vmpool_hook "$verify" || { vmpool_say 'what is in place cannot be used as it is:' >&2; vmpool_words; exit 1; }
    vmpool_say 'everything is as it should be'
    exit 0
  fi
  foreign=$(vmpool_foreign "$new")
  [ -z "$foreign" ] || vmpool_fail "not written by this pool, so left alone: $(printf %s "$foreign" | tr '\n' ' '): move it away, or give the service another path"

  if ! vmpool_hook "$check"; then
    cp "$work/words" "$work/refused"
    if [ -f "$state/pending" ]; then vmpool_back || vmpool_say 'the reload of the old configuration failed too; tried again at the next update' >&2; fi
    vmpool_say 'the new configuration was refused by its checker; the old one stays:' >&2
    mv "$work/refused" "$work/words"
    vmpool_words
    exit 1
  fi

  if [ ! -d "$state/v.$version" ]; then mv -T "$new" "$state/v.$version" || vmpool_fail "$state cannot be written"; fi
  stage=$state/v.$version/files
  # From here on a run that is cut off leaves this file.
  printf '%s\n' "$version" >"$work/pending" && sync "$work/pending" 2>/dev/null
  mv -fT "$work/pending" "$state/pending" || vmpool_fail "$state cannot be written"
  printf '%s\n' "$place" >"$state/place"
  if ! { vmpool_install "$state/v.$version" && vmpool_drop "$old" "$state/v.$version" && vmpool_drop "$unfinished" "$state/v.$version"; }; then
    vmpool_back || vmpool_say 'the old configuration could not be put back either' >&2
    vmpool_fail 'the new configuration cannot be put in place (the lines above say why); the old one stays'
  fi
  : >"$work/began"
  if ! { vmpool_hook "$reload" && vmpool_hook "$confirm"; }; then
    cp "$work/words" "$work/refused"
    if vmpool_back; then
      vmpool_say 'the reload failed; the old configuration is back and loaded:' >&2
    else
      vmpool_say 'the reload failed, and that of the old configuration, which is back in place, too:' >&2
    fi
    mv "$work/refused" "$work/words"
    vmpool_words
    exit 1
  fi
  if [ "$mode" = remove ]; then
    rm -rf "$state"
    vmpool_say 'what was ours is gone'
    exit 0
  fi
  ln -sfn "v.$version" "$state/current.new" && mv -fT "$state/current.new" "$state/current" || vmpool_fail "$state cannot be written"
  rm -f "$state/pending"
  for each in "$state"/v.*; do [ "$each" = "$state/v.$version" ] || rm -rf "$each"; done
  vmpool_say 'the new configuration is loaded'
}
`.replaceAll('\\${', '${');

/** For hooks: `. "$VMPOOL_WORK/functions"`. */
export const sharedFunctions = String.raw`
# Makes $2 a picture of the directory $1 as it will be: links to what is there, and copies of our new files.
vmpool_picture() {
  mkdir -p "$2" || return 1
  for entry in "$1"/* "$VMPOOL_STAGE$1"/*; do
    [ -e "$entry" ] || continue
    name=$(basename "$entry")
    if [ -e "$VMPOOL_STAGE$1/$name" ]; then cp "$VMPOOL_STAGE$1/$name" "$2/$name"
    elif [ -e "$VMPOOL_CONFIRMED$1/$name" ]; then :
    else ln -sf "$entry" "$2/$name"; fi || return 1
  done
}
`;
