"""Simulated activities, the emulated service, and the tour."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

import activitykit as ak
from activitykit.cli.group import cli
from activitykit.cli.options import source_argument, usage

count_option = click.option(
    "-n", "count", default=20_000, show_default=True, type=click.IntRange(min=0),
    help="Activities to simulate.",
)  # fmt: skip


@cli.command()
@click.argument("n", type=click.IntRange(min=0))
@click.option("--seed", default=0, show_default=True)
@click.option("--until", default="2026-11-01T06:00:00Z", show_default=True, help="Newest moment.")
def simulate(n: int, seed: int, until: str) -> None:
    """Print N simulated activities as NDJSON: the same seed and moment give the same bytes.

    \b
    activitykit simulate 1000 --seed 7 > activities.ndjson
    """
    with usage():
        items = ak.demo.simulate(n, seed=seed, until=until)
    for item in items:
        click.echo(json.dumps(item, ensure_ascii=False, separators=(",", ":")))


@cli.command()
@source_argument
@click.option(
    "--port", default=0, show_default=True, type=click.IntRange(0, 65535),
    help="0 takes a free one.",
)  # fmt: skip
@count_option
@click.option("--delay", default=0.0, show_default=True, help="Seconds before each page.")
@click.option("--faults", default="", help="Faults and their rates, such as 429=0.1,reset=0.02.")
@click.option("--variants", default="", help="Open facts of the contract, such as cursors=top.")
def serve(
    source: str | None, port: int, count: int, delay: float, faults: str, variants: str
) -> None:
    """Run the emulated service on this machine until Ctrl-C.

    It serves SOURCE, or simulated activities of the last 30 days, and prints the settings that a
    client needs.

    \b
    activitykit serve --port 8480
    activitykit serve --faults 429=0.1,truncate=0.05 --variants cursors=top,interval=false
    """
    items = ak.unflatten(ak.load(source)) if source else ak.demo.simulate(count, until="0s")
    with usage():
        rates = {name: float(rate) for name, rate in _pairs(faults)}
        misbehaviour = ak.demo.Faults(rates=rates, delay_s=delay)
        chosen = {name: _literal(value) for name, value in _pairs(variants)}
        known = [field.name for field in fields(ak.demo.Variants)]
        if unknown := sorted(set(chosen) - set(known)):
            raise click.UsageError(f"no variant {unknown[0]!r}; there are {', '.join(known)}")
        behaviour = ak.demo.Variants(**chosen)
    with ak.demo.serve(items, port=port, variants=behaviour, faults=misbehaviour) as service:
        for name, value in _settings(service).items():
            click.echo(f"export {name}={value}")
        click.echo("Serving until Ctrl-C. Paste the lines above into another terminal.", err=True)
        while True:
            time.sleep(3600)


@cli.command()
@click.option("-o", "--out", default="out", show_default=True, type=click.Path(path_type=Path))
@count_option
def demo(out: Path, count: int) -> None:
    """Show the main job: fetch, look, measure, keep, report.

    Everything runs against the emulated service, over HTTP, by the commands that you would use with
    your own account.
    """
    out.mkdir(parents=True, exist_ok=True)
    kept, page = out / "activities.parquet", out / "report.html"
    click.echo(f"Starting an emulated Acronis service with {count:,} simulated activities …")
    items = ak.demo.simulate(count, until="0s")
    slowly = ak.demo.Faults(delay_s=0.1)
    with ak.demo.serve(items, faults=slowly) as service, _environment(_settings(service)):
        _tell("snapshot", kept, "--since", "30d")
    _tell("load", kept, "--rows", 8)
    _tell("stats", "duration_stats", kept, "--by", "operation")
    _tell("stats", "failure_stats", kept, "--by", "tenant.name")
    _tell("report", kept, "--period", "7d", "-o", page)
    click.echo(
        f"\nOpen {page.resolve()} in a browser; {kept} holds the data.\n"
        "With your own account: create an API client in the management portal (Settings > API\n"
        "clients), set ACRONIS_BASE_URL, ACRONIS_CLIENT_ID and ACRONIS_CLIENT_SECRET, and run the\n"
        "same commands. For notebooks: make lab."
    )


def _tell(*words: object) -> None:
    """Show a command as one would type it, and run it."""
    args = [str(word) for word in words]
    click.secho(f"\n$ activitykit {' '.join(args)}", bold=True)
    cli.main(args, standalone_mode=False)


def _pairs(text: str) -> list[tuple[str, str]]:
    """Read ``a=1,b=2``."""
    pairs = [part.partition("=") for part in text.split(",") if part]
    if any(not (name and value) for name, _, value in pairs):
        raise click.UsageError(f"{text!r} is not of the form name=value,name=value")
    return [(name, value) for name, _, value in pairs]


def _literal(value: str) -> Any:  # noqa: ANN401 - text, number or truth value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _settings(service: Any) -> dict[str, str]:  # noqa: ANN401
    return {
        "ACRONIS_BASE_URL": service.base_url,
        "ACRONIS_CLIENT_ID": service.client_id,
        "ACRONIS_CLIENT_SECRET": service.client_secret,
    }


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
