"""``python -m activitykit`` and the ``activitykit`` command."""

import sys


def main() -> None:
    """Run the command line, or say which extra it needs."""
    try:
        from activitykit.cli import run
    except ModuleNotFoundError as missing:
        if (missing.name or "").split(".")[0] not in {"click", "rich"}:
            raise
        sys.exit(
            f"activitykit: the command line needs {missing.name}: pip install 'activitykit[cli]'"
        )
    sys.exit(run())


if __name__ == "__main__":
    main()
