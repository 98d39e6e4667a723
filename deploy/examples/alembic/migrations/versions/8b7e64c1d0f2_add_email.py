import sqlalchemy as sa
from alembic import op

revision = "8b7e64c1d0f2"
down_revision = "3f1c0a9d5e21"


def upgrade():
    op.add_column("users", sa.Column("email", sa.Text))
