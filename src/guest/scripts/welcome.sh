# Makes a machine ready to be staged, once, before its baseline: the pool's directory, and sshd looking for the keys
# of jobs in a root-owned place only. Repeating it changes nothing.
# Arguments: the accounts that keep their own authorized_keys (root and the pool's administrator).
# Standard input, each field ended by NUL: the mounts (mounts.sh).
set -u
umask 022
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Whatever the tools print is not the answer.
exec 3>&1 >/dev/null
failed() { # one line, whatever the reason holds
  local text=$*
  printf 'failed %s\n' "${text//$'\n'/ }" >&3
  exit 0
}

mapfile -d '' -t shared
nothing() { :; }
[ ! -e /etc/vmpool/lease.json ] || failed "a marker of a lease stands on this machine"
pool=/etc/vmpool
mkdir -p $pool/keys $pool/new && chown root:root $pool $pool/keys $pool/new && chmod 755 $pool $pool/keys &&
  chmod 700 $pool/new || failed "cannot make $pool/keys"

# The account tools keep a backup at their first change: there from the start, it can be compared like the rest.
for file in passwd group shadow gshadow subuid subgid; do
  if [ -f "/etc/$file" ]; then cp -p "/etc/$file" "/etc/$file-" || failed "cannot write /etc/$file-"; fi
done

keepers=
for account; do keepers="$keepers,!$account"; done
# Everyone else logs in with the keys of the lease or not at all: what a job writes into its own home, or finds in
# the home of another account of the image, opens nothing.
block="# Managed by VM Pool: job accounts log in with the key of their lease only.
Match User *$keepers
    AuthorizedKeysFile /etc/vmpool/keys/%u
    AuthorizedKeysCommand none
    TrustedUserCAKeys none
    PasswordAuthentication no
    KbdInteractiveAuthentication no
    PubkeyAuthentication yes
Match all"

config=/etc/ssh/sshd_config
[ -f "$config" ] || failed "$config does not exist"
sshd=$(command -v sshd) || failed "sshd is not installed"
if grep -qiE '^[[:space:]]*Include[[:space:]]+("?)/etc/ssh/sshd_config\.d/\*' "$config"; then
  # The name sorts first: the first match wins.
  file=/etc/ssh/sshd_config.d/00-vmpool.conf
  text=$block
else
  file=$config
  text=$(sed '/^# Managed by VM Pool: /,/^Match all$/d' "$config")
  text="$text
$block"
fi
if [ "$(cat "$file" 2>/dev/null)" != "$text" ]; then
  old=$(mktemp /run/vmpool-sshd.XXXXXX) || failed "cannot write to /run"
  had=0
  if [ -e "$file" ]; then cp -p "$file" "$old" && had=1; fi
  mkdir -p "${file%/*}"
  if ! printf '%s\n' "$text" >"$file.vmpool" || ! chmod 600 "$file.vmpool" || ! mv -f "$file.vmpool" "$file"; then
    rm -f "$old"
    failed "cannot write $file"
  fi
  [ "$had" = 1 ] && chmod --reference="$old" "$file"
  if ! problem=$("$sshd" -t 2>&1); then
    if [ "$had" = 1 ]; then cp -p "$old" "$file"; else rm -f "$file"; fi
    rm -f "$old"
    failed "sshd refuses the pool's settings in $file: ${problem%%$'\n'*}"
  fi
  rm -f "$old"
  command -v restorecon >/dev/null && restorecon -RF /etc/vmpool "$file" >/dev/null 2>&1
  # A daemon that listens reads the file again; one started for each connection (socket activation) does anyway.
  if [ -d /run/systemd/system ]; then
    systemctl reload ssh.service >/dev/null 2>&1 || systemctl reload sshd.service >/dev/null 2>&1
  else
    pid=$(cat /run/sshd.pid 2>/dev/null || true)
    if [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = sshd ]; then kill -HUP "$pid"; fi
  fi
fi
"$sshd" -T -C user=vmpool-any-job,host=localhost,addr=127.0.0.1 2>/dev/null |
  grep -qix 'authorizedkeysfile /etc/vmpool/keys/%u' ||
  failed "sshd does not take AuthorizedKeysFile for job accounts from $file: look for a Match block before it"
mount_shared nothing
printf 'ok\n' >&3
