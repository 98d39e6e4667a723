# No revision: Alembic's own environment.
from alembic import context
