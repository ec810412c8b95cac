"""The errors, one table; the reasons why actors end; and what the C part says through Python: log lines, tracebacks."""
from __future__ import annotations

import asyncio
import logging
import traceback
from typing import Any, Callable, Optional


class Error(Exception):
    """What can go wrong: .code (a short name), .text (a sentence), .delivery ("not_sent", "unknown", "handled").

    "not_sent" is safe to retry; "unknown" may have run; "handled" did run. Since 0.1.0."""

    code: str = "error"

    def __init__(self, text: str = "", *, delivery: str = "not_sent") -> None:
        super().__init__(text)
        self.text = text
        self.delivery = delivery

    def __str__(self) -> str:
        return self.text


class HandlerError(Error):
    """The handler failed. .type: the far side's class of error; .value: the value it raised, if one.

    In a handler, ``raise shoal.HandlerError(text, value=v)`` fails the ask with a value. Since 0.1.0."""

    code = "handler"

    def __init__(self, text: str = "", *, value: Any = None, type: Optional[str] = None, delivery: str = "handled") -> None:
        super().__init__(text, delivery=delivery)
        self.value = value
        self.type = type


class Timeout(Error, TimeoutError):
    """The deadline passed; unknown unless withdrawn. Since 0.1.0."""

    code = "timeout"


class NotFound(Error, LookupError):
    """No live actor of that name. Since 0.1.0."""

    code = "not_found"


class NotRunning(Error):
    """The actor has stopped; unknown if while handling this. Since 0.1.0."""

    code = "not_running"


class MailboxFull(Error):
    """tell: no room now. Since 0.1.0."""

    code = "mailbox_full"


class NoHandler(Error):
    """The actor takes no such message. Since 0.1.0."""

    code = "no_handler"


class BadValue(Error, ValueError):
    """It cannot be sent, or does not fit the handler. Since 0.1.0."""

    code = "bad_value"


class Unreachable(Error, ConnectionError):
    """No route, the dial failed, another peer there, connection lost. Since 0.1.0."""

    code = "unreachable"


class Refused(Error, PermissionError):
    """Not exported to you, or allow or admin say no. Since 0.1.0."""

    code = "refused"


class NameTaken(Error):
    """Another actor of this node holds the name. Since 0.1.0."""

    code = "name_taken"


class BadAddress(Error, ValueError):
    """Malformed, in use, or not ours to bind. Since 0.1.0."""

    code = "bad_address"


class Closed(Error):
    """The node is stopping, stopped, or forked away. Since 0.1.0."""

    code = "closed"


class LimitReached(Error):
    """A limit, or memory; the text names it. Since 0.1.0."""

    code = "limit"


class Unsupported(Error):
    """The peer cannot, or it is not built in. Since 0.1.0."""

    code = "unsupported"


class Usage(Error, RuntimeError):
    """Wrong thread, waiting where nothing can, not your actor. Since 0.1.0."""

    code = "usage"


BY_CODE: dict[str, type[BaseException]] = {cls.code: cls for cls in Error.__subclasses__()}
BY_CODE["cancelled"] = asyncio.CancelledError
for _cls in (Error, *Error.__subclasses__()):
    _cls.__module__ = "shoal"


def make(cls: type[BaseException], text: str, delivery: str, type: Optional[str], value: Any) -> BaseException:
    """The exception that core tells of."""
    if cls is HandlerError:
        return HandlerError(text, value=value, type=type, delivery=delivery)
    if issubclass(cls, Error):
        return cls(text, delivery=delivery)
    return cls(text)


class Reason:
    """Why an actor ended: .kind (normal killed error link_died peer_lost restart gone), .text, .ref (who caused it, or
    None). Since 0.1.0."""

    __slots__ = ("kind", "text", "ref")
    __module__ = "shoal"

    def __init__(self, kind: str, text: str, ref: Any) -> None:
        self.kind = kind
        self.text = text
        self.ref = ref

    def __repr__(self) -> str:
        return f"<Reason {self.kind}{': ' + self.text if self.text else ''}>"


def traceback_text(error: BaseException) -> str:
    """The whole traceback, for the actor_failed event."""
    return "".join(traceback.format_exception(error)).rstrip("\n")


_LOGGER = logging.getLogger("shoal")
_LEVELS = {1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO, 4: logging.DEBUG}
_NAMES = {1: "error", 2: "warn", 3: "info", 4: "debug"}


def log(level: int, text: str, on_log: Optional[Callable[[str, str], object]]) -> None:
    """One log line of a node."""
    if on_log is not None:
        on_log(_NAMES.get(level, "info"), text)
    else:
        _LOGGER.log(_LEVELS.get(level, logging.INFO), "%s", text)
