"""Which network interface of this host holds an address: what gloo and NCCL want named.

interface_of("127.0.0.1")      # "lo"

IPv4 on Linux, see netdevice(7). A host's own name is not asked: in a container it may not resolve.
"""

from __future__ import annotations

import fcntl
import socket
import struct

from ch6dist.errors import InputError

SIOCGIFADDR = 0x8915  # linux/sockios.h: the address of a named interface


def interface_of(address: str) -> str:
    """The name of the interface whose IPv4 address is `address`; InputError, with those there are, where none is."""
    held = {name: _address_of(name) for _, name in socket.if_nameindex()}
    for name, found in held.items():
        if found == address:
            return name
    addresses = [f"{found} ({name})" for name, found in held.items() if found]
    raise InputError("address", address, f"an address of this host: {', '.join(addresses) or 'it has none'}")


def _address_of(name: str) -> str | None:
    request = struct.pack("256s", name.encode())  # struct ifreq: a name of 16 bytes, then a sockaddr
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            answer = fcntl.ioctl(any_socket, SIOCGIFADDR, request)
        except OSError:  # an interface without an IPv4 address
            return None
    return socket.inet_ntoa(answer[20:24])
