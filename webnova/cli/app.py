"""All commands together. Imports stay light: each command loads what it needs when it runs."""

from __future__ import annotations

import sys
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from webnova.cli import (
    archive_commands,
    audit_commands,
    blueprint_commands,
    budget_commands,
    cost_commands,
    doctor_command,
    eventing_commands,
    format_commands,
    job_commands,
    platform_commands,
    project_commands,
    stack_commands,
    stream_commands,
    subject_commands,
    tenant_commands,
    version_commands,
    witness_commands,
)
from webnova.cli.exits import MEANINGS
from webnova.cli.output import json_for_all, tenant_to_act_in

_EXITS = "Exit codes: " + "; ".join(f"{code.value} {text}" for code, text in MEANINGS.items()) + "."
_EXAMPLE = 'Try: webnova up, then webnova create "A clinic with doctors and appointments".'
_STACK, _PLATFORMS, _FILES = "The stack", "Platforms", "Files, with nothing running"
_COST = "Usage and cost"

app = typer.Typer(
    name="webnova",
    help="Describe a platform in Arabic or English; get it generated, tested and running.",
    epilog=f"{_EXAMPLE}\n\n{_EXITS}",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"webnova {installed_version('infera-webnova')}")
        raise typer.Exit


@app.callback()
def _for_all(
    as_json: Annotated[bool, typer.Option("--json", help="Print results as JSON.")] = False,
    tenant: Annotated[
        str | None, typer.Option(help="Act inside this tenant (root tenant's tokens only).")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="The version.")
    ] = False,
) -> None:
    json_for_all.set(as_json)
    tenant_to_act_in.set(tenant)


for _name, _function, _panel in (
    ("up", stack_commands.up, _STACK),
    ("down", stack_commands.down, _STACK),
    ("status", stack_commands.status, _STACK),
    ("doctor", doctor_command.doctor, _STACK),
    ("token", stack_commands.token, _STACK),
    ("demo", project_commands.demo, _PLATFORMS),
    ("create", platform_commands.create, _PLATFORMS),
    ("build", platform_commands.build, _PLATFORMS),
    ("list", platform_commands.list_platforms, _PLATFORMS),
    ("show", platform_commands.show, _PLATFORMS),
    ("open", platform_commands.open_platform, _PLATFORMS),
    ("logs", stream_commands.logs, _PLATFORMS),
    ("events", stream_commands.events, _PLATFORMS),
    ("rollback", platform_commands.rollback, _PLATFORMS),
    ("run", platform_commands.run, _PLATFORMS),
    ("cancel", platform_commands.cancel, _PLATFORMS),
    ("forecast", cost_commands.forecast, _COST),
    ("generate", project_commands.generate, _FILES),
    ("undo", project_commands.undo, _FILES),
    ("test", project_commands.test, _FILES),
    ("import", format_commands.import_source, _FILES),
    ("export", format_commands.export, _FILES),
    ("shapes", project_commands.shapes, _FILES),
):
    app.command(_name, rich_help_panel=_panel)(_function)

_blueprint = typer.Typer(help="Check, show and compare Blueprints.", no_args_is_help=True)
_blueprint.command("validate")(blueprint_commands.validate)
_blueprint.command("show")(blueprint_commands.show)
_blueprint.command("diff")(blueprint_commands.diff)
app.add_typer(_blueprint, name="blueprint")

_audit = typer.Typer(help="Show that what happened was not altered.", no_args_is_help=True)
_audit.command("checkpoint")(audit_commands.checkpoint)
_audit.command("export")(audit_commands.export)
_audit.command("verify")(audit_commands.verify)
_audit.command("prove")(audit_commands.prove)
_witness = typer.Typer(help="Cosign the checkpoints of others' logs.", no_args_is_help=True)
_witness.command("show")(witness_commands.show)
_witness.command("trust")(witness_commands.trust)
_witness.command("list")(witness_commands.list_logs)
_witness.command("remove")(witness_commands.remove)
_audit.add_typer(_witness, name="witness")
app.add_typer(_audit, name="audit")

_tenant = typer.Typer(help="Who shares the installation.", no_args_is_help=True)
_tenant.command("create")(tenant_commands.create_tenant)
_tenant.command("list")(tenant_commands.list_tenants)
_tenant.command("show")(tenant_commands.show)
_tenant.command("suspend")(tenant_commands.suspend)
_tenant.command("resume")(tenant_commands.resume)
_tenant.command("export")(tenant_commands.export)
_tenant.command("verify")(tenant_commands.verify)
_tenant.command("delete")(tenant_commands.delete)
_tenant.command("recipient")(tenant_commands.recipient)
_tenant.command("import")(tenant_commands.import_tenant)
app.add_typer(_tenant, name="tenant")

_subject = typer.Typer(help="Personal data, and its erasure.", no_args_is_help=True)
_subject.command("show")(subject_commands.show)
_subject.command("erase")(subject_commands.erase)
app.add_typer(_subject, name="subject")
_archive = typer.Typer(
    help="Keep old months in files that verify by themselves.", no_args_is_help=True
)
_archive.command("list")(archive_commands.list_months)
_archive.command("month")(archive_commands.month)
_archive.command("drop")(archive_commands.drop)
_archive.command("restore")(archive_commands.restore)
_archive.command("refold")(archive_commands.refold)
app.add_typer(_archive, name="archive", rich_help_panel=_STACK)

_job = typer.Typer(help="Run Python programs on the cluster.", no_args_is_help=True)
_job.command("submit")(job_commands.submit)
_job.command("stop")(job_commands.stop_job)
_job.command("env")(job_commands.env)
app.add_typer(_job, name="job")

_history = typer.Typer(help="Every version of any document.", no_args_is_help=True)
_history.command("list")(version_commands.list_versions)
_history.command("show")(version_commands.show)
_history.command("diff")(version_commands.diff)
_history.command("blame")(version_commands.blame)
_history.command("restore")(version_commands.restore)
_history.command("causes")(version_commands.causes)
_history.command("find")(version_commands.find)
_history.command("rebuild")(version_commands.rebuild)
app.add_typer(_history, name="history")

_webhook = typer.Typer(help="Send events to where you want them.", no_args_is_help=True)
_webhook.command("add")(eventing_commands.add_webhook)
_webhook.command("list")(eventing_commands.list_webhooks)
_webhook.command("show")(eventing_commands.show_webhook)
_webhook.command("secret")(eventing_commands.show_secret)
_webhook.command("switch")(eventing_commands.switch_webhook)
_webhook.command("remove")(eventing_commands.remove_webhook)
_webhook.command("deliveries")(eventing_commands.list_deliveries)
_webhook.command("replay")(eventing_commands.replay_webhook)
app.add_typer(_webhook, name="webhook")

_subscription = typer.Typer(help="Durable subscriptions of programs.", no_args_is_help=True)
_subscription.command("list")(eventing_commands.list_subscriptions)
_subscription.command("show")(eventing_commands.show_subscription)
_subscription.command("dead-letters")(eventing_commands.list_dead_letters)
_subscription.command("replay")(eventing_commands.replay_dead_letters)
app.add_typer(_subscription, name="subscription")

_usage = typer.Typer(help="Record usage, sum it up and charge it.", no_args_is_help=True)
_usage.command("record")(cost_commands.record_usage)
_usage.command("list")(cost_commands.list_usage)
_usage.command("unrated")(cost_commands.list_unrated)
_usage.command("rate")(cost_commands.rate)
app.add_typer(_usage, name="usage", rich_help_panel=_COST)

_price = typer.Typer(help="Publish and show price books.", no_args_is_help=True)
_price.command("publish")(cost_commands.publish_prices)
_price.command("list")(cost_commands.list_prices)
_price.command("show")(cost_commands.show_prices)
app.add_typer(_price, name="price", rich_help_panel=_COST)

_budget = typer.Typer(help="Budgets and reservations on them.", no_args_is_help=True)
_budget.command("set")(budget_commands.set_budget)
_budget.command("list")(budget_commands.list_budgets)
_budget.command("show")(budget_commands.show_budget)
_budget.command("reserve")(budget_commands.reserve)
_budget.command("settle")(budget_commands.settle)
_budget.command("release")(budget_commands.release)
_budget.command("reservation")(budget_commands.reservation)
app.add_typer(_budget, name="budget", rich_help_panel=_COST)

_statement = typer.Typer(help="Monthly statements and their ledger.", no_args_is_help=True)
_statement.command("show")(cost_commands.show_statement)
_statement.command("close")(cost_commands.close_month)
_statement.command("correct")(cost_commands.correct_charge)
_statement.command("entry")(cost_commands.show_entry)
app.add_typer(_statement, name="statement", rich_help_panel=_COST)


def main() -> None:
    """The console script. Ends the process with one of the documented exit codes."""
    for stream in (sys.stdout, sys.stderr):
        # Texts are bilingual: they are written as UTF-8 whatever the locale says.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()
