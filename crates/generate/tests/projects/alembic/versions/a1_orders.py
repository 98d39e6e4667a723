revision = "a1"
down_revision = "3f1c0a9d5e21"
