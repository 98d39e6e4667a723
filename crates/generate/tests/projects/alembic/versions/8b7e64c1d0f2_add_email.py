"""add email

Revision ID: 8b7e64c1d0f2
Revises: 3f1c0a9d5e21

"""
revision = '8b7e64c1d0f2'
down_revision = '3f1c0a9d5e21'


def upgrade():
    pass
