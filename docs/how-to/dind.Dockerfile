# A node of Docker's own public image, for --provider containerlab. Not run by us: it needs a registry.
# From this project's directory, on the host that carries the containers:
#   docker build --tag swarm-node --file docs/how-to/dind.Dockerfile .
#   LAB_CONTAINER_IMAGE=swarm-node invoke lab.up --provider containerlab
FROM debian:trixie AS archive
RUN apt-get update && apt-get install --yes --no-install-recommends python3 python3-minimal
WORKDIR /project
COPY lab lab
COPY node-test node-test
RUN python3 -c "from pathlib import Path; from lab.image.provision import make_archive; \
    make_archive(Path('/usr/share/node-test/node-test.tar'))"

FROM docker:dind
RUN apk add --no-cache conntrack-tools coreutils curl ethtool iproute2 ipvsadm iptables \
    openssh-server procps tcpdump util-linux
COPY --from=archive /usr/share/node-test /usr/share/node-test
