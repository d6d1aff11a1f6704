"""`vl2v-vendor people`: who may open the dashboard, and what their role lets them do there."""

import sys
from typing import Annotated

import typer
from sqlalchemy import Connection

from vendor_api.admin.holdings import show_instant
from vendor_api.cli.shell import JsonFlag, Shell, name_actor
from vendor_api.db import format_instant
from vendor_api.people import staff
from vendor_api.people.invitations import link
from vendor_api.people.passwords import check_password, hash_password
from vendor_api.people.roster import Person, Role, list_people, normalise_name, read_role
from vendor_api.refusal import Refusal

people = typer.Typer(
    help="Create, list, disable people of the dashboard, and give them roles.", no_args_is_help=True
)

NameArgument = Annotated[str, typer.Argument(help="Their name or e-mail address, or id (per_…).")]
PasswordFlag = Annotated[
    bool,
    typer.Option(
        "--password",
        help="Ask for the password (or read it from stdin) instead of printing a one-time link.",
    ),
]

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(people, name="people")


@people.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A name or e-mail address to log in with, unique.")],
    role: Annotated[
        str,
        typer.Option(help="viewer (looks), support (keys), finance (money) or admin (everything)."),
    ] = "viewer",
    password: PasswordFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Create a person and print a one-time link with which they choose their password.

    Example: vl2v-vendor people create eva@example.org --role finance
    """
    given, wanted = _read_name(name), _read_role(role)
    hashed = hash_password(_ask_password()) if password else None
    shell = Shell.of(ctx)
    created, token = shell.change(
        lambda c, now: staff.hire(c, now, name_actor(), given, wanted, hashed)
    )
    _show_invited(shell, created, token, as_json)


@people.command("list")
def list_all(ctx: typer.Context, as_json: JsonFlag = False) -> None:
    """List everybody, oldest first.

    Example: vl2v-vendor people list
    """
    shell = Shell.of(ctx)
    rows = shell.read(lambda c, _now: [_document(person) for person in list_people(c)])
    empty = "nobody yet: vl2v-vendor people create NAME --role admin"
    shell.list(rows, empty, as_json=as_json)


@people.command()
def disable(ctx: typer.Context, name: NameArgument, as_json: JsonFlag = False) -> None:
    """Log a person out everywhere at once, and let them in no more.

    Example: vl2v-vendor people disable eva@example.org
    """
    shell = Shell.of(ctx)
    person = shell.change(lambda c, now: staff.disable(c, now, name_actor(), name))
    shell.show(_document(person), f"disabled {person.name}", as_json=as_json)


@people.command()
def enable(ctx: typer.Context, name: NameArgument, as_json: JsonFlag = False) -> None:
    """Let a disabled person in again.

    Example: vl2v-vendor people enable eva@example.org
    """
    shell = Shell.of(ctx)
    person = shell.change(lambda c, now: staff.enable(c, now, name_actor(), name))
    shell.show(_document(person), f"enabled {person.name}", as_json=as_json)


@people.command()
def role(
    ctx: typer.Context,
    name: NameArgument,
    new: Annotated[str, typer.Argument(metavar="ROLE", help="viewer, support, finance or admin.")],
    as_json: JsonFlag = False,
) -> None:
    """Give a person another role, from their next click on.

    Example: vl2v-vendor people role eva@example.org admin
    """
    wanted = _read_role(new)
    shell = Shell.of(ctx)
    person = shell.change(lambda c, now: staff.change_role(c, now, name_actor(), name, wanted))
    shell.show(_document(person), f"{person.name} is {person.role}", as_json=as_json)


@people.command()
def reset(
    ctx: typer.Context,
    name: NameArgument,
    password: PasswordFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """End a person's password and sessions, and print a one-time link to choose another.

    Example: vl2v-vendor people reset eva@example.org
    """
    hashed = hash_password(_ask_password()) if password else None

    def work(connection: Connection, now: int) -> tuple[Person, str | None]:
        if hashed is None:
            return staff.reset(connection, now, name_actor(), name)
        known = staff.get_person(connection, name)
        return staff.change_password(connection, now, name_actor(), known.id, hashed), None

    shell = Shell.of(ctx)
    person, token = shell.change(work)
    _show_invited(shell, person, token, as_json)


def _show_invited(shell: Shell, person: Person, token: str | None, as_json: bool) -> None:
    """The person, and where they choose a password; the link is shown once."""
    if token is None:
        sentence = f"{person.name} ({person.role}) can log in"
        shell.show(_document(person), sentence, as_json=as_json)
        return
    settings = shell.settings
    address = f"http://{settings.host}:{settings.port}{link(token)}"
    shell.show(_document(person) | {"link": address}, address, as_json=as_json)
    typer.echo(
        f"give the link to {person.name}: it works once, within 24 hours, at the address where "
        "they reach the vendor",
        err=True,
    )


def _ask_password() -> str:
    if sys.stdin.isatty():
        entered = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        entered = sys.stdin.readline().rstrip("\n")
    try:
        return check_password(entered)
    except ValueError as error:
        raise Refusal(str(error)) from error


def _read_name(text: str) -> str:
    try:
        return normalise_name(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _read_role(text: str) -> Role:
    try:
        return read_role(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _document(person: Person) -> dict[str, str | None]:
    return {
        "id": person.id,
        "name": person.name,
        "role": person.role,
        "status": _say_status(person),
        "created_at": format_instant(person.created_at),
        "last_login_at": show_instant(person.last_login_at),
    }


def _say_status(person: Person) -> str:
    if person.disabled_at is not None:
        return "disabled"
    return "active" if person.has_password else "invited"
