"""Structured logs: JSON for machines, coloured lines for people, and never a secret.

Every record carries the tenant, run and trace that are bound to the current context. Records of
other libraries pass through the same processors.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from engine.kernel.secret import Secret

HIDDEN = "[hidden]"

_SECRET_KEY = re.compile(
    r"(?:^|[_\-.])(?:pass(?:word|wd|phrase)?|pwd|secret|secrets|token|authorization|cookie"
    r"|credentials?|api[_-]?key|private[_-]?key|access[_-]?key|signing[_-]?key|database[_-]?url"
    r"|dsn)$",
    re.IGNORECASE,
)
_SECRET_TEXT = (
    # The password of an address such as postgresql://user:password@host.
    (re.compile(r"(\b[a-z][a-z0-9+.\-]*://[^\s/:@]*:)[^\s/@]+(@)", re.IGNORECASE), r"\1…\2"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=\-]{8,}", re.IGNORECASE), r"\1 …"),
    (re.compile(r"\b(wn_[a-z][a-z0-9-]*_[0-9a-f]{32})_[A-Za-z0-9-]{43}"), r"\1_…"),
    (re.compile(r"\bsk-[A-Za-z0-9_\-]{12,}"), "sk-…"),
    (re.compile(r"\beyJ[\w\-]{8,}\.[\w\-]+\.[\w\-]+"), "[token]"),
    (re.compile(r"SCRAM-SHA-256\$[\w:+/=$]+"), "SCRAM-SHA-256$…"),
    (
        re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL),
        "[private key]",
    ),
)
_DEPTH = 8

_concealed: set[str] = set()


def conceal(secret: Secret) -> None:
    """Hide this value wherever it appears in any later record, whatever its key."""
    value = secret.reveal()
    if len(value) >= 6:
        _concealed.add(value)


def redact(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """A structlog processor: no secret passes, neither by its key nor inside a text."""
    return {key: _clean_item(key, value, _DEPTH) for key, value in event.items()}


def _clean_item(key: str, value: Any, depth: int) -> Any:
    if value is not None and not isinstance(value, bool) and _SECRET_KEY.search(key):
        return HIDDEN
    return _clean(value, depth)


def _clean(value: Any, depth: int) -> Any:
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, str):
        return _clean_text(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth == 0:
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): _clean_item(str(key), item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, depth - 1) for item in value]
    return _clean_text(str(value))


def _clean_text(text: str) -> str:
    for value in _concealed:
        text = text.replace(value, HIDDEN)
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def trace_id(traceparent: str) -> str | None:
    """The trace id in a W3C `traceparent`; None for an empty one."""
    return traceparent.split("-")[1] if traceparent else None


@contextlib.contextmanager
def log_context(
    *, tenant: str | None = None, run: str | None = None, trace: str | None = None
) -> Iterator[None]:
    """Bind tenant, run and trace to every record that is written inside the block."""
    given = {"tenant": tenant, "run": run, "trace": trace}
    with structlog.contextvars.bound_contextvars(
        **{key: value for key, value in given.items() if value is not None}
    ):
        yield


def configure_logging(
    format: Literal["json", "console"] = "console",
    *,
    level: str = "INFO",
    stream: TextIO | None = None,
) -> None:
    """Send every record, also those of the standard library's loggers, to `stream` (stderr).

    May be called again; the last call counts.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    last: list[Processor]
    if format == "json":
        last = [
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    else:
        last = [
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            redact,
            structlog.dev.ConsoleRenderer(colors=stream.isatty()),
        ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # These tell every request they make at INFO.
    for chatty in ("httpx", "httpcore", "httpx2", "asyncio", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
