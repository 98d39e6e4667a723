revision = "d00d"
down_revision = "c0ffee"
