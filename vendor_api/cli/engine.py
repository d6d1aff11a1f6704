"""`vl2v-vendor engine`: models on a Ray cluster, for any number of API processes."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from vendor_api.cli.serve import ModelOption, merge_settings
from vendor_api.cli.shell import JsonFlag, Shell
from vendor_api.engine.local import parse_models, read_manner, settle_precision
from vendor_api.engine.ray_plan import read_plan
from vendor_api.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vendor_api.engine.ray_cluster import Deployed
    from vendor_api.settings import VendorSettings

LOOK_SECONDS = 0.5

AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="HOST:PORT of the cluster's head; else VENDOR_RAY_ADDRESS."),
]

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    engine = typer.Typer(
        help="Compute models on a Ray cluster, for any number of servers.", no_args_is_help=True
    )
    engine.command("deploy")(deploy)
    engine.command("status")(show_status)
    engine.command("stop")(stop)
    app.add_typer(engine, name="engine")


def deploy(
    ctx: typer.Context,
    model: ModelOption = None,
    address: AddressOption = None,
    replicas: Annotated[
        str | None, typer.Option(help="A number, or LEAST-MOST to follow the load [1].")
    ] = None,
    cpus: Annotated[float | None, typer.Option(help="Processor cores of a replica [1].")] = None,
    gpus: Annotated[float | None, typer.Option(help="GPUs of a replica, or a part [0].")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait until all run.")] = 300.0,
    as_json: JsonFlag = False,
) -> None:
    """Have a Ray cluster run replicas of models, or change how many; servers then use --engine ray.

    Example: vl2v-vendor engine deploy --model icon-clip=local-dir:teacher --replicas 1-8
    """
    from vendor_api.engine import ray_cluster

    shell = Shell.of(ctx)
    settings = merge_settings(
        shell.settings,
        models=tuple(model) if model else None,
        ray_address=address,
        ray_replicas=replicas,
        ray_cpus=cpus,
        ray_gpus=gpus,
    )
    specs, plan = parse_models(settings.models), read_plan(settings)
    if not specs:
        raise Refusal("name a model: vl2v-vendor engine deploy --model ID=local-dir:PATH")
    ray_cluster.connect(settings.ray_address)
    for spec in specs:
        # Every replica computes the same, wherever it runs.
        manner, why = settle_precision(spec, read_manner(settings))
        if why:
            typer.echo(f"{spec.id} in {manner.precision}: {why}", err=True)
        ray_cluster.deploy(spec, manner, plan, settings.max_queued_ms)
    found = _await_replicas([spec.id for spec in specs], plan.least, wait)
    _show(shell, found, as_json)


def show_status(
    ctx: typer.Context, address: AddressOption = None, as_json: JsonFlag = False
) -> None:
    """List the models on a Ray cluster and how many of their replicas run; exit 1 when one has none.

    Example: vl2v-vendor engine status --address 10.0.0.5:6379
    """
    shell = Shell.of(ctx)
    found = _look(merge_settings(shell.settings, ray_address=address))
    _show(shell, found, as_json)
    if not all(one.running for one in found):
        raise typer.Exit(1)


def stop(
    ctx: typer.Context,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Its ID, may repeat; else all of them.")
    ] = None,
    address: AddressOption = None,
    as_json: JsonFlag = False,
) -> None:
    """End the replicas of models after what they have under way; the Ray cluster itself goes on.

    Example: vl2v-vendor engine stop --model icon-clip
    """
    from vendor_api.engine import ray_cluster

    shell = Shell.of(ctx)
    there = [one.model for one in _look(merge_settings(shell.settings, ray_address=address))]
    wanted = [name.partition("=")[0] for name in model or there]
    unknown = sorted(set(wanted) - set(there))
    if unknown:
        raise Refusal(f"{unknown[0]} is not on the cluster: see `vl2v-vendor engine status`")
    for one in wanted:
        ray_cluster.remove(one)
    shell.show({"stopped": wanted}, f"stopped: {', '.join(wanted) or 'nothing'}", as_json=as_json)


def _look(settings: "VendorSettings") -> "list[Deployed]":
    from vendor_api.engine import ray_cluster

    ray_cluster.connect(settings.ray_address)
    return ray_cluster.list_deployed()


def _await_replicas(names: "Sequence[str]", least: int, wait_s: float) -> "list[Deployed]":
    """How the models stand once each has its least replicas. Raises Refusal when one has not in time."""
    from vendor_api.cli.bars import show_count
    from vendor_api.engine import ray_cluster

    end, shown = time.monotonic() + wait_s, 0
    with show_count("replicas", len(names) * least) as advance:
        while True:
            found = [one for one in ray_cluster.list_deployed() if one.model in names]
            running = sum(min(one.running, least) for one in found)
            advance(running - shown)
            shown = running
            _check_failures(found)
            if running >= len(names) * least and all(one.status == "RUNNING" for one in found):
                return found
            if time.monotonic() > end:
                raise Refusal(
                    f"{running} of {len(names) * least} replicas run after {wait_s:g} s: see `ray "
                    "status` for free processors, then ask for fewer with --replicas or --cpus"
                )
            time.sleep(LOOK_SECONDS)


def _check_failures(found: "Sequence[Deployed]") -> None:
    for one in found:
        if one.status == "DEPLOY_FAILED":
            raise Refusal(f"the replicas of {one.model} do not start: {one.says[:600]}")


def _show(shell: Shell, found: "Sequence[Deployed]", as_json: bool) -> None:
    rows = [
        {
            "model": one.model,
            "status": one.status,
            "running": str(one.running),
            "starting": str(one.starting),
            "says": one.says or None,
        }
        for one in found
    ]
    shell.list(
        rows,
        "no model is deployed: run `vl2v-vendor engine deploy --model ID=local-dir:PATH`",
        as_json=as_json,
        documents=[asdict(one) for one in found],
    )
