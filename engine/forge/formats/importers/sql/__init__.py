"""SQL DDL of PostgreSQL, MySQL and SQLite, read with sqlglot."""
