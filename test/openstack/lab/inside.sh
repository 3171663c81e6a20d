#!/bin/bash
# Run by run.sh, as the first process of the lab's namespaces: the services, then the command.
set -euo pipefail
. "$(dirname "$0")/settings.sh"
state=$VMPOOL_OPENSTACK
# In memory: it goes with the namespace, and databases need not wait for a disk.
mount -t tmpfs -o mode=755,size=8g tmpfs "$state"
# The inherited one shows the network cards of the namespace that it was mounted in; Neutron's agent looks for the
# VMs' cards there and would never connect one.
mount -t sysfs sysfs /sys
# Directories with fixed places, for this lab alone.
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns /run/lock /run/libvirt /run/sshd "$state/var/libvirt" "$state/etc/libvirt"
mkdir -p /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
mount --bind "$state/etc/libvirt" /etc/libvirt
for place in lib cache log; do
  mkdir -p "$state/var/libvirt/$place"
  mount --bind "$state/var/libvirt/$place" "/var/$place/libvirt"
done
# libvirtd looks its usual user up before it reads that it shall use root: accounts of this lab alone.
for file in passwd group; do cp "/etc/$file" "$state/etc/$file"; done
grep -q ^libvirt-qemu: /etc/group || echo 'libvirt-qemu:x:64055:' >>"$state/etc/group"
grep -q ^libvirt-qemu: /etc/passwd ||
  echo 'libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin' >>"$state/etc/passwd"
for file in passwd group; do mount --bind "$state/etc/$file" "/etc/$file"; done
# QEMU keeps up to a gigabyte of translated code for each VM, for which Nova has no setting: a tenth of it is as fast.
# QEMU finds its firmware from the place of its program, so the real one goes by the name of the one beside it.
if [ "$LAB_MODE" = real ]; then
  qemu=/usr/bin/qemu-system
  cat >"$state/qemu" <<E
#!/bin/bash
words=()
for word; do [ "\$word" != tcg ] || word=tcg,tb-size=128; words+=("\$word"); done
exec -a "\$0" $qemu-i386 "\${words[@]}"
E
  chmod 755 "$state/qemu"
  mount --bind "$qemu-x86_64" "$qemu-i386"
  mount --bind "$state/qemu" "$qemu-x86_64"
fi
ip link set lo up
keep_logs() { [ -z "${LAB_LOGS:-}" ] || { mkdir -p "$LAB_LOGS" && cp -r "$state/log/." "$LAB_LOGS/"; }; }
trap keep_logs EXIT
. "$LAB_SCRIPTS/up.sh"
code=0
"$@" || code=$?
# Nothing here needs a goodbye: with the end of this process, the first of its namespace, the kernel ends all others.
exit "$code"
