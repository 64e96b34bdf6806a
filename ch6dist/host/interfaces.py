"""Which network interface of this host holds an address: what gloo and NCCL need by name.

interface_of("127.0.0.1")      # "lo"

Addresses are compared as text, and host names are not resolved: in a container a host's own name may not resolve.
"""

from __future__ import annotations

import socket

import psutil

from ch6dist.errors import InputError


def interface_of(address: str) -> str:
    """Return the name of the interface whose IPv4 address is `address`; InputError lists the addresses of this host."""
    held = {
        found.address: name
        for name, addresses in psutil.net_if_addrs().items()
        for found in addresses
        if found.family == socket.AF_INET
    }
    if address not in held:
        there = ", ".join(f"{found} ({name})" for found, name in held.items())
        raise InputError("address", address, f"an address of this host: {there or 'it has none'}")
    return held[address]
