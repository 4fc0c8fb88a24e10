from __future__ import annotations

import pytest
from starlette.requests import Request

from serve_apps.forwarding import Target, raw_path, request_headers, response_headers

TARGET = Target("acme", "shop", b"/", "https://factory.example")


def request(path: str = "/p/acme/shop/", query: bytes = b"", **headers: str) -> Request:
    return Request(
        {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "client": ("198.51.100.7", 5),
            "headers": [
                (name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()
            ],
        }
    )


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/p/acme/shop/", b"", b"/"),
        ("/p/acme/shop", b"", b"/"),
        ("/p/acme/shop/a/b", b"x=1", b"/a/b?x=1"),
        ("/p/acme/shop//a", b"", b"//a"),
        ("/p/acme/shop/a%2Fb%00", b"%00", b"/a%2Fb%00?%00"),
    ],
)
def test_the_rest_of_the_path_is_kept_as_sent(path: str, query: bytes, expected: bytes) -> None:
    assert raw_path(request(path, query)) == expected


def test_the_client_is_appended_to_those_before() -> None:
    sent = request_headers(request(x_forwarded_for="203.0.113.1", host="me"), TARGET)
    assert (b"x-forwarded-for", b"203.0.113.1, 198.51.100.7") in sent
    assert sum(name == b"x-forwarded-for" for name, _ in sent) == 1


@pytest.mark.parametrize("value", ["Bearer wn_a_b_c", "bearer   wn_x", " BEARER wn_"])
def test_our_tokens_are_never_sent_on(value: str) -> None:
    assert "wn_" not in str(request_headers(request(authorization=value), TARGET))


def test_other_credentials_are_sent_on() -> None:
    sent = dict(request_headers(request(authorization="Bearer ey.wn_.x", cookie="a=b"), TARGET))
    assert sent[b"authorization"] == b"Bearer ey.wn_.x"
    assert sent[b"cookie"] == b"a=b"


def test_a_chunked_body_stays_chunked() -> None:
    sent = dict(request_headers(request(transfer_encoding="chunked"), TARGET))
    assert sent[b"transfer-encoding"] == b"chunked"
    sized = dict(request_headers(request(content_length="3"), TARGET))
    assert b"transfer-encoding" not in sized


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (b"/login", b"/p/acme/shop/login"),
        (b"/p/acme/shop/login", b"/p/acme/shop/login"),
        (b"/p/acme/shopping", b"/p/acme/shop/p/acme/shopping"),
        (b"relative", b"relative"),
        (b"//elsewhere.example/x", b"//elsewhere.example/x"),
        (b"https://elsewhere.example/x", b"https://elsewhere.example/x"),
    ],
)
def test_redirects_stay_inside(location: bytes, expected: bytes) -> None:
    assert response_headers([(b"Location", location)], TARGET) == [(b"location", expected)]


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        (b"a=b", b"a=b; Path=/p/acme/shop/"),
        (b"a=b; Path=/", b"a=b; Path=/p/acme/shop/"),
        (b"a=b; path = /x; Secure", b"a=b; path = /p/acme/shop/x; Secure"),
        (b"a=b; Domain=.example.com; HttpOnly", b"a=b; HttpOnly; Path=/p/acme/shop/"),
    ],
)
def test_cookies_stay_inside(cookie: bytes, expected: bytes) -> None:
    assert response_headers([(b"set-cookie", cookie)], TARGET) == [(b"set-cookie", expected)]


def test_headers_of_one_hop_end_here() -> None:
    given = [
        (b"Connection", b"close, X-Mine"),
        (b"X-Mine", b"1"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Type", b"text/plain"),
    ]
    assert response_headers(given, TARGET) == [(b"content-type", b"text/plain")]
