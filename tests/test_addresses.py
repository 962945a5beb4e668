"""Public, private and loopback addresses in every spelling, and http(s) URLs."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp4gen.addresses import (
    PublicAddressError,
    is_loopback,
    is_public,
    parse_http_url,
    private_socket,
)

LOOPBACK = (
    "127.0.0.1 127.255.255.254 ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 localhost 0:0:0:0:0:0:0:1"
).split()

PRIVATE = (
    "0.0.0.0 169.254.169.254 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 "
    "255.255.255.255 224.0.0.1 240.0.0.1 198.18.0.1 fe80::1 fe80::1%lo fc00::1 fd12::1 fec0::1 "
    "ff02::1 :: ::7f00:1 ::ffff:10.0.0.1 ::ffff:0:7f00:1 64:ff9b::7f00:1 64:ff9b::a9fe:a9fe "
    "64:ff9b:1::1 2002:7f00:1:: 2002:808:808:: 2001:db8::1 2130706433 0x7f000001 0x7f.1 127.1 "
    "017700000001 0177.0.0.01 0 LOCALHOST localhost. localhost.. LocalHost. api.localhost "
    "127.0.0.1. 2852039166"
).split()

PUBLIC = "1.1.1.1 8.8.8.8 2606:4700::1111 64:ff9b::808:808 ::ffff:8.8.8.8".split()


@pytest.mark.parametrize("host", [*LOOPBACK, *PRIVATE])
def test_is_public_refuses_every_spelling_of_a_private_address(host: str) -> None:
    """Addresses of this machine or its network, as a resolver or the kernel reads them."""
    assert is_public(host) is False


@pytest.mark.parametrize("host", PUBLIC)
def test_is_public_accepts_addresses_of_the_internet(host: str) -> None:
    """An IPv4 address that is written as an IPv6 one is accepted, too."""
    assert is_public(host) is True


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.nip.io", "localhost.com", "a..b", ""])
def test_is_public_returns_none_for_a_name(host: str) -> None:
    """A name is not judged by its text."""
    assert is_public(host) is None


@pytest.mark.parametrize("host", LOOPBACK)
def test_is_loopback_accepts_this_machine(host: str) -> None:
    """A key may go there unencrypted."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", [None, "", "10.0.0.1", "0.0.0.0", "localhost.example.com"])  # noqa: S104 - nothing binds
def test_is_loopback_refuses_other_hosts(host: str | None) -> None:
    """Every address that may be another machine is refused."""
    assert not is_loopback(host)


@pytest.mark.parametrize("address", ["1.1.1.1", "64:ff9b::808:808", "2606:4700::1111"])
def test_private_socket_refuses_public_addresses(address: str) -> None:
    """The resolved address decides, whatever the name was."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(PublicAddressError):
        private_socket((family, socket.SOCK_STREAM, 0, "", (address, 80)))


@pytest.mark.parametrize("address", ["127.0.0.1", "192.168.1.5", "10.0.0.1"])
def test_private_socket_accepts_private_addresses(address: str) -> None:
    """It returns a socket that is not connected yet."""
    with private_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 80))) as made:
        assert made.family == socket.AF_INET


@given(st.ip_addresses(v=4))
def test_is_public_agrees_for_all_spellings(address: ipaddress.IPv4Address) -> None:
    """Mapped, decimal, octal and hexadecimal spellings give the result of the plain one."""
    expected = is_public(str(address))
    number = int(address)

    spellings = [f"::ffff:{address}", f"64:ff9b::{address}", str(number), f"{number:#x}"]
    spellings += [f"0{number:o}", ".".join(f"{part:#x}" for part in address.packed)]

    assert {is_public(spelling) for spelling in spellings} == {expected}


@given(st.text())
def test_is_public_accepts_any_text(host: str) -> None:
    """No text raises."""
    assert is_public(host) in (True, False, None)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/a?b=c#d",
        "HTTPS://Example.com",
        "https://bücher.example/é",
        "http://[::1]/",
        "https://me:secret@example.com:65535/",
    ],
)
def test_parse_http_url_returns_the_parts(url: str) -> None:
    """Any absolute http or https URL has a host."""
    parts = parse_http_url(url)

    assert parts is not None
    assert parts.hostname


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com",
        "ftp://example.com",
        "https://",
        "https:///path",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:x",
        "https://[::1",
        "https://exa\nmple.com",
        "https://example.com/\x00",
    ],
)
def test_parse_http_url_refuses_other_texts(url: str) -> None:
    """A relative URL, another scheme, no host, an impossible port, a control character."""
    assert parse_http_url(url) is None
