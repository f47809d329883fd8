#!/bin/sh
# mmdebstrap customize hook: $1 is the new root, $2 the kernel meta package.
# The kernel is unpacked, not installed: its postinst would build a 17 MB initrd that we do not
# boot, and pull in what builds it. Modules are unpacked here so that no guest has to do it.
set -eu
root=$1
kernel=$2
work=$root/var/tmp/kernel
mkdir -p "$work/tree"
cd "$work"
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
export APT_CONFIG
package=$(apt-cache depends --no-recommends "$kernel" |
    sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
[ -n "$package" ] || { echo "no kernel package behind $kernel" >&2; exit 1; }
apt-get --quiet=2 download "$package"
dpkg-deb --extract ./*.deb tree
modules=tree/usr/lib/modules
[ -d "$modules" ] || modules=tree/lib/modules
mkdir -p "$root/usr/lib/modules" "$root/boot"
cp -a "$modules/." "$root/usr/lib/modules/"
cp tree/boot/vmlinuz-* tree/boot/config-* "$root/boot/"
chroot "$root" sh -c '
    cd /usr/lib/modules/* &&
    find . -name "*.ko.xz" -print0 | xargs -0 -r -P 4 -n 64 xz --decompress &&
    depmod "$(basename "$PWD")"'
cd /
rm -rf "$work"
rm -f "$root"/etc/ssh/ssh_host_*
# Every machine makes its own at its first boot.
: > "$root/etc/machine-id"
