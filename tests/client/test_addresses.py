"""Which URLs are read, as what, and which addresses are public."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.client.addresses import MAX_URL, Place, lookup, place_of, require_public, why_not_public
from pipeline.errors import MediaError

WEB = frozenset({80, 443})


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "93.184.215.14", "223.255.255.255"),
        *("172.15.255.255", "172.32.0.0", "192.167.255.255", "100.63.255.255", "100.128.0.0"),
        *("2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2400:cb00::1"),
        *("::ffff:8.8.8.8", "::8.8.8.8"),
    ],
)
def test_an_address_on_the_internet_is_public(address: str) -> None:
    """So is one that lies just outside a private block, and one that is written as IPv6."""
    assert why_not_public(ip_address(address)) is None


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("169.254.169.254", "metadata"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("192.0.0.192", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::127.0.0.1", "loopback"),
        ("0.0.0.0", "unspecified"),
        ("::", "unspecified"),
        ("10.0.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("fd12::1", "private"),
        ("100.64.0.1", "carrier"),
        ("169.254.0.1", "link-local"),
        ("fe80::1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("ff0e::1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("4000::1", "reserved"),
        ("2606:4700::1%eth0", "reserved"),
        ("64:ff9b::8.8.8.8", "tunnel"),
        ("64:ff9b::a9fe:a9fe", "tunnel"),
        ("64:ff9b:1::1", "tunnel"),
        ("2002:7f00:1::", "tunnel"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "tunnel"),
        ("2001:db8::1", "documents"),
    ],
)
def test_any_other_address_is_named_for_what_it_is(address: str, reason: str) -> None:
    """The words tell a person why a row was refused."""
    assert reason in (why_not_public(ip_address(address)) or "")


@given(st.ip_addresses())
@example(IPv6Address("64:ff9b::a9fe:a9fe"))
def test_nothing_is_public_that_the_standard_library_knows_to_be_special(address: IPv4Address | IPv6Address) -> None:
    """Our judgement is the stricter one of the two, IPv4 in disguise apart."""
    if why_not_public(address) is None and not getattr(address, "ipv4_mapped", None):
        assert address.is_global
        assert not address.is_multicast


@given(st.ip_addresses(v=4))
def test_an_address_in_disguise_is_judged_as_itself(address: IPv4Address) -> None:
    """IPv4-mapped and IPv4-compatible forms are as public as what they embed."""
    assert (why_not_public(IPv6Address(f"::ffff:{address}")) is None) == (why_not_public(address) is None)
    assert (why_not_public(IPv6Address(f"::{address}")) is None) == (why_not_public(address) is None)


@pytest.mark.parametrize("addresses", [["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"], ["2606:4700::1", "::1"]])
def test_one_private_address_among_public_ones_is_one_too_many(addresses: list[str]) -> None:
    """Or a name with two addresses would be a way in."""
    with pytest.raises(MediaError, match=r"^pics\.example \(.*\) is a "):
        require_public("pics.example", addresses)


def test_the_system_resolves_what_is_an_address_already() -> None:
    """Each address comes once, though the system lists it per kind of socket."""
    assert lookup("127.0.0.1", 80) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://pics.example/a.jpg", Place("http", "pics.example", 80, "/a.jpg")),
        ("https://pics.example", Place("https", "pics.example", 443, "/")),
        ("HTTPS://Pics.EXAMPLE./a", Place("https", "pics.example", 443, "/a")),
        (" https://pics.example/a \n", None),
        (" https://pics.example/a ", Place("https", "pics.example", 443, "/a")),
        ("http://pics.example:443/", Place("http", "pics.example", 443, "/")),
        ("http://pics.example?x=1#part", Place("http", "pics.example", 80, "/?x=1")),
        ("http://pics.example/a b/ü.jpg?q=ä c", Place("http", "pics.example", 80, "/a%20b/%C3%BC.jpg?q=%C3%A4%20c")),
        ("http://pics.example/a%20b?c=%2F", Place("http", "pics.example", 80, "/a%20b?c=%2F")),
        ("http://pics.example//a", Place("http", "pics.example", 80, "//a")),
        ("http://bücher.example/", Place("http", "xn--bcher-kva.example", 80, "/")),
        ("http://my_bucket.example/", Place("http", "my_bucket.example", 80, "/")),
        ("http://[2606:4700:0::1]/", Place("http", "2606:4700::1", 80, "/")),
    ],
)
def test_a_url_is_read_once_into_what_goes_on_the_wire(url: str, place: Place | None) -> None:
    """Case, dots, escapes and letters outside ASCII are settled; a line break is never part of a URL."""
    if place is None:
        with pytest.raises(MediaError, match="control characters"):
            place_of(url, WEB)
    else:
        assert place_of(url, WEB) == place


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "only http"),
        ("pics.example/a", "only http"),
        ("//pics.example/a", "only http"),
        ("file:///etc/passwd", "only http"),
        ("ftp://pics.example/", "only http"),
        ("http://", "host"),
        ("http:///a", "host"),
        ("http:pics.example/a", "host"),
        ("http://a..example/", "host"),
        ("http://pics%2eexample/", "host"),
        ("http://[fe80::1%25eth0]/", "host"),
        ("http://[2606:4700::1%eth0]/", "host"),
        ("http://[::1/", "no URL"),
        ("http://pics.example:x/", "no URL"),
        ("http://pics.example:65536/", "no URL"),
        ("http://pics.example:0/", "port 0"),
        ("http://pics.example:6379/", "port 6379"),
        ("http://me@pics.example/", "user name"),
        ("http://:@pics.example/", "user name"),
        ("http://pics.example/" + "a" * MAX_URL, "longer"),
    ],
)
def test_a_url_that_is_broken_or_leads_elsewhere_is_refused(url: str, reason: str) -> None:
    """The reason is plain."""
    with pytest.raises(MediaError, match=reason):
        place_of(url, WEB)


@given(st.sampled_from(["", "http://", "https://[", "http://a:"]), st.text())
def test_any_text_is_a_place_or_a_plain_refusal(start: str, text: str) -> None:
    """And a place is fit for the wire: ASCII, one line, no user."""
    try:
        place = place_of(start + text, WEB)
    except MediaError:
        return
    wire = place.authority + place.target
    assert wire.isascii()
    assert wire.isprintable()
    assert " " not in wire
    assert "@" not in place.authority


@pytest.mark.parametrize(
    ("place", "authority"),
    [
        (Place("http", "pics.example", 80, "/"), "pics.example"),
        (Place("https", "pics.example", 443, "/"), "pics.example"),
        (Place("https", "pics.example", 80, "/"), "pics.example:80"),
        (Place("http", "2606:4700::1", 8080, "/"), "[2606:4700::1]:8080"),
    ],
)
def test_the_host_header_names_the_port_where_it_is_unusual(place: Place, authority: str) -> None:
    """An IPv6 address wears brackets there."""
    assert place.authority == authority


@pytest.mark.parametrize(
    ("location", "there"),
    [
        ("b.jpg", Place("https", "pics.example", 443, "/album/b.jpg")),
        ("/b.jpg", Place("https", "pics.example", 443, "/b.jpg")),
        ("//cdn.example/b.jpg", Place("https", "cdn.example", 443, "/b.jpg")),
        ("https://cdn.example/b.jpg", Place("https", "cdn.example", 443, "/b.jpg")),
    ],
)
def test_a_redirect_is_read_relative_to_where_it_was_met(location: str, there: Place) -> None:
    """As in a browser."""
    assert Place("https", "pics.example", 443, "/album/a.jpg").redirected(location, WEB) == there


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        (None, "without saying where"),
        ("", "without saying where"),
        ("http://pics.example/a.jpg", "plain http"),
        ("https://[::1/", "no URL"),
        ("file:///etc/passwd", "only http"),
        ("https://pics.example:22/", "port 22"),
        ("https://me:secret@pics.example/", "user name"),
    ],
)
def test_a_redirect_is_refused_as_its_url_would_be(location: str | None, reason: str) -> None:
    """And never leaves encryption."""
    with pytest.raises(MediaError, match=reason):
        Place("https", "pics.example", 443, "/a.jpg").redirected(location, WEB)
