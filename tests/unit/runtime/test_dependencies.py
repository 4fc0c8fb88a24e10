from __future__ import annotations

import pytest

from engine.kernel.errors import InvalidInput, StepFailed, Unavailable, WebNovaError
from engine.runtime.dependencies import Lock
from engine.runtime.dependencies.uv import refusal

HASH = "--hash=sha256:" + "a" * 64
OTHER = "--hash=sha256:" + "b" * 64


def test_locks_that_mean_the_same_have_the_same_text() -> None:
    one = (
        f"# made by hand\nZope.Interface==6.0 \\\n    {OTHER} \\\n    {HASH}\n\nalpha==1 {HASH}\r\n"
    )
    two = f"alpha==1 {HASH}  # why\nzope-interface==6.0 {HASH} {OTHER}\n"
    assert Lock(one).text == Lock(two).text
    assert Lock(one).text == f"alpha==1 {HASH}\nzope-interface==6.0 {HASH} {OTHER}\n"
    assert Lock(one).hashed


def test_extras_and_markers_are_kept() -> None:
    lock = Lock('uvicorn[standard, watch]==0.30 ; python_version < "3.13"')
    assert lock.text == 'uvicorn[standard,watch]==0.30 ; python_version < "3.13"\n'
    assert not lock.hashed


def test_one_package_may_have_a_version_for_each_marker() -> None:
    lock = Lock("a==1 ; python_version < '3.11'\na==2 ; python_version >= '3.11'")
    assert lock.text.count("a==") == 2


def test_an_empty_lock_is_a_lock() -> None:
    assert Lock("# nothing\n").text == ""


@pytest.mark.parametrize(
    "line",
    [
        "alpha",
        "alpha>=1",
        "alpha==1.*",
        "alpha~=1.0",
        "-r other.txt",
        "-e .",
        "--index-url http://example.org/simple",
        "--find-links /tmp",
        "alpha @ https://example.org/a.whl",
        "https://example.org/a.whl",
        "./a.whl",
        "git+https://example.org/a",
        "alpha==1 --config-settings=x=y",
        "alpha==1 --hash=md5:" + "a" * 32,
        "alpha==1 --hash=sha256:short",
        "alpha==1 --index-url=http://example.org",
        "alpha==1 ; python_version < '3' --no-binary :all:",
    ],
)
def test_refuses_everything_but_exact_versions(line: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Lock(f"beta==1\n\n{line}\n")
    assert caught.value.fields["line"] == 3


def test_names_the_first_line_of_a_continued_requirement() -> None:
    with pytest.raises(InvalidInput) as caught:
        Lock("a==1\nb>=1 \\\n   --hash=x \\\n  --hash=y\n")
    assert caught.value.fields["line"] == 2


def test_refuses_two_versions_of_one_package() -> None:
    with pytest.raises(InvalidInput, match="second time"):
        Lock("a.b==1\nA-B==2\n")


def test_refuses_hashes_for_some_only() -> None:
    with pytest.raises(InvalidInput, match="hashes"):
        Lock(f"a==1 {HASH}\nb==1\n")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "error: Request failed\n cause: tcp connect error: Connection refused",
            Unavailable,
        ),
        ("error: Failed to fetch: https://example.org/simple/a/\n cause: dns error", Unavailable),
        ("error: operation timed out", Unavailable),
        ("error: No space left on device (os error 28)", Unavailable),
        ("error: No solution found when resolving dependencies", InvalidInput),
        ("cause: Hash mismatch for `idna==3.10`", InvalidInput),
        ("a==1 has no usable wheels and building from source is disabled", InvalidInput),
        ("thread 'main' panicked", StepFailed),
    ],
)
def test_each_refusal_becomes_the_error_that_tells_who_can_mend_it(
    said: str, kind: type[WebNovaError]
) -> None:
    assert type(refusal(said)) is kind


def test_a_refusal_names_no_path_and_no_host() -> None:
    error = refusal(
        "error: Failed at /home/someone/cache/x.whl\n cause: https://user:pw@mirror.local/simple/a/"
        "\n cause: file:///srv/wheels, no version of a==1"
    )
    text = str(error.problem())
    assert "a==1" in text
    for private in ("someone", "mirror", "pw", "srv"):
        assert private not in text
