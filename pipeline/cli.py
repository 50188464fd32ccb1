"""The command line: a thin shell over ``pipeline.api``.

Nothing heavier than click is imported until a command runs, so that `--help` answers at once. What a command does, one function of
``pipeline.api`` does; here are only options, screens and exit codes.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pipeline.report.progress import Kind

EXIT_CODES = """
\b
Exit codes:
  0  every row is ok             1  finished, some rows are not ok
  2  the spec or the command line is wrong
  3  the data is wrong           4  the run directory is in use
  5  the budget is reached       6  the provider refuses everyone
  7  the disk failed             8  functions of the job hang
  70  a mistake of the program's own
  130, 143  interrupted; the same command goes on
"""

_SPEC = click.argument("spec", type=click.Path(path_type=Path))
_SETS = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a setting of the spec, e.g. --set input.limit=10. Paths count from the spec.",
)

_ALLOW_CODE = click.option(
    "--allow-code", is_flag=True, help="Load the Python functions that SPEC names: their code runs on this machine."
)


def _listed(_: click.Context, option: click.Parameter, value: str | None) -> list[str]:
    """Return the words of an option that takes several. An option that is there and names nothing is a mistake: an empty variable's."""
    words = [word.strip() for word in (value or "").split(",") if word.strip()]
    if value is not None and not words:
        raise click.BadParameter("names nothing", param=option)
    return words


class _Commands(click.Group):
    """Keeps the commands in the order in which a person meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)


@click.group(cls=_Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="responses-pipeline", prog_name="pipeline")
def cli() -> None:
    """Send a table of texts, images, videos or files through a multimodal Responses API and get a trustworthy table back."""


@cli.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path),
    default=Path("job.yaml"),
    show_default=True,
    help="The spec to write.",
)
def init(table: Path, target: Path) -> None:
    """Write a commented job spec for TABLE: a Parquet, CSV or JSONL file, or a folder of images."""
    from pipeline import api

    path = api.init(table, target)
    click.echo(f"Wrote {path}. Next: {shlex.join(['pipeline', 'check', str(path)])}")


@cli.command()
@_SPEC
@_SETS
@_ALLOW_CODE
def check(spec: Path, sets: tuple[str, ...], *, allow_code: bool) -> None:
    """Check SPEC against its input; nothing is sent."""
    from pipeline import api
    from pipeline.report.sending import render_check

    checked = api.check(spec, sets=sets, allow_code=allow_code)
    job = checked.job
    click.echo(
        render_check(
            name=job.name,
            provider=job.provider.label,
            url="the embedded simulator" if job.provider.simulated else checked.endpoint.url,
            model=job.model,
            rows=checked.rows,
            columns={field.name: str(field.type) for field in checked.columns.schema},
            output=job.output_path,
            notes=checked.notes,
            samples=job.samples,
            secrets=checked.secrets,
        )
    )


@cli.command()
@_SPEC
@_SETS
@_ALLOW_CODE
@click.option("-n", "--rows", default=1, show_default=True, type=click.IntRange(1, 1000), help="How many rows.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per row.")
def preview(spec: Path, sets: tuple[str, ...], rows: int, *, allow_code: bool, as_json: bool) -> None:
    """Show the exact requests of the first rows; nothing is sent."""
    from pipeline import api
    from pipeline.report.sending import render_preview, with_pictures_named

    for shown in api.preview(spec, rows=rows, sets=sets, allow_code=allow_code):
        if as_json:
            error = None if shown.error is None else str(shown.error)
            _echo_json({"row": shown.row, "url": shown.url, "body": with_pictures_named(shown.body), "error": error})
        else:
            click.echo(render_preview(shown.row, shown.url, shown.headers, shown.body, shown.error))


@cli.command()
@_SPEC
@_SETS
@_ALLOW_CODE
@click.option("--models", callback=_listed, metavar="MODEL[,MODEL]", help="Price it for these models, side by side.")
@click.option("--details", callback=_listed, metavar="DETAIL[,DETAIL]", help="And for these image details: low, high …")
@click.option(
    "--tiers", callback=_listed, metavar="TIER[,TIER]", help="And in these service tiers: default, batch, flex …"
)
@click.option("--by", metavar="COLUMN", help="Split the figures by the values of an input column.")
@click.option(
    "--pilot", type=click.IntRange(1), metavar="N", help="Ask N requests now; a run later knows their answers."
)
@click.option("--exact", type=click.IntRange(1), metavar="N", help="Have the provider count the input of N requests.")
@click.option("--yes", is_flag=True, help="Send the pilot without asking, also where it costs money.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per job.")
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path), help="Write it all to a .parquet or .html file, too."
)
def estimate(  # noqa: PLR0913, PLR0917 - one parameter per option
    spec: Path,
    sets: tuple[str, ...],
    models: list[str],
    details: list[str],
    tiers: list[str],
    by: str | None,
    pilot: int | None,
    exact: int | None,
    target: Path | None,
    *,
    yes: bool,
    allow_code: bool,
    as_json: bool,
) -> None:
    """Say what SPEC will cost, before a cent is spent. SPEC may be one that lists several jobs under `estimate`.

    Nothing is sent, unless --pilot or --exact ask for it.
    """
    from dataclasses import asdict

    from pipeline import api
    from pipeline.report.estimate import render_estimates
    from pipeline.report.terminal import at_terminal

    with at_terminal("quiet" if as_json else "lines", spec, sets, allow_code=allow_code) as (observe, confirm):
        estimates = api.estimate(
            spec,
            sets=sets,
            models=models,
            details=details,
            tiers=tiers,
            by=by,
            pilot=pilot or 0,
            exact=exact or 0,
            yes=yes,
            confirm=None if as_json else confirm,
            observe=observe,
            target=target,
            allow_code=allow_code,
        )
    for each in estimates if as_json else ():
        _echo_json(asdict(each))
    if not as_json:
        click.echo(render_estimates(estimates))
    if target is not None:
        click.echo(f"Wrote {target}", err=as_json)


@cli.command(epilog=EXIT_CODES)
@_SPEC
@_SETS
@_ALLOW_CODE
@click.option("--yes", is_flag=True, help="Send without asking, also where it costs money.")
@click.option(
    "--retry",
    callback=_listed,
    metavar="STATUS[,STATUS]",
    help="Ask the rows with these statuses once more, e.g. failed,truncated.",
)
@click.option("--json", "as_json", is_flag=True, help="Progress as JSON lines.")
@click.option("--quiet", is_flag=True, help="Say nothing unless something is wrong.")
def run(
    spec: Path, sets: tuple[str, ...], retry: list[str], *, allow_code: bool, yes: bool, as_json: bool, quiet: bool
) -> None:
    """Run SPEC, or go on with it where an earlier run stopped, and write its table."""
    from pipeline import api
    from pipeline.errors import Interrupted
    from pipeline.report.terminal import at_terminal

    kind: Kind = "json" if as_json else "quiet" if quiet else "panel" if sys.stdout.isatty() else "lines"
    try:
        with at_terminal(kind, spec, sets, allow_code=allow_code) as (observe, confirm):
            confirm = None if as_json else confirm
            finished = api.run(
                spec, sets=sets, yes=yes, retry=retry, confirm=confirm, observe=observe, allow_code=allow_code
            )
    except Interrupted as error:
        if error.told:
            raise SystemExit(error.exit_code) from None  # the closing screen has said it
        raise
    raise SystemExit(finished.exit_code)


@cli.command()
@_SPEC
@_SETS
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def status(spec: Path, sets: tuple[str, ...], *, as_json: bool) -> None:
    """Say how far a run is; SPEC may be its run directory."""
    from pipeline import api
    from pipeline.report.status import render_status, status_figures

    state = api.status(spec, sets=sets)
    tell, echo = (status_figures, _echo_json) if as_json else (render_status, click.echo)
    echo(
        tell(
            state.session,
            state.totals,
            running=state.running,
            planned=state.rows,
            maybe_paid_rows=state.maybe_paid_rows,
            purse=state.purse,
        )
    )


@cli.command()
@_SPEC
@click.argument("row", type=click.IntRange(0))
@_SETS
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def show(spec: Path, row: int, sets: tuple[str, ...], *, as_json: bool) -> None:
    """Show one ROW: its result, every attempt and the whole reply. Rows count from 0 in the whole input."""
    from pipeline import api
    from pipeline.report.status import render_row

    shown = api.show(spec, row, sets=sets)
    if as_json:
        _echo_json(shown)
    else:
        click.echo(render_row(shown))


@cli.command()
@_SPEC
@_SETS
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path),
    help="A .parquet or .csv file; by default the spec's output.path.",
)
def export(spec: Path, sets: tuple[str, ...], target: Path | None) -> None:
    """Write the table from what is answered now, also while a run goes on; unfinished rows are `pending`."""
    from pipeline import api

    path, rows = api.export(spec, target, sets=sets)
    click.echo(f"Wrote {path}: {rows:,} rows")


@cli.command()
@_SPEC
@_SETS
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path), help="The page; by default beside the table, as .html."
)
@click.option("--by", multiple=True, metavar="COLUMN", help="Tell cost and tokens by this input column, too.")
@click.option(
    "--compare",
    "other",
    metavar="OTHER",
    type=click.Path(path_type=Path),
    help="Hold this run against OTHER, the run before: changes are told from OTHER to SPEC.",
)
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON object, without single rows.")
def report(
    spec: Path, sets: tuple[str, ...], target: Path | None, by: tuple[str, ...], other: Path | None, *, as_json: bool
) -> None:
    """Write a page on a run: cost, tokens, time, failures, and rows with their requests and replies; SPEC may be its run directory."""
    from pipeline import api
    from pipeline.report.told import figures, render_comparison_text, render_story_text

    if other is not None:
        path, comparison = api.compare(spec, other, target, sets=sets)
        shown, screen = figures(comparison), render_comparison_text(comparison)
    else:
        path, story = api.write_report(spec, target, by=by, sets=sets)
        shown, screen = figures(story), render_story_text(story)
    if as_json:
        _echo_json({"path": str(path), **shown})
    else:
        click.echo(f"Wrote {path}\n{screen}")


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option(
    "--script",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="YAML or JSON: latency, limits, faults.",
)
@click.option(
    "--ledger",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write every executed request to this file, fsynced.",
)
def simulate(host: str, port: int, script: Path | None, ledger: Path | None) -> None:
    """Run the simulator as a server of its own, until interrupted."""
    from pipeline import api

    def say(url: str) -> None:
        click.echo(f"{url}\nUse it with --set provider.base_url={url}/v1 (Ctrl-C stops it)")

    api.serve(host=host, port=port, script=script, ledger=ledger, on_ready=say)


def main() -> None:
    """Run the command line; our own errors become a message, a hint and their exit code."""
    from pipeline.errors import PipelineError

    try:
        raise SystemExit(cli(prog_name="pipeline", standalone_mode=False) or 0)
    except click.Abort:
        _complain("interrupted", "the same command goes on from here")
        raise SystemExit(130) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except PipelineError as error:
        _complain(error.message, error.hint)
        raise SystemExit(error.exit_code) from None
    except Exception:  # noqa: BLE001 - a mistake of ours; Python's own code for it would say that a run has finished
        import traceback

        traceback.print_exc()
        raise SystemExit(70) from None


def _echo_json(value: object) -> None:
    import json

    click.echo(json.dumps(value, ensure_ascii=False, default=str))


def _complain(message: str, hint: str | None) -> None:
    from pipeline.report.text import block

    click.echo(click.style("error: ", fg="red", bold=True) + block(message), err=True)
    if hint is not None:
        click.echo(click.style("  fix: ", fg="cyan") + block(hint), err=True)


if __name__ == "__main__":
    main()
