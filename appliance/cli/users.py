"""`hako user`: a second person, from the terminal."""

import click

from appliance.cli.context import Terminal, language, reports_errors, say


@click.group()
def user() -> None:
    """People."""


@user.command("list")
@click.pass_obj
@reports_errors
def list_users(terminal: Terminal) -> None:
    """List the accounts."""
    with terminal.client() as client:
        for item in client.get("/users")["items"]:
            click.echo(f"{item['name']:<24} {item['role']:<10} {item['display_name']}")


@user.command()
@click.argument("name")
@click.option("--display-name", help="Name as shown; the account's name when left out.")
@click.option("--role", type=click.Choice(["member", "operator"]), default="member", show_default=True)
@click.option("--language", "own_language", type=click.Choice(["ja", "en"]), default=None)
@click.option("--password", envvar="HAKO_PASSWORD", help="Asked for when left out.")
@click.pass_obj
@reports_errors
def add(
    terminal: Terminal, name: str, display_name: str | None, role: str, own_language: str | None, password: str | None
) -> None:
    """Add an account NAME."""
    with terminal.client() as client:
        if password is None:
            password = click.prompt(say("cli.user.password"), hide_input=True, confirmation_prompt=True)
        body = {
            "name": name,
            "display_name": display_name or name,
            "role": role,
            "password": password,
            "language": own_language or language(),
        }
        created = client.post("/users", body)
    click.echo(say("cli.user.added", name=created["name"]))
