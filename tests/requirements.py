"""Every system of the product, how far it is, and the tests that show it.

`tests/architecture/test_requirements.py` holds this list and `docs/SYSTEMS.md` together: no system
may be dropped, none may claim more than `planned` without a test, and no test file may be named
that does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Requirement:
    id: str
    title: str
    state: Literal["planned", "begun", "built"]
    tests: tuple[str, ...] = ()


REQUIREMENTS: tuple[Requirement, ...] = (
    Requirement("S01", "AI orchestrator", "begun", ("tests/unit/ai",)),
    Requirement(
        "S02",
        "Blueprint system",
        "built",
        (
            "tests/unit/forge",
            "tests/integration/test_expression_targets.py",
            "tests/contracts/test_importers.py",
            "tests/contracts/test_exporters.py",
            "tests/integration/test_formats_database.py",
            "tests/integration/test_formats_http.py",
            "tests/integration/test_examples.py",
        ),
    ),
    Requirement(
        "S03", "Platform orchestrator", "built", ("tests/integration/test_durable_runs.py",)
    ),
    Requirement(
        "S04",
        "PostgreSQL event store",
        "built",
        (
            "tests/integration/test_ledger.py",
            "tests/integration/test_event_store.py",
            "tests/integration/test_joint_appends.py",
            "tests/unit/storage/test_joining.py",
            "tests/integration/test_restore.py",
            "tests/integration/test_documents.py",
            "tests/integration/test_archive.py",
            "tests/integration/test_archive_http.py",
            "tests/integration/test_archive_refolding.py",
            "tests/unit/kernel/test_upcasts.py",
            "tests/integration/test_transparency.py",
            "tests/integration/test_transparency_interop.py",
            "tests/integration/test_witness.py",
            "tests/integration/test_witness_interop.py",
            "tests/integration/test_object_store.py",
            "tests/contracts/test_checkpoint_publishers.py",
            "tests/integration/test_no_loss.py",
            "tests/integration/test_postgres_crashes.py",
            "tests/unit/ledger",
        ),
    ),
    Requirement("S05", "Extension registry", "planned"),
    Requirement("S06", "AI sovereignty layer", "planned"),
    Requirement(
        "S07",
        "Event bus",
        "begun",
        (
            "tests/integration/test_ledger.py",
            "tests/integration/test_no_loss.py",
            "tests/integration/test_subscriptions.py",
            "tests/integration/test_webhooks.py",
            "tests/system/test_bus.py",
        ),
    ),
    Requirement("S08", "Core contracts", "begun", ("tests/architecture/test_contracts.py",)),
    Requirement(
        "S09", "Plugin system", "begun", ("tests/unit/kernel/test_plugins.py", "tests/contracts")
    ),
    Requirement(
        "S10",
        "Code generation engine",
        "begun",
        (
            "tests/unit/forge",
            "tests/integration/test_expression_targets.py",
            "tests/integration/test_examples.py",
        ),
    ),
    Requirement(
        "S11",
        "Runtime layer",
        "begun",
        ("tests/integration/test_runtime.py", "tests/unit/runtime"),
    ),
    Requirement(
        "S12",
        "Versioning system",
        "begun",
        ("tests/integration/test_durable_runs.py", "tests/integration/test_versions.py"),
    ),
    Requirement(
        "S13",
        "Multi-tenancy core",
        "begun",
        (
            "tests/integration/test_ledger.py",
            "tests/integration/test_walls_catalogue.py",
            "tests/integration/test_walls_mutations.py",
            "tests/integration/test_walls_stateful.py",
            "tests/integration/test_tenancy.py",
            "tests/system/test_tenants.py",
            "tests/system/test_tenant_deletion.py",
            "tests/integration/test_tenant_cli.py",
            "tests/integration/test_tenant_import.py",
            "tests/integration/test_portability.py",
            "tests/integration/test_removal.py",
        ),
    ),
    Requirement("S14", "Service providers hub", "planned"),
    Requirement("S15", "Sovereign user management", "planned"),
    Requirement(
        "S16",
        "Resource usage and cost tracking",
        "begun",
        (
            "tests/unit/ledger/test_metering.py",
            "tests/integration/test_metering.py",
            "tests/integration/test_metering_http.py",
            "tests/integration/test_budgets.py",
        ),
    ),
    Requirement("S17", "Sovereign infrastructure management", "planned"),
    Requirement("S18", "External integration gateway", "planned"),
    Requirement("S19", "AI smart suggestions", "planned"),
    Requirement("S20", "One-click deployment", "planned"),
    Requirement(
        "S21",
        "Backend generator",
        "begun",
        (
            "tests/contracts/test_backend_targets.py",
            "tests/integration/test_generated_schemathesis.py",
            "tests/integration/test_exploits.py",
        ),
    ),
    Requirement("S22", "AI copilot", "planned"),
    Requirement(
        "S23", "Testing generator", "begun", ("tests/integration/test_generated_suites.py",)
    ),
    Requirement("S24", "Marketplace", "planned"),
    Requirement("S25", "Real-time collaboration", "planned"),
    Requirement(
        "S26",
        "Full-stack project generator",
        "begun",
        (
            "tests/contracts/test_frontend_targets.py",
            "tests/integration/test_react_sources.py",
            "tests/integration/test_react_pages.py",
            "tests/system/test_pages.py",
            "tests/unit/runtime/test_packages.py",
        ),
    ),
    Requirement("S27", "Cloud deployment adapters", "planned"),
    Requirement(
        "S28", "Sandbox code executor", "begun", ("tests/contracts/test_sandbox_drivers.py",)
    ),
    Requirement("S29", "Execution engine isolation", "planned"),
    Requirement("S30", "Secure terminal", "planned"),
    Requirement("S31", "Project runtime engine", "begun", ("tests/integration/test_runtime.py",)),
    Requirement("S32", "Platform linking unit (federation)", "planned"),
    Requirement(
        "S33",
        "Security model",
        "begun",
        ("tests/integration/test_ledger.py", "tests/integration/test_api.py"),
    ),
    Requirement("S34", "Dynamic page telemetry", "planned"),
    Requirement("S35", "Institutional memory", "planned"),
    Requirement("S36", "Integration layer: Git API", "planned"),
    Requirement("S37", "Integration layer: CI/CD", "planned"),
    Requirement("S38", "Infrastructure as code", "planned"),
    Requirement("S39", "Secrets vault", "planned"),
    Requirement("S40", "Permissions system", "begun", ("tests/architecture/test_contracts.py",)),
    Requirement("S41", "Service-to-service authentication", "planned"),
    Requirement("S42", "Console", "planned"),
    Requirement("S43", "Payments", "planned"),
    Requirement("S44", "Compliance", "begun", ("tests/integration/test_erasure.py",)),
    Requirement(
        "S45",
        "Sector packs",
        "begun",
        ("tests/unit/ai", "tests/integration/test_examples.py"),
    ),
    Requirement(
        "S46",
        "HTTP API, Ray dashboard, Python job submission",
        "built",
        ("tests/integration/test_api.py", "tests/system"),
    ),
    Requirement("S47", "Cluster", "begun", ("tests/system",)),
)
