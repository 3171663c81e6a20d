# What every script of the lab knows. Sourced.
LAB_SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
unset PYTHONPATH PYTHONHOME
# Kept between runs: the guest image and the databases' empty schemas.
LAB_CACHE=${VMPOOL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmpool}/openstack
# real: QEMU guests that answer SSH; fake: Nova's fake driver, for numbers of servers.
: "${LAB_MODE:=real}"
LAB_IP=127.0.0.1
LAB_REGION=RegionOne
LAB_PASSWORD=secret
LAB_NET=10.213.0.0/20 LAB_GATEWAY=10.213.0.1 LAB_POOL=10.213.1.1,10.213.15.250
LAB_HOST=oslab
P_KEYSTONE=5000 P_GLANCE=9292 P_PLACEMENT=8778 P_NOVA=8774 P_NEUTRON=9696 P_RABBIT=5672
export P_KEYSTONE P_GLANCE P_PLACEMENT P_NOVA P_NEUTRON
PY=/usr/bin/python3
