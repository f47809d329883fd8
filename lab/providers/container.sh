#!/bin/sh
# Turn the node image's disk into a tar for `docker import`: container.sh DISK TAR [RUN-AS-ROOT...]
# The words after TAR start a program as (possibly fake) root. That root may not be able to enter
# the directories of both files, so they are opened here. A container boots no kernel: what is in
# /boot and the modules stay behind. debugfs loses set-user-ID and sticky bits: nobody but root is
# on a node, and the directories for everybody's temporary files get theirs again.
set -eu
PATH=$PATH:/usr/sbin:/sbin # debugfs; Debian gives its users no sbin
export PATH
disk=$1
tar=$2
shift 2
# shellcheck disable=SC2016  # expanded by the inner shell
"$@" sh -euc '
    work=$(mktemp -d "${TMPDIR:-/var/tmp}/swarm-ingress-lab.XXXXXX")
    trap "rm -rf \"\$work\"" EXIT
    trap "exit 1" HUP INT TERM
    mkdir "$work/root"
    debugfs -R "rdump / $work/root" /dev/fd/0 >&2
    chmod 1777 "$work/root/tmp" "$work/root/var/tmp"
    tar -cf - -C "$work/root" --numeric-owner --exclude=./usr/lib/modules --exclude="./boot/*" \
        --exclude=./lost+found .
' < "$disk" > "$tar"
[ -s "$tar" ]
