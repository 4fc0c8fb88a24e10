from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from engine.kernel.errors import InvalidInput, Unavailable
from webnova.stack.home import Home, Settings, keep_secret, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_home_is_closed_to_others_and_made_once(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "a home with spaces").create()
    assert mode(home.root) == 0o700
    assert mode(home.secrets) == 0o700
    home.workspace.joinpath("kept").touch()
    assert Home.at(home.root).create().workspace.joinpath("kept").exists()


def test_home_that_others_may_enter_is_closed(tmp_path: Path) -> None:
    root = tmp_path / "open"
    root.mkdir(mode=0o755)
    assert mode(Home.at(root).create().root) == 0o700


def test_home_that_is_a_file_is_refused_without_naming_it(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    with pytest.raises(Unavailable) as caught:
        Home.at(place / "home").create()
    assert "WEBNOVA_HOME" in (caught.value.mend or "")
    assert str(tmp_path) not in str(caught.value)


def test_secret_is_private_kept_and_one_for_all(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    found: list[str] = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        found.append(keep_secret(path).reveal())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert len(found[0]) >= 43
    assert mode(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


def test_write_private_replaces_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert mode(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_settings_defaults() -> None:
    settings = Settings.from_environment({"HOME": "/anywhere"})
    assert settings.home.root.name == ".webnova"
    assert settings.http_port == 8000
    assert settings.database_url is None
    assert settings.ray_address is None
    assert settings.log_format == "console"
    assert settings.core_actors


def test_settings_read_the_environment(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "WEBNOVA_HOME": str(tmp_path),
            "WEBNOVA_DATABASE_URL": "postgresql://admin:pw@db:5432/x",
            "WEBNOVA_RAY_ADDRESS": "10.0.0.1:6379",
            "WEBNOVA_HTTP_PORT": "9000",
            "WEBNOVA_LOG_FORMAT": "json",
            "WEBNOVA_DATABASE_POOLER": "[::1]:6432",
        }
    )
    assert settings.home.root == tmp_path
    assert settings.database_url is not None
    assert settings.database_url.reveal() == "postgresql://admin:pw@db:5432/x"
    assert settings.database_pooler == "[::1]:6432"
    assert "pw" not in repr(settings)
    assert (settings.ray_address, settings.http_port) == ("10.0.0.1:6379", 9000)
    assert settings.log_format == "json"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBNOVA_HTTP_PORT", "0"),
        ("WEBNOVA_HTTP_PORT", "65536"),
        ("WEBNOVA_HTTP_PORT", "٨٠٠٠"),
        ("WEBNOVA_HTTP_PORT", "-1"),
        ("WEBNOVA_LOG_FORMAT", "xml"),
        ("WEBNOVA_DATABASE_URL", "mysql://root@localhost/x"),
        ("WEBNOVA_CORE_ACTORS", "maybe"),
        ("WEBNOVA_DATABASE_POOLER", "pooler"),
        ("WEBNOVA_DATABASE_POOLER", "me:pw@pooler:6432"),
    ],
)
def test_settings_name_the_wrong_variable(name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Settings.from_environment({name: value})
    assert name in caught.value.detail
    assert caught.value.mend


def test_a_deleted_tenants_archives_go_and_others_stay(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    for tenant in ("gone", "there"):
        (home.archive / tenant).mkdir(parents=True)
        (home.archive / tenant / "2026-01.jsonl.gz").write_bytes(b"x")
    home.forget("gone")
    home.forget("gone")
    assert [each.name for each in home.archive.iterdir()] == ["there"]
