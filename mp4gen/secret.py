"""A key or password that no `repr`, log, traceback, JSON or pickle shows; imports nothing."""

from typing import AnyStr

# A shorter secret would occur in other texts by chance.
_MIN_REDACTABLE_LENGTH = 8


class Secret:
    """An opaque value: only `reveal` returns the text.

    It takes a value of any type, so that an invalid one is hidden from the traceback, too, that
    says so.
    """

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        inner: object = value._value if isinstance(value, Secret) else value  # noqa: SLF001 - its own
        self._value: object = inner.strip() if isinstance(inner, str) else inner

    def __repr__(self) -> str:
        return "'***'"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Most programs compare none.
        import hmac

        values = (str(secret._value).encode() for secret in (self, other))  # noqa: SLF001 - its own
        return hmac.compare_digest(*values)

    def __hash__(self) -> int:
        return hash(str(self._value))

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("A secret cannot be pickled or copied.")

    @property
    def is_text(self) -> bool:
        """Whether the value is a string."""
        return isinstance(self._value, str)

    @property
    def type_name(self) -> str:
        """The name of the value's type."""
        return type(self._value).__name__

    def reveal(self) -> str:
        """Return the text.

        Raises:
            TypeError: The value is not a string.
        """
        if not isinstance(self._value, str):
            raise TypeError(f"Not a string: {self.type_name}.")
        return self._value

    def occurs_in(self, text: str) -> bool:
        """Return whether `redact` would change `text`."""
        secret = self.reveal()
        return len(secret) >= _MIN_REDACTABLE_LENGTH and secret in text

    def redact(self, text: AnyStr) -> AnyStr:
        """Return `text` with stars in place of the secret."""
        secret = self.reveal()
        if len(secret) < _MIN_REDACTABLE_LENGTH:
            return text
        if isinstance(text, bytes):
            return text.replace(secret.encode(), b"***")
        return text.replace(secret, "***")


class HiddenHeader(str):
    """The value of a header, shown as stars: aiohttp sends strings only."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"
