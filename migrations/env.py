"""Runs one side's migrations on a connection that the caller opened.

`shared.migrating` is the way in. Developers may also use the alembic command:
`alembic -x side=vendor -x url=sqlite:///./vendor.db history`.
"""

from alembic import context
from sqlalchemy import Connection, create_engine

SIDES = ("vendor", "client")


def run() -> None:
    """Bring the side's schema to the revision asked for."""
    arguments = context.get_x_argument(as_dictionary=True)
    side = context.config.attributes.get("side") or arguments.get("side")
    if side not in SIDES:
        raise SystemExit("say whose migrations: -x side=vendor or -x side=client")
    connection: Connection | None = context.config.attributes.get("connection")
    if connection is not None:
        migrate(connection)
    elif "url" in arguments:
        with create_engine(arguments["url"]).begin() as opened:
            migrate(opened)
    else:
        raise SystemExit("say which database: -x url=sqlite:///./vendor.db")


def migrate(connection: Connection) -> None:
    """The steps themselves, inside the connection's own transaction."""
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


run()
