"""Run the revisions on the connection that opens the store; loaded by Alembic alone."""

from alembic import context

from serving.store.migrate import VERSION_TABLE
from serving.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
