"""The `workshop` command: program.py, or without the package that it needs, the doctor alone."""

try:
    from workshop_utils.cli.program import main as main
except ModuleNotFoundError as error:
    if error.name != "click":
        raise
    from workshop_utils.cli.without_click import main as main  # type: ignore[assignment]
