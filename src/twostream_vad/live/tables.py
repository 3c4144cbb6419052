"""The store's tables, as the newest migration leaves them."""

import sqlalchemy as sa

METADATA = sa.MetaData()

EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("camera", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("start", sa.Double, nullable=False),  # seconds since the epoch, as all times
    sa.Column("end", sa.Double),
    sa.Column("peak", sa.Double, nullable=False),
    sa.Column("score", sa.Double, nullable=False),
    sa.Column("threshold", sa.Double, nullable=False),
    sa.Column("stream", sa.String(32), nullable=False),
    sa.Column("detector", sa.String(64), nullable=False),
    sa.Column("repeats", sa.String(128)),
    sa.Column("verdict", sa.String(16)),  # a person's: normal or anomaly
    sa.Column("more", sa.JSON, nullable=False),  # what may change later: place, zone, nearest, clip, …
    sa.Index("events_by_start", "start"),
    sa.Index("events_by_camera", "camera", "start"),
)

MINUTES = sa.Table(
    "minutes",
    METADATA,
    sa.Column("camera", sa.String(64), primary_key=True),
    sa.Column("minute", sa.Integer, primary_key=True, autoincrement=False),  # since the epoch
    sa.Column("scores", sa.LargeBinary, nullable=False),  # float32, 60 means and 60 largest, NaN where none is
    sqlite_with_rowid=False,
)

OUTBOX = sa.Table(
    "outbox",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(128), nullable=False),
    sa.Column("phase", sa.String(16), nullable=False),
    sa.Column("target", sa.String(256), nullable=False),
    sa.Column("event", sa.JSON, nullable=False),  # as it was told
    sa.Column("due", sa.Double, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("why", sa.String(512), nullable=False),  # the last try failed
    sa.UniqueConstraint("key", "phase", "target"),
    sa.Index("outbox_by_due", "target", "due"),
)
