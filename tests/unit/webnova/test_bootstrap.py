from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from engine.kernel.errors import InvalidInput
from engine.kernel.secret import Secret
from storage.bootstrap import ROLES, database_url, scram_verifier, target_database, urls_for
from storage.connections import direct_address
from webnova.stack.database import through_pooler


def test_scram_verifier_proves_the_exchange_printed_in_rfc_7677() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    verifier = scram_verifier("pencil", salt=salt, iterations=4096)
    scheme, iterations_and_salt, keys = verifier.split("$")
    assert (scheme, iterations_and_salt) == ("SCRAM-SHA-256", "4096:W22ZaJ0SNY7soEsUEjb6gQ==")
    stored, server = (base64.b64decode(key) for key in keys.split(":"))
    message = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = hmac.digest(server, message, "sha256")
    assert base64.b64encode(signature) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client_signature = hmac.digest(stored, message, "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof, client_signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored


def test_scram_verifier_is_salted() -> None:
    assert scram_verifier("pencil") != scram_verifier("pencil")


@pytest.mark.parametrize(
    ("url", "given", "expected"),
    [
        ("postgresql://a:b@h/postgres", None, "webnova"),
        ("postgresql://a:b@h", None, "webnova"),
        ("postgresql://a:b@h/shop", None, "shop"),
        ("postgresql://a:b@h/shop", "other", "other"),
    ],
)
def test_target_database(url: str, given: str | None, expected: str) -> None:
    assert target_database(url, given) == expected


@pytest.mark.parametrize("name", ['x"; DROP DATABASE y; --', "a b", "x" * 64, "é;"])
def test_target_database_refuses_names_that_need_quoting(name: str) -> None:
    with pytest.raises(InvalidInput):
        target_database("postgresql://a:b@h/postgres", name)


def test_urls_keep_host_and_options_and_quote_passwords() -> None:
    url = database_url(
        "postgresql://admin:pw@db.example:6543/x?sslmode=require",
        user="webnova_app",
        password="p@ss/word",
        database="shop",
    )
    assert url.reveal() == (
        "postgresql://webnova_app:p%40ss%2Fword@db.example:6543/shop?sslmode=require"
    )
    passwords = {role: Secret(f"secret-of-{role}") for role in ROLES}
    urls = urls_for("postgresql://admin:pw@h/postgres", passwords)
    assert "webnova_worker:secret-of-webnova_worker@h/webnova" in urls.worker.reveal()
    assert "secret" not in repr(urls)


def test_the_application_goes_by_way_of_the_pooler_and_the_owner_does_not() -> None:
    passwords = {role: Secret(f"p@{role}") for role in ROLES}
    direct = urls_for("postgresql://admin:pw@h:5432/postgres?sslmode=require", passwords)
    urls = through_pooler(direct, "[::1]:6432")
    assert urls.owner.reveal() == direct.owner.reveal()
    for role, url in (("webnova_app", urls.app), ("webnova_worker", urls.worker)):
        address, pooled = direct_address(url.reveal())
        assert pooled
        assert address == f"postgresql://{role}:p%40{role}@[::1]:6432/webnova?sslmode=require"
    assert direct_address(direct.app.reveal()) == (direct.app.reveal(), False)
    with pytest.raises(InvalidInput, match="pooler 'session'"):
        direct_address("postgresql://a:b@h/d?pooler=session")
