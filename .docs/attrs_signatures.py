"""Show attrs classes with the `__init__` that attrs writes at run time; griffe only reads code."""

from typing import Any

from griffe import (
    Attribute,
    Class,
    Expr,
    ExprCall,
    Extension,
    Function,
    Module,
    Parameter,
    ParameterKind,
    Parameters,
)

_DECORATORS = {"attrs.frozen", "attrs.define"}


class AttrsSignatures(Extension):
    """Give each attrs class the `__init__` that attrs would write."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Handle every class of a package."""
        _visit(pkg)


def _visit(parent: Module | Class) -> None:
    for member in list(parent.members.values()):
        if isinstance(member, Module | Class):
            if isinstance(member, Class):
                _add_init(member)
            _visit(member)


def _add_init(class_: Class) -> None:
    for decorator in class_.decorators:
        if decorator.callable_path in _DECORATORS and "__init__" not in class_.members:
            all_keyword = "kw_only" in _arguments(decorator.value)
            break
    else:
        return
    fields = [
        parameter
        for member in class_.members.values()
        if isinstance(member, Attribute)
        and "instance-attribute" in member.labels
        and "property" not in member.labels
        and (parameter := _parameter(member, all_keyword=all_keyword))
    ]
    fields.sort(key=lambda parameter: parameter.kind is ParameterKind.keyword_only)
    own = Parameter("self", kind=ParameterKind.positional_or_keyword)
    init = Function("__init__", parent=class_, parameters=Parameters(own, *fields), returns="None")
    class_.set_member("__init__", init)


def _parameter(member: Attribute, *, all_keyword: bool) -> Parameter | None:
    """Return the argument of `__init__` that sets `member`, if there is one."""
    arguments = _arguments(member.value)
    if member.annotation is None or str(arguments.get("init")) == "False":
        return None
    is_field = isinstance(member.value, ExprCall) and member.value.canonical_path == "attrs.field"
    default = arguments.get("default") if is_field else member.value
    if factory := arguments.get("factory"):
        default = f"{factory}()"
    keyword = all_keyword or "kw_only" in arguments
    kind = ParameterKind.keyword_only if keyword else ParameterKind.positional_or_keyword
    name = member.name.lstrip("_")  # attrs leaves the underscore out
    return Parameter(name, annotation=member.annotation, kind=kind, default=default)


def _arguments(call: str | Expr | None) -> dict[str, Any]:
    if not isinstance(call, ExprCall):
        return {}
    return {word.name: word.value for word in call.arguments if hasattr(word, "name")}
