"""What is public and what is not, in every spelling."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mp4gen.addresses import is_loopback, is_public, parse_http_url

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
def test_a_private_address_is_known_in_every_spelling(host: str) -> None:
    """What a resolver or the kernel would take to this machine or its neighbours is not public."""
    assert is_public(host) is False


@pytest.mark.parametrize("host", PUBLIC)
def test_an_address_of_the_internet_is_public(host: str) -> None:
    """Also where it is written as, or translated from, the other kind of address."""
    assert is_public(host) is True


@pytest.mark.parametrize("host", ["example.com", "127.0.0.1.nip.io", "localhost.com", "a..b", ""])
def test_only_dns_knows_about_a_name(host: str) -> None:
    """No name is judged by what it looks like."""
    assert is_public(host) is None


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_this_machine(host: str) -> None:
    """There a key may go without encryption."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", [None, "", "10.0.0.1", "0.0.0.0", "localhost.example.com"])  # noqa: S104 - nothing binds
def test_nothing_else_is_this_machine(host: str | None) -> None:
    """Whatever could be elsewhere is."""
    assert not is_loopback(host)


@given(st.ip_addresses(v=4))
def test_each_spelling_of_an_address_means_the_same(address: ipaddress.IPv4Address) -> None:
    """Mapped, decimal, octal or hexadecimal: the verdict is that of the plain spelling."""
    expected = is_public(str(address))
    number = int(address)

    spellings = [f"::ffff:{address}", f"64:ff9b::{address}", str(number), f"{number:#x}"]
    spellings += [f"0{number:o}", ".".join(f"{part:#x}" for part in address.packed)]

    assert {is_public(spelling) for spelling in spellings} == {expected}


@given(st.text())
def test_any_text_gets_a_verdict(host: str) -> None:
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
