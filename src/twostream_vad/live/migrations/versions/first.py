"""The first schema: events, a minute's scores a row, and what is still to be delivered."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "events",
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("camera", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("start", sa.Double, nullable=False),
        sa.Column("end", sa.Double),
        sa.Column("peak", sa.Double, nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("threshold", sa.Double, nullable=False),
        sa.Column("stream", sa.String(32), nullable=False),
        sa.Column("detector", sa.String(64), nullable=False),
        sa.Column("repeats", sa.String(128)),
        sa.Column("verdict", sa.String(16)),
        sa.Column("more", sa.JSON, nullable=False),
    )
    op.create_index("events_by_start", "events", ["start"])
    op.create_index("events_by_camera", "events", ["camera", "start"])
    op.create_table(
        "minutes",
        sa.Column("camera", sa.String(64), primary_key=True),
        sa.Column("minute", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("scores", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("target", sa.String(256), nullable=False),
        sa.Column("event", sa.JSON, nullable=False),
        sa.Column("due", sa.Double, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("why", sa.String(512), nullable=False),
        sa.UniqueConstraint("key", "phase", "target"),
    )
    op.create_index("outbox_by_due", "outbox", ["target", "due"])
