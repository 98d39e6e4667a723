"""the branches meet"""
revision = "c0ffee"
down_revision = (
    "8b7e64c1d0f2",
    "a1",
)
