revision = '2'
down_revision = '1'
