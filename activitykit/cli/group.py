"""The command itself: its group, and what becomes of an error."""

import os
import sys

import click

import activitykit as ak


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="activitykit")
def cli() -> None:
    """Analyse the activities of Acronis Cyber Protect Cloud.

    SOURCE is a file (.json, .ndjson, .jsonl, also compressed, or .parquet) or the folder of an
    archive. Without one, the service is asked, with the account in ACRONIS_BASE_URL,
    ACRONIS_CLIENT_ID, ACRONIS_CLIENT_SECRET and, for one customer, ACRONIS_TENANT.
    """


def run() -> int:
    """Run the command line and turn our errors into one line."""
    try:
        code = cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("activitykit: interrupted", err=True)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ak.ActivityKitError, OSError) as error:
        click.echo(f"activitykit: {error}", err=True)
        return 1
    # a command that leaves by ctx.exit says with which code
    return code if isinstance(code, int) else 0
