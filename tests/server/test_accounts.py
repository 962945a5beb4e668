"""Accounts and their keys."""

from mp4gen.server.web.accounts import Accounts


def test_authenticate_finds_the_account_of_a_key() -> None:
    """A key belongs to one account, everything else to none; no key is stored as text."""
    accounts = Accounts({"anna": "key-a", "ben": "key-b"})

    assert accounts.authenticate("Bearer key-a") == "anna"
    assert accounts.authenticate("bearer  key-b ") == "ben"
    for header in (None, "", "Bearer", "Bearer key-c", "key-a", "Basic key-a", "Bearer \udcff"):
        assert accounts.authenticate(header) is None
    assert "key-a" not in repr(vars(accounts))


def test_authenticate_without_keys_finds_one_account() -> None:
    """A server without keys has one account for all clients."""
    accounts = Accounts({})

    assert accounts.is_open
    assert {accounts.authenticate(header) for header in (None, "Bearer x", "Basic y")} == {""}
