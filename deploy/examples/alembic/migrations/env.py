import os

from alembic import context
from sqlalchemy import create_engine, pool

# The contract's scheme names the server; SQLAlchemy wants the driver named as well.
url = os.environ["DBA_OP_CONNECTION_STRING"].replace("postgresql://", "postgresql+psycopg://", 1)
options = {}
if "DBA_OP_LOCK_TIMEOUT" in os.environ:
    options["options"] = f"-c lock_timeout={os.environ['DBA_OP_LOCK_TIMEOUT']}"
engine = create_engine(url, poolclass=pool.NullPool, connect_args=options)
with engine.connect() as connection:
    # Each revision in a transaction of its own: what was done is recorded, whatever happens after it.
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
