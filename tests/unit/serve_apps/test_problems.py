from __future__ import annotations

import json
from typing import Any

import pytest

from engine.kernel.errors import (
    NotFound,
    QuotaExceeded,
    Unauthenticated,
    Unavailable,
    WebNovaError,
    error_types,
)
from serve_apps.problems import MEANINGS, documented, invalid_request, problem_response


@pytest.mark.parametrize("kind", error_types())
def test_every_error_becomes_a_problem(kind: type[WebNovaError]) -> None:
    error = kind("What went wrong.", mend="Do this.", field=[1])
    response = problem_response(error, "/api/v1/x")
    body = json.loads(bytes(response.body))
    assert response.status_code == body["status"] == kind.status
    assert response.headers["content-type"] == "application/problem+json"
    assert body == {**error.problem(), "instance": "/api/v1/x"}


@pytest.mark.parametrize(
    ("wished", "sent"),
    [(None, "1"), (30, "30"), (0.2, "1"), (-5, "1"), ("soon", "1"), (True, "1"), (1e9, "1")],
)
def test_who_is_to_come_back_is_told_when(wished: Any, sent: str) -> None:
    fields = {} if wished is None else {"retry_after": wished}
    for kind in (Unavailable, QuotaExceeded):
        assert problem_response(kind("x", **fields), "/").headers["retry-after"] == sent
    assert "retry-after" not in problem_response(NotFound("x"), "/").headers


def test_a_challenge_comes_with_401_only() -> None:
    assert problem_response(Unauthenticated("x"), "/").headers["www-authenticate"] == "Bearer"
    assert "www-authenticate" not in problem_response(NotFound("x"), "/").headers


def test_text_that_no_encoding_takes_can_still_be_repeated() -> None:
    response = problem_response(NotFound("There is no '\ud800'."), "/\udcff")
    assert json.loads(bytes(response.body))["detail"] == "There is no '\ud800'."


def test_fields_are_listed_without_their_values() -> None:
    errors = [
        {"type": "missing", "loc": ("body", "label"), "msg": "Field required", "input": "secret"},
        {"type": "value_error", "loc": ("body",), "msg": "Value error, give one.", "input": "s"},
        {"type": "json_invalid", "loc": ("body", 3), "msg": "x", "ctx": {"error": "Expecting"}},
    ]
    error = invalid_request(errors)
    assert [(each["path"], each["message"], each["in"]) for each in error.fields["errors"]] == [
        ("label", "Field required", "body"),
        ("", "give one", "body"),
        ("", "the body is no JSON: Expecting", "body"),
    ]
    assert "3 problems" in error.detail
    assert "secret" not in json.dumps(error.problem())
    assert len(invalid_request(errors * 100).fields["errors"]) == 50


def test_every_documented_status_has_a_meaning() -> None:
    shown = documented(*MEANINGS)
    assert shown[503]["headers"]["Retry-After"]
    assert all(each["description"] for each in shown.values())
