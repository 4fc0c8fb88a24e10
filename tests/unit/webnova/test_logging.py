from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from engine.kernel.secret import Secret
from webnova.logging import HIDDEN, conceal, configure_logging, log_context


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    text = io.StringIO()
    configure_logging("json", stream=text)
    yield text
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def last(stream: io.StringIO) -> dict[str, object]:
    record = json.loads(stream.getvalue().splitlines()[-1])
    assert isinstance(record, dict)
    return record


def test_records_carry_tenant_run_and_trace(stream: io.StringIO) -> None:
    log = structlog.get_logger("test")
    with log_context(tenant="acme", run="run_1", trace="abc"):
        log.info("built", files=3)
        inside = last(stream)
    log.info("later")
    outside = last(stream)
    assert inside["event"] == "built"
    assert (inside["tenant"], inside["run"], inside["trace"]) == ("acme", "run_1", "abc")
    assert inside["files"] == 3
    assert str(inside["timestamp"]).endswith("Z")
    assert "tenant" not in outside


def test_records_of_other_libraries_are_treated_alike(stream: io.StringIO) -> None:
    with log_context(tenant="acme"):
        logging.getLogger("other").warning("went to %s", "postgresql://u:hunter22@h/db")
    record = last(stream)
    assert record["tenant"] == "acme"
    assert record["level"] == "warning"
    assert "hunter22" not in stream.getvalue()
    assert "postgresql://u:…@h/db" in str(record["event"])


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "db_password",
        "token",
        "access-token",
        "Authorization",
        "api_key",
        "ANTHROPIC_API_KEY",
        "WEBNOVA_DATABASE_URL",
        "cookie",
        "private_key",
        "secret",
    ],
)
def test_known_keys_are_hidden_at_any_depth(stream: io.StringIO, key: str) -> None:
    structlog.get_logger("test").info("x", **{key: "v-4711"}, nested=[{"deep": {key: "v-4711"}}])
    assert "v-4711" not in stream.getvalue()
    assert last(stream)[key] == HIDDEN


def test_harmless_keys_stay(stream: io.StringIO) -> None:
    structlog.get_logger("test").info("x", tokens=812, keyboard="us", secretary="Mona", done=True)
    record = last(stream)
    assert (record["tokens"], record["keyboard"], record["secretary"]) == (812, "us", "Mona")


@pytest.mark.parametrize(
    "text",
    [
        "Bearer abcdef0123456789",
        "key sk-" + "ant-" + "abcdef0123456789 used",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl seen",
        "wn_acme_" + "0123" * 8 + "_" + "s" * 43,
        "redis://:abcdef0123456789@cache:6379",
        "-----BEGIN PRIVATE KEY-----\nabcdef0123456789\n-----END PRIVATE KEY-----",
    ],
)
def test_secrets_inside_texts_are_hidden(stream: io.StringIO, text: str) -> None:
    structlog.get_logger("test").info(f"seen: {text}", note=text)
    for part in ("abcdef0123456789", "c2lnbmF0dXJl", "s" * 43):
        assert part not in stream.getvalue()


def test_secret_objects_and_concealed_values_never_pass(stream: io.StringIO) -> None:
    secret = Secret("open-sesame-17")
    conceal(secret)
    log = structlog.get_logger("test")
    log.info("x", holder=secret, items=[secret], text="it is open-sesame-17, psst")
    try:
        raise RuntimeError("failed with open-sesame-17")
    except RuntimeError:
        log.exception("broken")
    assert "open-sesame-17" not in stream.getvalue()
    assert "RuntimeError" in stream.getvalue()


def test_console_format_is_for_people_and_as_careful() -> None:
    text = io.StringIO()
    root = logging.getLogger()
    handlers = root.handlers[:]
    configure_logging("console", stream=text)
    structlog.get_logger("test").info("built", platform="clinic", password="hunter22")
    root.handlers[:] = handlers
    structlog.reset_defaults()
    assert "built" in text.getvalue()
    assert "clinic" in text.getvalue()
    assert "hunter22" not in text.getvalue()
    assert not text.getvalue().startswith("{")
