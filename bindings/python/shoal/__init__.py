"""Distributed actors. See the README; every name here is documented, with its errors and threads."""
from __future__ import annotations

import sys as _sys

if _sys.version_info < (3, 11):
    raise ImportError("shoal needs Python 3.11 or later, this is " + _sys.version.split()[0])

from ._actor import Actor, Decision as _Decision, handler
from ._errors import (BadAddress, BadValue, Closed, Error, HandlerError, LimitReached, MailboxFull, NameTaken, NoHandler,
                      NotFound, NotRunning, Reason, Refused, Timeout, Unreachable, Unsupported, Usage)
from ._node import Node, sleep
from ._sim import sim
from ._shoal import Context, Pending, Promise, Ref, Timer, version as __version__

RESUME = _Decision.RESUME
STOP = _Decision.STOP

__all__ = [
    "Actor", "BadAddress", "BadValue", "Closed", "Context", "Error", "HandlerError", "LimitReached", "MailboxFull",
    "NameTaken", "NoHandler", "Node", "NotFound", "NotRunning", "Pending", "Promise", "RESUME", "Reason", "Ref", "Refused",
    "STOP", "Timeout", "Timer", "Unreachable", "Unsupported", "Usage", "handler", "sim", "sleep", "__version__",
]
