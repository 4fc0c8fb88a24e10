"""Alembic's entry: runs the migrations as the owner role, inside the schema `webnova`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, text


def run(connection: Connection) -> None:
    connection.execute(text("CREATE SCHEMA IF NOT EXISTS webnova"))
    context.configure(connection=connection, version_table_schema="webnova")
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
