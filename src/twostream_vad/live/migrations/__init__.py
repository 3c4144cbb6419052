"""How a store came to its tables: Alembic's steps, from the first schema on."""
