#!/bin/bash
# Installs OpenStack from Debian's packages, without starting anything, and builds the guest image. The only step
# that needs a package mirror. Idempotent.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
[ "$(id -u)" = 0 ] || { echo "the OpenStack lab needs root" >&2; exit 1; }
mkdir -p "$LAB_CACHE"
exec 9>"$LAB_CACHE/prepare.lock"
flock 9
log=$LAB_CACHE/prepare.log
say() { printf '[openstack lab %4d s] %s\n' "$SECONDS" "$*"; }

wanted="mariadb-server-core mariadb-client-core rabbitmq-server uwsgi-core uwsgi-plugin-python3
  python3-keystone python3-glance python3-placement python3-nova python3-neutron
  python3-pymysql python3-sqlalchemy-ext python3-openstacksdk bridge-utils iptables ipset ebtables iproute2 curl procps
  qemu-system-x86 qemu-utils libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients python3-libvirt
  genisoimage busybox-static cpio kmod debootstrap e2fsprogs util-linux"
missing=
for package in $wanted; do
  dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q ' installed$' || missing="$missing $package"
done
# What starts with the machine: units that some target wants, and start scripts.
starters() {
  find /etc/systemd/system -path '*.wants/*' 2>/dev/null
  find /etc/rc[2-5].d -name 'S*' 2>/dev/null
}
update_lists() { apt-get update -qq -o DPkg::Lock::Timeout=300 >>"$log" 2>&1; }
if [ -n "$missing" ]; then
  say "installing$missing"
  # Nothing may start because its package is installed, neither now nor with the machine. The mark: scripts/child.mjs
  # takes over what a killed process left.
  policy=/usr/sbin/policy-rc.d mark='# Written while packages are installed, removed right after.'
  own_policy=
  started_before=$(starters | sort)
  leave_quiet() {
    [ -z "$own_policy" ] || rm -f "$policy"
    local new name
    comm -13 <(echo "$started_before") <(starters | sort) | while read -r new; do
      name=$(basename "$new")
      case $new in
        /etc/systemd/*) rm -f "$new" ;;
        *) update-rc.d "${name#S[0-9][0-9]}" disable >/dev/null 2>&1 || true ;;
      esac
    done
  }
  trap leave_quiet EXIT
  trap 'exit 143' TERM HUP
  trap 'exit 130' INT
  if [ ! -e "$policy" ] || grep -qF "$mark" "$policy"; then
    own_policy=1
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
    chmod 755 "$policy"
  fi
  export DEBIAN_FRONTEND=noninteractive
  update_lists
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
    -o Dpkg::Options::=--force-unsafe-io $missing >>"$log" 2>&1 9>&- || { tail -30 "$log"; exit 1; }
  leave_quiet
  own_policy=
  trap - EXIT
  say "packages are installed"
fi
# Paste files live in packages whose set-up wants databases and debconf: unpacked, not installed. So is cloud-init, which
# would take this machine over when it boots.
if [ ! -d "$LAB_CACHE/share/usr/lib/python3/dist-packages/cloudinit" ]; then
  rm -rf "$LAB_CACHE/share.new"
  mkdir -p "$LAB_CACHE/share.new/download"
  # Machines that are images often have packages without the lists that they came from.
  apt-cache show nova-common >/dev/null 2>&1 || update_lists
  (cd "$LAB_CACHE/share.new/download" &&
    apt-get -o APT::Sandbox::User=root download -q nova-common glance-common neutron-common cloud-init >>"$log" 2>&1)
  for file in "$LAB_CACHE"/share.new/download/*.deb; do dpkg-deb -x "$file" "$LAB_CACHE/share.new"; done
  rm -rf "$LAB_CACHE/share.new/download" "$LAB_CACHE/share"
  mv "$LAB_CACHE/share.new" "$LAB_CACHE/share"
fi
# What it mounts goes with the namespace, also when it is interrupted.
[ "$LAB_MODE" = fake ] || unshare --mount --propagation private "$LAB_SCRIPTS/guest-image.sh" "$LAB_CACHE/guest" >>"$log" 2>&1 9>&- || { tail -30 "$log"; exit 1; }
say "prepared"
