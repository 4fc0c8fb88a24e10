from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from engine.kernel.errors import Unavailable
from webnova.stack.serve_api import load_serve_config, localise, with_environment

ROOT = Path(__file__).parents[3]


def read(name: str) -> Any:
    return YAML(typ="safe").load((ROOT / name).read_text(encoding="utf-8"))


def ray_schema() -> Any:
    spec = importlib.util.find_spec("ray")  # found, not imported
    assert spec is not None
    assert spec.origin is not None
    return json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text())


def test_cluster_file_is_valid_for_ray() -> None:
    schema = ray_schema()
    jsonschema.validate(read("cluster.yaml"), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**read("cluster.yaml"), "unknown_field": 1}, schema)


def test_cluster_file_starts_a_closed_head_of_the_first_autoscaler() -> None:
    (command,) = read("cluster.yaml")["head_start_ray_commands"]
    for part in (
        "RAY_enable_autoscaler_v2=0",
        "RAY_AUTH_MODE=token",
        "RAY_gcs_storage=rocksdb",
        "--dashboard-host=127.0.0.1",
        "--autoscaling-config=~/ray_bootstrap_config.yaml",
    ):
        assert part in command
    assert read("cluster.yaml")["provider"]["type"] == "local"


def test_serve_file_bounds_its_queues_and_cuts_no_stream() -> None:
    document = load_serve_config(ROOT / "serve.yaml")
    (application,) = document["applications"]
    assert (application["name"], application["route_prefix"]) == ("webnova", "/")
    (api,) = application["deployments"]
    assert api["name"] == "Api"
    assert api["max_ongoing_requests"] > 5
    assert api["max_queued_requests"] > 0
    assert api["autoscaling_config"]["min_replicas"] >= 1
    assert document["http_options"]["request_timeout_s"] is None


def test_localise_closes_the_port_and_changes_nothing_else() -> None:
    document = load_serve_config(ROOT / "serve.yaml")
    local = localise(document, 8123)
    assert local["http_options"]["host"] == "127.0.0.1"
    assert local["http_options"]["port"] == 8123
    assert local["applications"] == document["applications"]
    assert document["http_options"]["port"] == 8000


def test_with_environment_keeps_what_the_application_has() -> None:
    document = {
        "applications": [
            {"name": "a", "runtime_env": {"env_vars": {"X": "1"}, "working_dir": "w"}},
            {"name": "b"},
        ]
    }
    first, second = with_environment(document, {"Y": "2"})["applications"]
    assert first["runtime_env"] == {"env_vars": {"X": "1", "Y": "2"}, "working_dir": "w"}
    assert second["runtime_env"] == {"env_vars": {"Y": "2"}}


@pytest.mark.parametrize("text", ["", "- a\n", "import_path: x:y\n"])
def test_a_serve_file_without_applications_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "serve.yaml"
    path.write_text(text)
    with pytest.raises(Unavailable):
        load_serve_config(path)
