"""An address of this host names an interface; another is refused with those there are."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from ch6dist.errors import InputError
from ch6dist.host.interfaces import interface_of


def test_the_loopback_address_is_the_loopback_interface():
    assert interface_of("127.0.0.1") == "lo"


@pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 is not installed")
def test_interfaces_are_those_that_ip_names():
    answer = subprocess.run(["ip", "-json", "-4", "address"], capture_output=True, text=True, check=True).stdout
    links = [link for link in json.loads(answer) if link["addr_info"]]
    assert links
    for link in links:
        assert interface_of(link["addr_info"][0]["local"]) == link["ifname"]


@pytest.mark.parametrize("address", ["192.0.2.1", "0.0.0.0", "localhost", ""])
def test_an_address_of_no_interface_is_refused_with_those_there_are(address):
    with pytest.raises(InputError, match=r"address: '.*' is not allowed; allowed: .*127\.0\.0\.1 \(lo\)"):
        interface_of(address)
