#!/bin/bash
# Builds the image that the lab's VMs boot: a minimal Debian on ext4, its cloud kernel, and a small initramfs that
# finds the disk. No systemd: under software emulation that alone would take half a minute of each boot.
#   guest-image.sh DIR [systemd]     makes DIR/{vmlinuz,initrd,root.qcow2}; what is there already stays. With systemd, as
#                                    the images of clouds have it: for test/vm
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1 init=${2:-none}
[ -s "$target/root.qcow2" ] && [ -s "$target/vmlinuz" ] && [ -s "$target/initrd" ] && exit 0
mkdir -p "$target"
work=$(mktemp -d "$target/build.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
packages=openssh-server,passwd,login,cron,at,coreutils,procps,findutils,util-linux,iproute2,tar,gzip,sed,grep,gawk,hostname,kmod
[ "$init" != systemd ] || packages+=,systemd-sysv,dbus,libpam-systemd
# The machine's own mirror, whatever it is.
mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | sort -u | grep -v security | head -1)
[ -n "$mirror" ] || mirror=http://deb.debian.org/debian
# The apt configuration may hold what reaching the mirror takes; debootstrap speaks through wget alone, so what
# it cannot fetch is looked for among packages that apt has downloaded.
debootstrap --variant=minbase --include="$packages" "$suite" root "$mirror" >debootstrap.log 2>&1 || {
  tail -20 debootstrap.log root/debootstrap/debootstrap.log 2>/dev/null
  exit 1
}

# --- the system of a VM
rm -rf root/var/cache/apt/* root/var/lib/apt/lists/* root/usr/share/doc/* root/usr/share/man/* root/usr/share/locale/* \
  root/var/log/* root/etc/ssh/ssh_host_*
install -m 755 "$here/guest-init" root/sbin/guest-init
mkdir -p root/config
echo 'UseDNS no' >root/etc/ssh/sshd_config.d/lab.conf
# The post-quantum exchange costs an emulated processor a second of every login.
echo 'KexAlgorithms curve25519-sha256,curve25519-sha256@libssh.org' >>root/etc/ssh/sshd_config.d/lab.conf
# A message of the day is made by five programs at each login.
sed -i '/pam_motd/d; /pam_mail/d' root/etc/pam.d/sshd root/etc/pam.d/login
: >root/etc/fstab
: >root/etc/machine-id
rm -f root/etc/cron.*/* root/etc/resolv.conf
: >root/etc/resolv.conf

# --- kernel, and the modules that a VM needs
apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1 || apt-get -qq update
image=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image/{print $2; exit}')
# apt's own sandbox user may not write here.
apt-get -o APT::Sandbox::User=root download -q "$image" >/dev/null
dpkg-deb -x linux-image-*.deb kernel
version=$(basename kernel/lib/modules/*)
depmod -b kernel "$version"
mkdir -p ramdisk/{bin,proc,sys,dev,modules,root} root/lib/modules
cp /bin/busybox ramdisk/bin/
for tool in sh mount switch_root insmod cat sleep; do ln -s busybox "ramdisk/bin/$tool"; done
order() { # the files of these modules and of what they need, in the order of loading
  for module in "$@"; do modprobe -d "$work/kernel" -S "$version" --show-depends "$module" | awk '$1 == "insmod" {print $2}'; done |
    awk '!seen[$0]++'
}
order virtio_pci virtio_blk virtio_net virtio_rng ext4 ata_piix sr_mod isofs | while read -r file; do
  cp "$file" ramdisk/modules/
  basename "$file" >>ramdisk/modules/order
done
cat >ramdisk/init <<'I'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
while read -r module; do insmod "/modules/$module" || echo "no $module" >/dev/console; done </modules/order
tries=0
while [ ! -b /dev/vda ] && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
mount -t ext4 -o noatime /dev/vda /root || echo "cannot mount /dev/vda" >/dev/console
mount -o move /dev /root/dev
mount -o move /proc /root/proc
mount -o move /sys /root/sys
exec switch_root /root /sbin/guest-init
I
chmod 755 ramdisk/init
(cd ramdisk && find . | cpio -o -H newc -R 0:0 --quiet | gzip -6) >initrd
cp kernel/boot/vmlinuz-* vmlinuz

# --- the disk
mke2fs -q -t ext4 -d root -O ^has_journal -E root_owner=0:0 root.raw 700M
qemu-img convert -f raw -O qcow2 root.raw root.qcow2
mv vmlinuz initrd root.qcow2 "$target/"
ls -la "$target"
