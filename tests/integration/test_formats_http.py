"""Import and export over HTTP, through the client, and what a generated platform says of itself."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.forge.blueprint.source import load
from engine.forge.formats.conversion import export_blueprint
from engine.forge.generate import generate_project
from engine.kernel.errors import InvalidInput
from engine.runtime.dependencies import DependencyCache
from serve_apps.api import create_api
from tests.integration.serving import ScriptedGateway, bearer, issue, served
from webnova.client.asynchronous import AsyncClient
from webnova.compose import Installation

ROOT = Path(__file__).parents[2]
SQL = "CREATE TABLE books (id serial primary key, title varchar(80) not null, cover bytea);"
PRINT = "import json; from app.main import create_app; print(json.dumps(create_app().openapi()))"


@pytest.fixture(scope="module")
async def address(installation: Installation) -> AsyncIterator[str]:
    async with served(create_api(installation, ScriptedGateway())) as address:
        yield address


@pytest.fixture
async def token(installation: Installation, tenant: str) -> str:
    return await issue(installation, tenant)


@pytest.fixture
async def client(address: str, token: str) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(address, token) as made:
        yield made


async def test_a_source_comes_in_with_its_account(client: AsyncClient) -> None:
    found = await client.import_source(SQL, "sql", name="library")
    assert found.blueprint["name"] == "library"
    assert found.blueprint["entities"]["Book"]["fields"]["title"]["max_length"] == 80
    dropped = [each for each in found.report.entries if each.outcome == "dropped"]
    assert [each.source for each in dropped] == ["books.cover"] and dropped[0].reason
    assert found.report.dropped == 1
    text = await client.export_as(found.blueprint, "dbml")
    assert text.startswith("Project library")
    again = await client.import_source(text, "dbml")
    assert again.blueprint["entities"].keys() == found.blueprint["entities"].keys()


async def test_what_is_wrong_is_told_with_its_place(client: AsyncClient) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.import_source("entity A {\n b ! String }", "jdl")
    assert caught.value.fields["errors"][0]["line"] == 2
    for form in ("cobol", "../etc"):
        with pytest.raises(InvalidInput):
            await client.import_source("x", form)
    with pytest.raises(InvalidInput, match="exported"):
        await client.export_as({"name": "ab", "entities": {"Aa": {}}}, "cobol")


async def test_raw_requests_are_bounded_and_need_a_token(address: str, token: str) -> None:
    async with httpx.AsyncClient(base_url=f"{address}/api/v1", headers=bearer(token)) as raw:
        large = await raw.post("/blueprints/import?from=sql", content=b" " * 1_000_001)
        assert large.status_code == 413
        assert (await raw.post("/blueprints/import", content=b"x")).status_code == 422
        nul = await raw.post("/blueprints/import?from=sql", content=b"a\0")
        assert nul.status_code == 422 and nul.json()["line"] == 1
        body = {"text": "name: ab\nentities: {Aa: {}}"}
        made = await raw.post("/blueprints/export?to=mermaid", json=body)
        assert made.text.startswith("erDiagram\n")
        del raw.headers["authorization"]
        assert (await raw.post("/blueprints/import?from=sql", content=b"x")).status_code == 401


def normal(value: Any, key: str = "") -> Any:
    """A part of an OpenAPI document without its words, and numbers as numbers."""
    if isinstance(value, dict):
        if key in ("properties", "schemas", "paths"):
            return {name: normal(part) for name, part in value.items()}
        return {
            name: normal(part, name)
            for name, part in value.items()
            if not name.startswith("x-")
            and name not in ("title", "description", "summary", "tags", "info")
            and not (name == "pattern" and not str(part).startswith(("^-?[0-9", "^-?(")))
        }
    if isinstance(value, list):
        parts = [normal(part) for part in value]
        return sorted(parts) if key == "required" else parts
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return value


@pytest.mark.parametrize("name", ["every-type", "relations", "own-rows", "no-roles"])
def test_the_exported_api_is_the_one_that_is_served(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Paths, parameters, answers and schemas, but for the words beside them and patterns of texts,
    which the platform checks without telling."""
    path = Path(__file__).parent / "blueprints" / f"{name}.yaml"
    blueprint = load(path.read_bytes()).blueprint
    project = tmp_path / "platform"
    generate_project(blueprint).write_to(project)
    cache = DependencyCache(Path(request.config.cache.mkdir("environments")))
    with asyncio.run(cache.ensure(project / "requirements.lock")) as environment:
        served = subprocess.run(
            [str(environment.python), "-c", PRINT],
            cwd=project,
            env={
                "DATABASE_URL": f"sqlite:///{tmp_path}/x.db",
                "JWT_SECRET": "0123456789abcdef0123456789abcdef",
            },
            capture_output=True,
            check=True,
        )
    ours = json.loads(export_blueprint(blueprint, "openapi"))
    assert normal(ours) == normal(json.loads(served.stdout))
