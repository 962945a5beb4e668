"""Accounts and their keys."""

from mp4gen.server.web.accounts import Accounts, bearer_key


def test_find_by_key_returns_the_account_of_a_key() -> None:
    """A key belongs to one account, everything else to none; no key is stored as text."""
    accounts = Accounts({"anna": "key-a", "ben": "key-b"})

    assert accounts.find_by_key(bearer_key("Bearer key-a")) == "anna"
    assert accounts.find_by_key(bearer_key("bearer  key-b ")) == "ben"
    for header in (None, "", "Bearer", "Bearer key-c", "key-a", "Basic key-a", "Bearer \udcff"):
        assert accounts.find_by_key(bearer_key(header)) is None
    assert "key-a" not in repr(vars(accounts))


def test_find_by_key_without_keys_returns_one_account() -> None:
    """A server without keys has one account for all clients."""
    accounts = Accounts({})

    assert accounts.is_open
    assert {
        accounts.find_by_key(bearer_key(header)) for header in (None, "Bearer x", "Basic y")
    } == {""}
