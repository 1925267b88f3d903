"""Brings the database to this version's schema."""

from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

_LOCK = 0x666C656574
"""The advisory lock of migrations: several API containers starting together run them one after another."""

log = structlog.get_logger()


def migrate(database_url: str) -> None:
    """Run what is missing, under a lock, in one transaction; raises `sqlalchemy.exc.SQLAlchemyError` if it cannot.

    A schema that a later version has brought further is left as it is.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    engine = create_engine(
        url,
        poolclass=NullPool,
        connect_args={"connect_timeout": 5, "options": "-c lock_timeout=60s -c statement_timeout=600s"},
    )
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            before = MigrationContext.configure(connection).get_current_revision()
            if before is not None and before not in _known(config):
                # A replica of the version before, during a rollout: those that run already work on it too.
                log.warning("schema_is_newer", revision=before)
                return
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            after = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    log.info("schema_ready", revision_before=before, revision=after)


def _known(config: Config) -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())
