# Answers what the lease has used on this machine, whose job has ended: "usage FIGURES" or nothing, then "ok".
# Argument: the lease. Another one's marker: foreign LEASE.
set -u
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lease=$1 standing=
IFS= read -r standing </etc/vmpool/lease.json
if [[ $standing != '{"lease":"'"$lease"'",'* ]]; then
  printf 'foreign -\n'
  exit 0
fi
end_meter
[ -z "$usage" ] || printf 'usage %s\n' "$usage"
printf 'ok\n'
