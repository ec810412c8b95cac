"""What a class says about its messages: handlers, their parameters and hints, as tables for the C part."""
from __future__ import annotations

import contextvars
import dataclasses
import functools
import inspect
import types
import typing
from typing import Any, Callable, Optional

# The handler (a task) that this code runs in or was started from; for self.cx in tasks that a handler makes.
current_task: contextvars.ContextVar[Any] = contextvars.ContextVar("shoal_task")

MISSING = object()
HOOKS = ("on_start", "on_stop", "on_error", "on_down", "on_undelivered", "on_message")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@functools.cache
def field_names(cls: type) -> tuple[str, ...]:
    """The fields of a dataclass, as they are sent."""
    return tuple(f.name for f in dataclasses.fields(cls))


def _kinds() -> dict[Any, int]:
    from . import _shoal

    return {None: _shoal.K_NONE, type(None): _shoal.K_NONE, bool: _shoal.K_BOOL, int: _shoal.K_INT, float: _shoal.K_FLOAT,
            str: _shoal.K_STR, bytes: _shoal.K_BYTES, memoryview: _shoal.K_VIEW, list: _shoal.K_LIST, dict: _shoal.K_DICT,
            _shoal.Ref: _shoal.K_REF}


def hint_check(hint: Any) -> tuple[int, Optional[tuple[type, ...]]]:
    """A hint as (bits of kinds, dataclasses); what is no value's hint lets everything through."""
    from . import _shoal

    anything: tuple[int, None] = (_shoal.K_ANY, None)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        mask = 0
        classes: list[type] = []
        for part in typing.get_args(hint):
            bits, more = hint_check(part)
            mask |= bits
            classes += more or ()
        return mask, tuple(classes) or None
    if origin in (list, dict):
        hint = origin
    kinds = _kinds()
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return 0, (hint,)
    try:
        return (kinds[hint], None) if hint in kinds else anything
    except TypeError:  # a hint that cannot be a key
        return anything


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The hints, resolved one by one: what cannot be resolved lets everything through."""
    try:
        return typing.get_type_hints(function)
    except Exception:
        found = {}
        for name, hint in getattr(function, "__annotations__", {}).items():
            if isinstance(hint, str):
                try:
                    hint = eval(hint, getattr(function, "__globals__", {}))
                except Exception:
                    hint = Any
            found[name] = hint
        return found


def handler_spec(function: Callable[..., Any], label: str) -> Any:
    """How the handler takes a message."""
    from . import _shoal

    hints = _hints(function)
    every = list(inspect.signature(function).parameters.values())[1:]
    positional = [p for p in every if p.kind in _POSITIONAL]
    named = [p for p in every if p.kind is inspect.Parameter.KEYWORD_ONLY]
    rest = next((p for p in every if p.kind is inspect.Parameter.VAR_KEYWORD), None)
    params = positional + named
    checks = [hint_check(hints.get(p.name, Any)) for p in params]
    whole = len(params) == 1 and len(positional) == 1 and not rest and (
        positional[0].kind is inspect.Parameter.POSITIONAL_ONLY or checks[0][1] is not None)
    rest_mask = 0
    if rest:
        mask, classes = hint_check(hints.get(rest.name, Any))
        rest_mask = _shoal.K_ANY if classes else mask
    return _shoal.Spec(
        function, label, 1 if whole else 0, len(positional), tuple(p.name for p in params), tuple(c[0] for c in checks),
        tuple(c[1] for c in checks), tuple(MISSING if p.default is p.empty else p.default for p in params), MISSING, rest_mask)


def make_dataclass(classes: tuple[type, ...], value: dict[Any, Any], label: str, where: str) -> Any:
    """The first of the dataclasses that the map fits; raises BadValue, of the only one or the last."""
    from . import _shoal
    from ._errors import BadValue

    for left, cls in zip(range(len(classes) - 1, -1, -1), classes):
        try:
            return _one_dataclass(_shoal, BadValue, cls, value, label, where)
        except BadValue:
            if left == 0:
                raise


def _one_dataclass(c: Any, bad: Any, cls: type, value: dict[Any, Any], label: str, where: str) -> Any:
    hints = _hints(cls)
    given = {}
    fields = [f for f in dataclasses.fields(cls) if f.init]
    unknown = set(value) - {f.name for f in fields}
    if unknown:
        raise bad(f"{label}: {where} has {sorted(map(repr, unknown))[0]}, which {cls.__name__} does not")
    for field in fields:
        if field.name in value:
            mask, classes = hint_check(hints.get(field.name, Any))
            given[field.name] = c.fit(label, f"{where}.{field.name}", value[field.name], mask, classes)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise bad(f"{label}: {where}.{field.name} is missing")
    try:
        return cls(**given)
    except (TypeError, ValueError) as error:  # its __post_init__
        raise bad(f"{label}: {where} is no {cls.__name__}: {error}") from error


def collect(cls: type, base: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """(handlers by message name, hooks): the public methods of the Actor classes among the bases."""
    found: dict[str, Any] = {}
    hooks: dict[str, Any] = {}
    for owner in reversed(cls.__mro__):
        if not issubclass(owner, base) or owner is base:
            continue
        for name, member in vars(owner).items():
            if name in HOOKS:
                hooks[name] = member
            elif inspect.isfunction(member) and (hasattr(member, "_shoal_name") or not name.startswith(("_", "on_", "cx"))):
                found[name] = member
            else:
                found.pop(name, None)
    handlers = {}
    for name, function in found.items():
        message = getattr(function, "_shoal_name", name)
        handlers[message] = handler_spec(function, message)
    return handlers, hooks


def lonely(pending: Any, node: Any, loop: Any) -> None:
    """A call is awaited on a loop that does not drive its node, and no thread does (yet): after a second that is misuse."""

    def look() -> None:
        if not pending.done() and not node._driven:
            from ._errors import Usage

            pending._set(Usage("nobody serves the node: start it with `async with`, or Thread(target=node.run)", delivery="unknown"))

    loop.call_later(1.0, look)
