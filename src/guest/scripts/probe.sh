# Answers the probe: the boot id and the marker, as two lines. One round trip, no other program started.
read -r boot </proc/sys/kernel/random/boot_id || exit 1
printf 'boot %s\n' "$boot"
if [ -f /etc/vmpool/lease.json ]; then
  IFS= read -r marker </etc/vmpool/lease.json
  printf 'marker %s\n' "$marker"
elif [ -e /etc/vmpool/lease.json ] || [ -L /etc/vmpool/lease.json ]; then
  printf 'marker not a regular file\n'
else
  printf 'marker -\n'
fi
printf 'end\n'
