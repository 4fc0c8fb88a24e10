"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from webnova.stack.database import prepare_database
from webnova.stack.postgres import EmbeddedPostgres


@dataclass(frozen=True)
class TestDatabase:
    """URLs of one migrated database, as plain `postgresql://` text."""

    __test__ = False

    admin_url: str
    owner_url: str
    app_url: str
    worker_url: str
    eraser_url: str


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A real server of the test session's own."""
    root = tmp_path_factory.mktemp("postgres")
    server = EmbeddedPostgres(root / "data", root / "secrets")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def postgres(postgres_server: EmbeddedPostgres) -> TestDatabase:
    """The session's database `webnova`: roles, extensions and the newest schema."""
    admin = postgres_server.admin_url
    urls = prepare_database(admin, postgres_server.secrets_dir)
    return TestDatabase(
        admin_url=admin.reveal(),
        owner_url=urls.owner.reveal(),
        app_url=urls.app.reveal(),
        worker_url=urls.worker.reveal(),
        eraser_url=urls.eraser.reveal(),
    )
