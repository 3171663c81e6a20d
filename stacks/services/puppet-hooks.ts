/**
 * What is run on the host of Puppet's certificate authority. `$list` is our list of members, `$puppet` and
 * `$puppetserver` the programs, `$autosign` our policy, `$account` that of the CA's server,
 * `$stranger` a certname of the pool's that no VM has.
 *
 * `$VMPOOL_STATE/known` has each name that was ever on a list and whose certificate is not known to be gone (a line
 * `certname born`): written before the list is in place, so that no run that is cut off forgets one.
 */
const words = String.raw`
known=$VMPOOL_STATE/known
lines() { grep -v '^#' "$1" 2>/dev/null | cut -d ' ' -f 1,2; }
# As the server reads them: $cadir, $signer, $own. Asked once a run: Puppet takes seconds to start.
puppet_settings() {
  if ! said=$(cat "$VMPOOL_WORK/settings" 2>/dev/null); then
    said=$("$puppet" config print cadir autosign certname --section server 2>&1) || { printf '%s\n' "$said"; return 1; }
    printf '%s\n' "$said" >"$VMPOOL_WORK/settings"
  fi
  cadir=$(printf '%s\n' "$said" | sed -n 's/^cadir = //p')
  signer=$(printf '%s\n' "$said" | sed -n 's/^autosign = //p')
  own=$(printf '%s\n' "$said" | sed -n 's/^certname = //p')
  [ -d "$cadir" ] || { echo "there is no certificate authority in $cadir: run puppetserver ca setup, or set host to where the CA is"; return 1; }
}
puppet_asks_us() {
  asked=$signer
  for pool in 1 2 3 4 5 6 7 8 9 10; do
    [ "$asked" = "$autosign" ] && return 0
    # The policy of another pool asks that of the next.
    asked=$(sed -n "s/^OTHERWISE = '\(.*\)'$/\1/p" "$asked" 2>/dev/null)
    [ -n "$asked" ] || break
  done
  echo "the CA decides by autosign = $signer and not by ours: write autosign = $autosign into the section [server] of puppet.conf, once, and restart puppetserver; or make it the otherwise of the pool that the CA asks"
  return 1
}
# Certificates and requests of the names on stdin: revoked and taken out, and seen to be gone.
puppet_clean() {
  names=$(while read -r name; do
    if [ -e "$cadir/signed/$name.pem" ] || [ -e "$cadir/requests/$name.pem" ]; then printf '%s\n' "$name"; fi
  done | sort -u)
  [ -n "$names" ] || return 0
  # Its exit code tells a request without a certificate from one with, which is all the same here.
  said=$(printf '%s\n' "$names" | xargs -n 100 | tr ' ' ',' | while read -r some; do "$puppetserver" ca clean --certname "$some" </dev/null 2>&1; done)
  for name in $names; do
    if [ -e "$cadir/signed/$name.pem" ] || [ -e "$cadir/requests/$name.pem" ]; then
      echo "the certificate of $name is not revoked:"
      printf '%s\n' "$said" | grep -v -e '^Cleaned' -e 'has been revoked$' | tail -n 8
      return 1
    fi
  done
}
# A request that a member made before it was one, or that somebody else made in its name: the CA would not look at the
# member's own while it lies there. Agents ask again by themselves.
puppet_unblock() {
  lines "$list" | while read -r name born; do
    if [ -e "$cadir/requests/$name.pem" ]; then printf '%s\n' "$name"; fi
  done | puppet_clean
}
`;

/** The policy is run as the CA's server runs it, by its account, on the new list. */
export const puppetCheck = String.raw`${words}
[ "$VMPOOL_MODE" = apply ] || exit 0
puppet_settings && puppet_asks_us || exit 1
lines "$VMPOOL_STAGE$list" | cut -d ' ' -f 1 | grep -qxF -- "$own" && { echo "a VM has the certname of the CA's own host, $own: change certname"; exit 1; }
picture=$(mktemp -d) || exit 1
trap 'rm -rf "$picture"' EXIT; trap 'exit 143' TERM INT HUP
cp "$VMPOOL_STAGE$list" "$VMPOOL_STAGE$autosign" "$picture" && chmod -R a+rX "$picture" || exit 1
as() { if [ "$(id -un)" = "$account" ]; then "$@"; else runuser -u "$account" -- "$@"; fi; }
as "$picture/$(basename "$autosign")" --check 2>&1 || { echo "the policy does not run as the account $account"; exit 1; }
if as "$picture/$(basename "$autosign")" "$stranger" </dev/null >/dev/null 2>&1; then
  echo "the policy signs $stranger, which is no VM of the pool"
  exit 1
fi
# Ours from here on, whatever becomes of this run.
{ lines "$VMPOOL_STAGE$list"; cat "$known" 2>/dev/null; } | sort -u >"$VMPOOL_WORK/known" && mv -f "$VMPOOL_WORK/known" "$known" && exit 0
echo "$known cannot be written"
exit 1
`;

/**
 * The CA reads list and policy at each request, so there is nothing to reload; what follows the list is that the
 * certificates of those who left are revoked, and that a name that comes back finds none.
 */
export const puppetReload = String.raw`${words}
puppet_settings || exit 1
touch "$known" || exit 1
lines "$list" | sort -u >"$VMPOOL_WORK/wanted"
{
  # Who is on the list no more; and who is there again with a newer disk, by whatever clock the CA goes.
  awk 'FILENAME == ARGV[1] { wanted[$1] = $2; next } !($1 in wanted) || $2 + 0 < wanted[$1] + 0 { print $1 }' "$VMPOOL_WORK/wanted" "$known"
  # A certificate that is older than the VM is another's that had the name.
  while read -r name born; do
    made=$(stat -c %Y "$cadir/signed/$name.pem" 2>/dev/null) || continue
    if [ "$made" -lt "$born" ]; then printf '%s\n' "$name"; fi
  done <"$VMPOOL_WORK/wanted"
} | puppet_clean || exit 1
puppet_unblock || exit 1
if [ "$VMPOOL_MODE" = remove ]; then
  rmdir "$(dirname "$list")" "$(dirname "$(dirname "$list")")" 2>/dev/null
  exit 0
fi
mv -f "$VMPOOL_WORK/wanted" "$known"
`;

/** Between the updates: puppet.conf is a person's, and a request in a member's name keeps the member out. */
export const puppetVerify = String.raw`${words}
puppet_settings && puppet_asks_us && puppet_unblock
`;
