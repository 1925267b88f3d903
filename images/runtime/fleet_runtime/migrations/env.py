"""Alembic's entry point; `runner.migrate` is how it is called."""

from alembic import context

from fleet_runtime.schema import metadata

if context.is_offline_mode():
    raise RuntimeError("migrations need a database: run `python -m fleet_runtime migrate`")

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
