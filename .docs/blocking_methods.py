"""Show the methods of `mp4gen.sync.Client`: made at run time of those of `mp4gen.Client`."""

from typing import Any

from griffe import Attribute, Class, Extension, Function, Module

_MAKER = "_blocking"


class BlockingMethods(Extension):
    """Replace each attribute that is a blocking form of a method by that method."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Handle the one class that has such attributes."""
        client = pkg["sync.client.Client"]
        for member in list(client.members.values()):
            if isinstance(member, Attribute) and str(member.value).startswith(f"{_MAKER}("):
                client.set_member(member.name, _blocking(pkg["client.Client"], member, client))
        client.set_member("__init__", _copy(pkg["client.Client"].members["__init__"], client))


def _blocking(async_client: Class, attribute: Attribute, client: Class) -> Function:
    method = async_client.all_members[attribute.name]
    return _copy(getattr(method, "final_target", method), client)


def _copy(method: Function, client: Class) -> Function:
    return Function(
        method.name,
        parameters=method.parameters,
        returns=method.returns,
        docstring=method.docstring,
        parent=client,
        lineno=method.lineno,
        endlineno=method.endlineno,
    )
