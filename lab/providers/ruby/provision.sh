#!/bin/sh
# Runs as root on a plain Debian machine: see lab/image/provision.py, which does the work.
set -eu
cd /tmp/swarm-ingress-lab
command -v python3 > /dev/null || { apt-get -qq update; apt-get -qq -y install python3; }
python3 -m lab.image.provision
rm -rf /tmp/swarm-ingress-lab
