"""Actor, and what marks its methods."""
from __future__ import annotations

import enum
from typing import Any, Callable, ClassVar, Optional, TypeVar

from . import _bind, _shoal
from ._errors import BadValue

F = TypeVar("F", bound=Callable[..., Any])


class Decision(enum.IntEnum):
    """What on_error and on_down answer."""

    RESUME = _shoal.RESUME
    STOP = _shoal.STOP


def handler(name: str) -> Callable[[F], F]:
    """Gives a handler another message name than the method's.

    name: 1..255 bytes of text. Raises BadValue. Since 0.1.0."""
    if not isinstance(name, str) or not 1 <= len(name.encode("utf-8", "replace")) <= 255 or "\0" in name:
        raise BadValue(f"a message name is text of 1..255 bytes without NUL, not {name!r}")

    def mark(function: F) -> F:
        setattr(function, "_shoal_name", name)
        return function

    return mark


class Actor(_shoal.ActorBase):
    """The base of actors: public methods are handlers, their return values the replies.

    class Counter(shoal.Actor, id="counter", reentrant=False, mailbox=None)

    id: the type's id, default the class's qualified name. reentrant: take the next message while an async handler
    waits. mailbox: messages that may wait (0: only memory bounds it), default the node's. Hooks, sync or async:
    on_start(self), on_stop(self, reason), on_error(self, error), on_down(self, ref, reason),
    on_undelivered(self, messages), on_message(self, name, value). All run on the node's asyncio loop, or on the thread
    in run, poll or wait. Since 0.1.0."""

    _shoal_type: ClassVar[tuple[bytes, bool, int, dict[str, Any], dict[str, Any]]]

    def __init_subclass__(cls, *, id: Optional[str] = None, reentrant: Optional[bool] = None, mailbox: Optional[int] = None,
                          **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        inherited: tuple[bytes, bool, int, dict[str, Any], dict[str, Any]] = getattr(cls, "_shoal_type", (b"", False, 0, {}, {}))
        text = cls.__qualname__.replace("<locals>.", "") if id is None else id
        if not 1 <= len(text.encode()) <= 255 or "\0" in text:
            raise BadValue(f"an actor's id is text of 1..255 bytes without NUL, not {text!r}")
        room = inherited[2] if mailbox is None else 0xFFFFFFFF if mailbox == 0 else mailbox
        if not 0 <= room <= 0xFFFFFFFF:
            raise BadValue(f"mailbox is {mailbox}, expected 0 .. 2^32-1")
        handlers, hooks = _bind.collect(cls, Actor)
        cls._shoal_type = (text.encode(), inherited[1] if reentrant is None else bool(reentrant), room, handlers, hooks)

    @property
    def cx(self) -> _shoal.Context:
        """The Context of the message that is being handled. From on_start on. Raises Usage elsewhere. Since 0.1.0."""
        return _shoal.current_context(self)


Actor._shoal_type = (b"Actor", False, 0, {}, {})
Actor.__module__ = "shoal"
