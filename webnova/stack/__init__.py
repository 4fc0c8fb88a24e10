"""The local stack: Postgres, one Ray head, Serve and the core actors, under one home directory."""
