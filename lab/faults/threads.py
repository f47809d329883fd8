"""Where faults are told of: public threads, and what was measured here. Pure."""

MEASURED = "measured (docker.io 26.1.5, Linux 6.12)"


def moby(number: int) -> str:
    """Return the address of a thread about the Docker Engine."""
    return f"https://github.com/moby/moby/issues/{number}"


def libnetwork(number: int) -> str:
    """Return the address of a thread about Docker's network library, now a part of moby."""
    return f"https://github.com/moby/libnetwork/issues/{number}"
