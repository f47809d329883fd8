#!/bin/sh
# Build containerlab through the Go module proxy and print where it is; what is built already is
# only named. For our own test: a user installs a release (https://containerlab.dev/install).
#
# `go install github.com/srl-labs/containerlab@VERSION` refuses a module whose go.mod has replace
# directives, as this one's has. One of what it needs, inet.af/netaddr, no longer has a host: only
# gomplate's net.ParseIP* functions use it, in templates of network operating systems, never for
# nodes of the kind linux. A module that answers them with an error (netaddr/) takes its place.
set -eu
version=${1:-v0.60.0}
module=github.com/srl-labs/containerlab
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/swarm-ingress-lab/containerlab/$version
if [ ! -x "$cache/containerlab" ]; then
    case $(go version) in
    *" go1."[0-9][." "]* | *" go1.1"* | *" go1.20"* | *" go1.21"*)
        echo "$(go version) is too old for containerlab $version: Go 1.22 or later is needed" >&2
        exit 1
        ;;
    esac
    work=$(mktemp -d "${TMPDIR:-/var/tmp}/containerlab.XXXXXX")
    trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
    trap 'exit 1' HUP INT TERM
    cd "$work"
    # The checksum of the module is compared with Go's public log of checksums, as always.
    source=$(GOFLAGS=-mod=mod go mod download -json "$module@$version" |
        sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
    cp -R "$source" tree
    chmod -R u+w tree
    cp -R "$here/netaddr" tree/netaddr
    cd tree
    go mod edit -replace inet.af/netaddr=./netaddr
    CGO_ENABLED=0 GOFLAGS='-mod=mod -buildvcs=false' go build -trimpath \
        -ldflags "-s -w -X $module/cmd.version=${version#v}" -o "$work/containerlab" .
    (umask 077 && mkdir -p "$cache")
    mv "$work/containerlab" "$cache/containerlab.new"
    mv "$cache/containerlab.new" "$cache/containerlab"
fi
echo "$cache/containerlab"
