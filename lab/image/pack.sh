#!/bin/sh
# Turn a root file system tar into an ext4 disk image: pack.sh ROOTFS.TAR DISK SIZE [RUN-AS-ROOT...]
# The words after SIZE start a program as (possibly fake) root. That root may not be able to enter
# the directories of ROOTFS.TAR and DISK, so both go through pipes; tar -S keeps the holes.
set -eu
PATH=$PATH:/usr/sbin:/sbin # mke2fs; Debian gives its users no sbin
export PATH
rootfs=$1
disk=$2
size=$3
shift 3
out=$(dirname "$disk")
# shellcheck disable=SC2016  # expanded by the inner shell
"$@" sh -euc '
    work=$(mktemp -d "${TMPDIR:-/var/tmp}/swarm-ingress-lab.XXXXXX")
    trap "rm -rf \"\$work\"" EXIT
    trap "exit 1" HUP INT TERM
    mkdir "$work/root"
    tar -xf - -C "$work/root" --numeric-owner --exclude="./dev/*"
    # No journal and no checksums: the disk is thrown away with the lab.
    mke2fs -q -F -t ext4 -O ^has_journal,^metadata_csum -E lazy_itable_init=1,root_owner=0:0 \
        -m 0 -L lab -d "$work/root" "$work/disk" "$1" >&2
    tar -cSf - -C "$work" disk
' pack "$size" < "$rootfs" | tar -xSf - -C "$out" --no-same-owner --transform "s,^disk\$,$(basename "$disk"),"
[ -s "$disk" ]
