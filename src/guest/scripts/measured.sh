# Functions put before scrub.sh and measure.sh. They expect `lease`.
# end_meter: the meter takes its last look and ends. Sets `usage` to its figures, or to what an earlier order for the same
# lease found; empty where nothing was measured.
end_meter() {
  local pid= kept= line= i
  local -a command
  usage=
  { IFS= read -r _ && IFS= read -r kept; } </run/vmpool.lock
  [[ -n $lease && $kept == "$lease "* ]] && usage=${kept#* }
  # Staging does not wait for the meter that it starts: where it is still on its way, neither would be known what was used
  # nor whom to end.
  for ((i = 0; i < 60; i++)); do
    [ -p /run/vmpool/say ] && [ ! -s /run/vmpool/pid ] || break
    sleep 0.05
  done
  IFS= read -r pid </run/vmpool/pid
  if [[ $pid =~ ^[1-9][0-9]{0,9}$ ]]; then
    mapfile -d '' -t command <"/proc/$pid/cmdline"
    if [[ " ${command[*]:-} " == *" /run/vmpool/meter "* ]]; then
      kill -TERM "$pid"
      for ((i = 0; i < 200; i++)); do
        [ -d "/proc/$pid" ] || break
        sleep 0.05
      done
      [ ! -d /run/systemd/system ] || systemctl stop vmpool-meter.service
    fi
  fi
  IFS= read -r line </run/vmpool/usage && [[ $line == "v1 "*" end" ]] && usage=$line
} 2>/dev/null
