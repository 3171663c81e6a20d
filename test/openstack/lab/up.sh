# Starts OpenStack in a fresh state directory. Sourced by inside.sh, in the lab's namespaces. Every service that is
# started leaves its process id in $RUN/NAME.pid and its words in $LOG/NAME.log.
ETC=$state/etc LOG=$state/log RUN=$state/run VAR=$state/var SOCK=$state/run/mysql.sock
mkdir -p "$ETC" "$LOG" "$RUN" "$VAR"
chmod 700 "$RUN"
say() { printf '[openstack lab %4d s] %s\n' "$SECONDS" "$*"; }
die() {
  say "ERROR: $*" >&2
  tail -n 5 "$LOG"/*.log >&2
  exit 1
}
alive() { kill -0 "$(cat "$RUN/$1.pid")" 2>/dev/null; }
start() { # start NAME COMMAND...
  local name=$1
  shift
  setsid "$@" >>"$LOG/$name.log" 2>&1 </dev/null &
  echo $! >"$RUN/$name.pid"
}
until_holds() { # until_holds NAME COMMAND...: within five minutes, while that service lives
  local name=$1 end=$((SECONDS + 300))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || die "$name: not ready within five minutes"
    alive "$name" || die "$name has stopped"
    sleep 0.3
  done
}
answers() { curl -s -o /dev/null -m 20 "http://$LAB_IP:$1/"; }
listens() { (exec 3<>"/dev/tcp/$LAB_IP/$1") 2>/dev/null; }
has_queues() {
  $PY -c "import sys, amqp
connection = amqp.Connection('$LAB_IP:$P_RABBIT', userid='guest', password='guest')
connection.connect()
channel = connection.channel()
for queue in sys.argv[1:]:
    channel.queue_declare(queue, passive=True)" "$@"
}
shims_of() { # shims_of NAME: what runs in front of that service, for speed
  case $1 in
    neutron-server) echo shim_neutron.py ;;
    nova-api | nova-conductor | nova-scheduler) echo shim_nova.py ;;
  esac
  case $LAB_MODE-$1 in
    fake-nova-api) echo shim_nova_api.py ;;
    fake-nova-compute) echo shim_nova_compute.py ;;
  esac
}
entry() { # entry NAME MODULE:FUNCTION: a program that runs a package's console entry
  local shim
  printf 'import sys\nsys.argv[0] = "%s"\n' "$1"
  for shim in $(shims_of "$1"); do printf "exec(open('%s').read())\n" "$LAB_SCRIPTS/$shim"; done
  printf 'from %s import %s as main\nsys.exit(main())\n' "${2%%:*}" "${2##*:}"
}
once() { # once NAME MODULE:FUNCTION ARGS...: runs it to its end
  local name=$1 what=$2
  shift 2
  $PY -c "$(entry "$name" "$what")" "$@" >>"$LOG/schemas.log" 2>&1
}
service() { # service NAME MODULE:FUNCTION ARGS...: starts it
  local name=$1 what=$2
  shift 2
  start "$name" $PY -c "$(entry "$name" "$what")" "$@"
}
db() { echo "mysql+pymysql://root@localhost/$1?unix_socket=$SOCK&charset=utf8"; }
TRANSPORT=rabbit://guest:guest@$LAB_IP:$P_RABBIT/
AUTH=http://$LAB_IP:$P_KEYSTONE/v3

# The VMs' network exists in this namespace only: one end has the gateway's address, Neutron's agent has the other.
ip link add lab0 type veth peer name lab1
ip addr add "$LAB_GATEWAY/${LAB_NET#*/}" dev lab0
ip link set lab0 up
ip link set lab1 up
. "$LAB_SCRIPTS/configuration.sh"

# ---------------------------------------------------------------- database and queue
schemas=$LAB_CACHE/schemas-$(cat "$LAB_SCRIPTS"/{nova_setup.py,up.sh} | sha256sum | cut -c1-12)-$(
  dpkg-query -W -f='${Version}\n' python3-nova python3-neutron python3-keystone | sha256sum | cut -c1-12).tar
mkdir -p "$VAR/mysql"
restored=
if [ -s "$schemas" ]; then
  tar -C "$VAR" -xf "$schemas"
  restored=1
else
  mariadb-install-db --defaults-file="$ETC/my.cnf" --user=root --auth-root-authentication-method=normal \
    --skip-test-db >>"$LOG/mariadb.log" 2>&1
fi
sql() { mariadb --no-defaults -uroot -S "$SOCK" -N -e "$1"; }
database() {
  start mariadb mariadbd --defaults-file="$ETC/my.cnf" --user=root
  until_holds mariadb mariadb --no-defaults -uroot -S "$SOCK" -e 'select 1'
}
start rabbitmq env -i PATH="$PATH" HOME="$VAR/rabbit" LANG=C.UTF-8 HOSTNAME=localhost \
  RABBITMQ_NODENAME=lab@localhost RABBITMQ_BASE="$VAR/rabbit" RABBITMQ_MNESIA_BASE="$VAR/rabbit/mnesia" \
  RABBITMQ_LOG_BASE="$LOG" RABBITMQ_CONFIG_FILE="$ETC/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$ETC/rabbit_plugins" \
  RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_PID_FILE="$RUN/rabbitmq.own" RABBITMQ_DIST_PORT=25672 \
  RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none +S 1:1" \
  ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=4369 /usr/lib/rabbitmq/bin/rabbitmq-server
database
if [ -z "$restored" ]; then
  for name in keystone glance placement nova_api nova nova_cell0 neutron; do
    sql "create database $name character set utf8mb3"
  done
  (
    once keystone-manage keystone.cmd.manage:main --config-file "$ETC/keystone.conf" db_sync &&
      $PY "$LAB_SCRIPTS/nova_setup.py" "$LAB_HOST" --config-file "$ETC/nova.conf" --config-file "$ETC/nova-db.conf" \
        >>"$LOG/schemas.log" 2>&1
  ) &
  first=$!
  once neutron-db-manage neutron.db.migration.cli:main --config-file "$ETC/neutron.conf" --config-file "$ETC/ml2.ini" upgrade heads &&
    once glance-manage glance.cmd.manage:main --config-file "$ETC/glance.conf" db_sync &&
    once placement-manage placement.cmd.manage:main --config-file "$ETC/placement/placement.conf" db sync ||
    die "the schemas of Neutron, Glance and Placement could not be made"
  wait "$first" || die "the schemas of Keystone and Nova could not be made"
  # Kept for the next run: making them takes most of a start. The database must be at rest for that.
  kill "$(cat "$RUN/mariadb.pid")"
  while alive mariadb; do sleep 0.1; done
  rm -f "$LAB_CACHE"/schemas-*.tar
  # Each lab's shell is process 1 of its own namespace: a name that no other lab's has.
  kept=$(mktemp "$schemas.XXXXXX")
  tar -C "$VAR" -cf "$kept" mysql
  mv "$kept" "$schemas"
  database
  say "schemas made"
fi
# Nova's cells keep the addresses of database and queue, and a kept schema those of another state directory.
zero=00000000-0000-0000-0000-000000000000
sql "update nova_api.cell_mappings set transport_url = if(uuid = '$zero', 'none:///', '$TRANSPORT'),
  database_connection = if(uuid = '$zero', '$(db nova_cell0)', '$(db nova)')"

# ---------------------------------------------------------------- the services
mkdir -p "$VAR/keystone/fernet" "$VAR/keystone/credential"
chmod -R 700 "$VAR/keystone"
$PY "$LAB_SCRIPTS/keystone_setup.py" "$ETC/keystone.conf" "$LAB_PASSWORD" "$AUTH" "$LAB_REGION" >>"$LOG/schemas.log" 2>&1 ||
  die "Keystone could not be set up"
wsgi() { # wsgi NAME PORT FILE THREADS: without the header, Nova fails when it uses a connection again
  echo /usr/bin/uwsgi --plugin python3 --http-socket "$LAB_IP:$2" --listen 128 --wsgi-file "$3" --processes 1 \
    --threads "$4" --master --lazy-apps --buffer-size 65535 --post-buffering 8192 --add-header Connection:close \
    --die-on-term --disable-logging --need-app
}
# shellcheck disable=SC2046
start keystone env OS_KEYSTONE_CONFIG_FILES="$ETC/keystone.conf" $(wsgi keystone $P_KEYSTONE "$ETC/keystone_wsgi.py" 6)
# shellcheck disable=SC2046
start placement env OS_PLACEMENT_CONFIG_DIR="$ETC/placement" $(wsgi placement $P_PLACEMENT "$ETC/placement_wsgi.py" 4)
until_holds rabbitmq listens $P_RABBIT
nova=(--config-file "$ETC/nova.conf")
service neutron-server neutron.cmd.eventlet.server:main --config-file "$ETC/neutron.conf" --config-file "$ETC/ml2.ini"
service nova-api nova.cmd.api:main "${nova[@]}" --config-file "$ETC/nova-db.conf"
until_holds keystone answers $P_KEYSTONE
service glance glance.cmd.api:main --config-file "$ETC/glance.conf"
service nova-conductor nova.cmd.conductor:main "${nova[@]}" --config-file "$ETC/nova-db.conf"
service nova-scheduler nova.cmd.scheduler:main "${nova[@]}" --config-file "$ETC/nova-db.conf"
if [ "$LAB_MODE" = real ]; then
  start libvirtd /usr/sbin/libvirtd --config "$ETC/libvirtd.conf"
  until_holds libvirtd virsh -c qemu:///system version
fi
# What is sent to a queue before its reader made it is lost and waits for its time-out: compute after the conductor,
# agents after Neutron.
until_holds placement answers $P_PLACEMENT
until_holds nova-conductor has_queues conductor
service nova-compute nova.cmd.compute:main "${nova[@]}" --config-file "$ETC/nova-compute.conf"
until_holds glance answers $P_GLANCE
until_holds nova-api answers $P_NOVA
until_holds neutron-server answers $P_NEUTRON
until_holds neutron-server has_queues q-plugin q-reports-plugin
service linuxbridge-agent neutron.cmd.eventlet.plugins.linuxbridge_neutron_agent:main \
  --config-file "$ETC/neutron.conf" --config-file "$ETC/ml2.ini" --config-file "$ETC/linuxbridge.ini"
$PY "$LAB_SCRIPTS/seed.py" "$LAB_MODE" "$LAB_CACHE/guest" "$LAB_NET" "$LAB_GATEWAY" "$LAB_POOL" ||
  die "flavors, images and networks could not be made"
say "OpenStack is up ($LAB_MODE); state in $state"
