# Writes every configuration file of the lab. Sourced by up.sh.
mkdir -p "$ETC/placement" "$VAR"/{nova/instances,nova/lock,nova/networks,neutron/lock,glance/images,glance/staging,glance/lock,rabbit,keystone}

cat >"$ETC/my.cnf" <<E
[mariadbd]
user = root
datadir = $VAR/mysql
socket = $SOCK
pid-file = $RUN/mariadb.own.pid
skip-networking
skip-name-resolve
skip-log-bin
performance_schema = OFF
max_connections = 1000
innodb_buffer_pool_size = 128M
innodb_log_file_size = 32M
innodb_flush_log_at_trx_commit = 0
innodb_flush_method = nosync
innodb_doublewrite = OFF
sync_frm = OFF
aria_pagecache_buffer_size = 8M
key_buffer_size = 1M
E

cat >"$ETC/rabbitmq.conf" <<E
listeners.tcp.1 = $LAB_IP:$P_RABBIT
loopback_users.guest = true
log.file.level = warning
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
E
echo '[].' >"$ETC/rabbit_plugins"

authtoken() { cat <<E
[keystone_authtoken]
www_authenticate_uri = $AUTH
auth_url = $AUTH
auth_type = password
username = svc
password = $LAB_PASSWORD
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = $LAB_REGION
interface = internal
service_token_roles = admin
service_token_roles_required = true
token_cache_time = 3600
E
}
svcauth() { cat <<E
auth_url = $AUTH
auth_type = password
username = svc
password = $LAB_PASSWORD
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = $LAB_REGION
valid_interfaces = internal
E
}
rabbitsec() { cat <<E
[oslo_messaging_rabbit]
heartbeat_timeout_threshold = 0
rpc_conn_pool_size = 60
[oslo_messaging_notifications]
driver = noop
[oslo_messaging_metrics]
E
}

cat >"$ETC/keystone.conf" <<E
[DEFAULT]
public_endpoint = http://$LAB_IP:$P_KEYSTONE
[database]
connection = $(db keystone)
[token]
provider = fernet
expiration = 86400
[fernet_tokens]
key_repository = $VAR/keystone/fernet
[fernet_receipts]
key_repository = $VAR/keystone/fernet
[credential]
key_repository = $VAR/keystone/credential
[identity]
password_hash_rounds = 4
[cache]
enabled = true
backend = dogpile.cache.memory
[oslo_messaging_notifications]
driver = noop
E
cat >"$ETC/keystone_wsgi.py" <<E
import threading
from keystone.server import wsgi
application = wsgi.initialize_public_application()
E

cat >"$ETC/glance.conf" <<E
[DEFAULT]
bind_host = $LAB_IP
bind_port = $P_GLANCE
workers = 0
enabled_import_methods = [glance-direct,web-download]
node_staging_uri = file://$VAR/glance/staging
worker_self_reference_url = http://$LAB_IP:$P_GLANCE
metadata_encryption_key =
[database]
connection = $(db glance)
[glance_store]
stores = file,http
default_store = file
filesystem_store_datadir = $VAR/glance/images
[paste_deploy]
flavor = keystone
config_file = $LAB_CACHE/share/usr/share/glance-common/glance-api-paste.ini
[oslo_concurrency]
lock_path = $VAR/glance/lock
[oslo_messaging_notifications]
driver = noop
$(authtoken)
E
cp "$LAB_CACHE/share/usr/share/glance-common/schema-image.json" "$ETC/" 2>/dev/null || true

cat >"$ETC/placement/placement.conf" <<E
[DEFAULT]
[api]
auth_strategy = keystone
[placement_database]
connection = $(db placement)
[placement]
randomize_allocation_candidates = false
$(authtoken)
E
cat >"$ETC/placement_wsgi.py" <<E
from placement.wsgi import init_application
application = init_application()
E

# Without a metadata service: the guests take keys and user data from their config drive.
# With the fake driver nobody connects the ports, so nobody waits for that, nor reads the network again after each.
if [ "$LAB_MODE" = real ]; then VIF=60 NOTIFY=true POWER=20; else VIF=0 NOTIFY=false POWER=-1; fi
cat >"$ETC/nova.conf" <<E
[DEFAULT]
host = $LAB_HOST
my_ip = $LAB_IP
state_path = $VAR/nova
transport_url = $TRANSPORT
enabled_apis = osapi_compute
osapi_compute_listen = $LAB_IP
osapi_compute_listen_port = $P_NOVA
osapi_compute_workers = 1
report_interval = 20
service_down_time = 180
rpc_response_timeout = 180
max_concurrent_builds = 0
allow_resize_to_same_host = true
use_cow_images = true
resume_guests_state_on_host_boot = false
sync_power_state_interval = $POWER
heal_instance_info_cache_interval = -1
shelved_poll_interval = -1
running_deleted_instance_poll_interval = 0
shutdown_timeout = 3
vif_plugging_is_fatal = false
vif_plugging_timeout = $VIF
instance_build_timeout = 0
[api]
local_metadata_per_cell = false
max_limit = 10000
[wsgi]
api_paste_config = $LAB_CACHE/share/usr/share/nova-common/api-paste.ini
[quota]
instances = -1
cores = -1
ram = -1
key_pairs = -1
server_groups = -1
server_group_members = -1
[scheduler]
workers = 1
max_attempts = 3
discover_hosts_in_cells_interval = 60
[filter_scheduler]
enabled_filters = ComputeFilter,ComputeCapabilitiesFilter,ImagePropertiesFilter,ServerGroupAntiAffinityFilter,ServerGroupAffinityFilter
track_instance_changes = false
[conductor]
workers = 1
[oslo_concurrency]
lock_path = $VAR/nova/lock
[glance]
api_servers = http://$LAB_IP:$P_GLANCE
num_retries = 3
[placement]
$(svcauth)
[neutron]
$(svcauth)
http_retries = 3
[service_user]
send_service_user_token = true
$(svcauth)
[cinder]
os_region_name = $LAB_REGION
[vnc]
enabled = false
[spice]
enabled = false
[privsep_osbrick]
helper_command = privsep-helper --config-file $ETC/nova.conf
$(rabbitsec)
$(authtoken)
E

# nova-compute must not see the databases (it would try to read them and be refused)
cat >"$ETC/nova-db.conf" <<E
[api_database]
connection = $(db nova_api)
max_pool_size = 20
[database]
connection = $(db nova)
max_pool_size = 20
E

if [ "$LAB_MODE" = real ]; then cat >"$ETC/nova-compute.conf" <<E
[DEFAULT]
compute_driver = libvirt.LibvirtDriver
instances_path = $VAR/nova/instances
force_config_drive = true
config_drive_format = iso9660
reserved_host_memory_mb = 0
reserved_host_disk_mb = 0
initial_cpu_allocation_ratio = 64.0
initial_ram_allocation_ratio = 1.5
initial_disk_allocation_ratio = 100.0
force_raw_images = false
flat_injected = false
[libvirt]
virt_type = qemu
cpu_mode = none
connection_uri = qemu:///system
images_type = qcow2
use_virtio_for_bridges = true
inject_partition = -2
num_pcie_ports = 0
[privsep]
helper_command = privsep-helper --config-file $ETC/nova.conf
[nova_sys_admin]
helper_command = privsep-helper --config-file $ETC/nova.conf --config-file $ETC/nova-compute.conf
[vif_plug_linux_bridge_privileged]
helper_command = privsep-helper --config-file $ETC/nova.conf --config-file $ETC/nova-compute.conf
[vif_plug_ovs_privileged]
helper_command = privsep-helper --config-file $ETC/nova.conf --config-file $ETC/nova-compute.conf
E
else cat >"$ETC/nova-compute.conf" <<E
[DEFAULT]
compute_driver = fake.FakeDriver
initial_cpu_allocation_ratio = 64.0
initial_ram_allocation_ratio = 16.0
initial_disk_allocation_ratio = 16.0
reserved_host_memory_mb = 0
E
fi

cat >"$ETC/neutron.conf" <<E
[DEFAULT]
host = $LAB_HOST
bind_host = $LAB_IP
bind_port = $P_NEUTRON
state_path = $VAR/neutron
transport_url = $TRANSPORT
core_plugin = ml2
service_plugins = $([ "$LAB_MODE" = real ] && echo router)
auth_strategy = keystone
api_workers = 2
rpc_workers = 1
rpc_state_report_workers = 0
api_paste_config = $LAB_CACHE/share/usr/share/neutron-common/api-paste.ini
notify_nova_on_port_status_changes = $NOTIFY
notify_nova_on_port_data_changes = $NOTIFY
agent_down_time = 600
rpc_response_timeout = 60
dhcp_agents_per_network = 1
max_subnet_host_routes = 100
dns_domain = oslab.
[experimental]
linuxbridge = true
[agent]
root_helper = env
root_helper_daemon =
report_interval = 30
[privsep]
helper_command = privsep-helper --config-file $ETC/neutron.conf
[database]
connection = $(db neutron)
max_pool_size = 20
[nova]
$(svcauth | sed 's/^valid_interfaces.*/endpoint_type = internal/')
[placement]
$(svcauth | sed 's/^valid_interfaces.*/endpoint_type = internal/')
[quotas]
default_quota = -1
quota_network = -1
quota_subnet = -1
quota_port = -1
quota_router = -1
quota_floatingip = -1
quota_security_group = -1
quota_security_group_rule = -1
[oslo_concurrency]
lock_path = $VAR/neutron/lock
$(rabbitsec)
$(authtoken)
E
cat >"$ETC/ml2.ini" <<E
[ml2]
type_drivers = flat,local
tenant_network_types = local
mechanism_drivers = linuxbridge
extension_drivers = port_security
[ml2_type_flat]
flat_networks = physnet1
[securitygroup]
enable_security_group = true
firewall_driver = $([ "$LAB_MODE" = real ] && echo iptables || echo noop)
enable_ipset = true
E
cat >"$ETC/linuxbridge.ini" <<E
[linux_bridge]
physical_interface_mappings = physnet1:lab1
[vxlan]
enable_vxlan = false
[agent]
polling_interval = 2
E
# ------------------------------------------------------------------ credentials for the user
cat >"$VMPOOL_OPENSTACK/openrc" <<E
# source me: admin (LAB_USER=demo before sourcing: the ordinary user)
unset \${!OS_*}
export OS_AUTH_URL=$AUTH OS_IDENTITY_API_VERSION=3 OS_REGION_NAME=$LAB_REGION
export OS_USERNAME=\${LAB_USER:-admin} OS_PASSWORD=$LAB_PASSWORD OS_PROJECT_NAME=\${LAB_USER:-admin}
export OS_USER_DOMAIN_NAME=Default OS_PROJECT_DOMAIN_NAME=Default
E
{ echo "clouds:"; for u in admin demo; do cat <<E
  $u:
    auth:
      auth_url: $AUTH
      username: $u
      password: $LAB_PASSWORD
      project_name: $u
      user_domain_name: Default
      project_domain_name: Default
    region_name: $LAB_REGION
    identity_api_version: 3
E
done; } >"$VMPOOL_OPENSTACK/clouds.yaml"

# ------------------------------------------------------------------ libvirt: everything as root, nothing that wants systemd
cat >/etc/libvirt/qemu.conf <<E
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
swtpm_user = "root"
swtpm_group = "root"
E
cat >"$ETC/libvirtd.conf" <<E
unix_sock_group = "root"
unix_sock_rw_perms = "0700"
auth_unix_ro = "none"
auth_unix_rw = "none"
max_clients = 200
host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
E
