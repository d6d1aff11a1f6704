"""The one place that knows Ray: connect, deploy, look, stop, and call a model's replicas."""

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vendor_api.engine.local import Manner, ModelSpec
from vendor_api.engine.ray_plan import APPLICATION_PREFIX, ReplicaPlan, name_application
from vendor_api.engine.ray_replica import ClipReplica, ReplicaOrder
from vendor_api.engine.ray_road import QueuesFull, ReplicaLost
from vendor_api.refusal import Refusal

NAMESPACE = "vl2v"
DEPLOYMENT = "clip"
ONGOING = 64
"""Asks that a replica may have under way: what waits there is computed in larger batches."""
QUEUED = 256
"""Asks of one API process that may wait for a replica; beyond, callers are turned away."""
TELL_SECONDS = 1.0
"""Between two times that API processes and replicas tell Ray how much they have under way."""
CONNECT_SECONDS = 5.0
DESCRIBE_SECONDS = 60.0

__all__ = ["Deployed", "RayCluster", "connect", "deploy", "list_deployed", "remove"]


@dataclass(frozen=True, slots=True)
class Deployed:
    """How a model stands on the cluster."""

    model: str
    status: str
    """Ray Serve's word: RUNNING, DEPLOYING, DEPLOY_FAILED, UNHEALTHY, DELETING."""
    running: int
    """Replicas that answer."""
    starting: int
    """Replicas that load, or wait for a place on the cluster."""
    says: str
    """What Ray says of it, when something is wrong."""


def connect(address: str) -> None:
    """Join the cluster at HOST:PORT from this machine, which must be one of its nodes. Raises Refusal."""
    ray = _import_ray()
    host, _, port = address.rpartition(":")
    try:
        # Ray itself would try for two minutes and then end the process.
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise Refusal(
            f"no Ray cluster answers at {address} ({error.strerror or error}): run "
            "`ray start --head`, or name another one in VENDOR_RAY_ADDRESS"
        ) from error
    try:
        ray.init(
            address=address,
            namespace=NAMESPACE,
            log_to_driver=False,
            logging_level="ERROR",
            configure_logging=False,
        )
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise Refusal(
            f"the Ray cluster at {address} cannot be joined ({reason}): on this machine, run "
            f"`ray start --address={address} --num-cpus=0` with the same release of Ray first"
        ) from error


def deploy(model: ModelSpec, manner: Manner, plan: ReplicaPlan, max_queued_ms: float) -> None:
    """Have the cluster run the model's replicas, or go over to what is new of them; does not wait."""
    serve = _import_ray().serve
    # The replicas are called from Python: no node needs an HTTP server of Ray's.
    serve.start(proxy_location="Disabled", logging_config={"enable_access_log": False})
    order = ReplicaOrder(
        model.id,
        _make_absolute(model.spec),
        manner.precision,
        manner.runtime,
        manner.device,
        manner.threads or plan.threads,
        max_queued_ms,
        manner.cuda,
    )
    application = serve.deployment(ClipReplica).options(**_choose(plan)).bind(order)
    target = serve.RunTarget(application, name=name_application(model.id), route_prefix=None)
    serve.run_many([target], wait_for_applications_running=False)


def list_deployed() -> list[Deployed]:
    """Every model of ours on the cluster, by name."""
    applications = _import_ray().serve.status().applications
    return [
        _describe(name, application)
        for name, application in sorted(applications.items())
        if name.startswith(APPLICATION_PREFIX)
    ]


def remove(model_id: str) -> None:
    """End a model's replicas after what they have under way."""
    _import_ray().serve.delete(name_application(model_id))


class RayCluster:
    """`vendor_api.engine.ray_gateway.Cluster` over Ray Serve."""

    def __init__(self, address: str, model_id: str) -> None:
        self._address = address
        self._model = model_id
        self._handle: Any = None

    async def describe(self) -> dict[str, Any]:
        """See `Cluster`; the first call connects."""
        if self._handle is None:
            await asyncio.to_thread(connect, self._address)
            self._handle = await asyncio.to_thread(self._find)
        try:
            async with asyncio.timeout(DESCRIBE_SECONDS):
                described: dict[str, Any] = await self._handle.describe.remote()
        except TimeoutError:
            raise Refusal(
                f"no replica of {self._model} answers: see `vl2v-vendor engine status`"
            ) from None
        except Exception as error:
            raise Refusal(f"the replicas of {self._model} fail: {error}") from error
        return described

    async def embed(self, data: bytes) -> bytes:
        """See `Cluster`."""
        response = self._handle.embed.remote(data)
        try:
            reply: bytes = await response
        except asyncio.CancelledError:
            await asyncio.to_thread(response.cancel)
            raise
        except Exception as error:
            raise _translate(error) from error
        return reply

    async def count_running(self) -> int:
        """See `Cluster`."""
        deployed = await asyncio.to_thread(list_deployed)
        return sum(one.running for one in deployed if one.model == self._model)

    def _find(self) -> Any:
        from ray.serve.exceptions import RayServeException

        try:
            return _import_ray().serve.get_app_handle(name_application(self._model))
        except RayServeException as error:
            raise Refusal(
                f"{self._model} is not deployed on the Ray cluster at {self._address}: run "
                f"`vl2v-vendor engine deploy --model {self._model}=SPEC`"
            ) from error


def _import_ray() -> Any:
    # Ray would report how it is used to its makers, and hand pixels and vectors over through a store
    # that it may write to disk; both are decided when it is imported.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_SERVE_USE_GRPC_BY_DEFAULT": "1"}
    try:
        import ray
        import ray.serve
    except ImportError as error:
        raise Refusal(
            f"Ray is not installed ({error}): run `pip install 'vl2v[ray]'` here and on every node"
        ) from error
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # its news are not a command's output
    return ray


def _choose(plan: ReplicaPlan) -> dict[str, Any]:
    scale: dict[str, Any] = {"num_replicas": plan.least}
    if plan.most > plan.least:
        scale = {
            "autoscaling_config": {
                "min_replicas": plan.least,
                "max_replicas": plan.most,
                "target_ongoing_requests": plan.target,
                "upscale_delay_s": plan.up_s,
                "downscale_delay_s": plan.down_s,
                "metrics_interval_s": TELL_SECONDS,
                "look_back_period_s": max(2 * TELL_SECONDS, min(30.0, plan.up_s)),
            }
        }
    return {
        **scale,
        "name": DEPLOYMENT,
        "ray_actor_options": {"num_cpus": plan.cpus, "num_gpus": plan.gpus},
        "max_ongoing_requests": ONGOING,
        "max_queued_requests": QUEUED,
        "max_constructor_retry_count": 3,
        "health_check_period_s": 1.0,
        "health_check_timeout_s": 5.0,
        "graceful_shutdown_timeout_s": 65.0,  # no request lasts longer than a minute
        "logging_config": {"enable_access_log": False},
    }


def _make_absolute(spec: str) -> str:
    """A folder as every node finds it, whatever its process's own folder is."""
    from shared.openclip import LOCAL_DIR

    if not spec.startswith(LOCAL_DIR):
        return spec
    return LOCAL_DIR + str(Path(spec.removeprefix(LOCAL_DIR)).expanduser().resolve())


def _describe(name: str, application: Any) -> Deployed:
    deployments = application.deployments.values()
    states = dict(_count_states(deployments))
    says = [application.message, *(one.message for one in deployments)]
    healthy = application.status.value == "RUNNING"
    return Deployed(
        name.removeprefix(APPLICATION_PREFIX),
        application.status.value,
        states.get("RUNNING", 0),
        states.get("STARTING", 0) + states.get("RECOVERING", 0),
        "" if healthy else " ".join(" ".join(text.split()) for text in says if text),
    )


def _count_states(deployments: Any) -> Iterator[tuple[str, int]]:
    for deployment in deployments:
        for state, count in deployment.replica_states.items():
            yield getattr(state, "value", state), count


def _translate(error: Exception) -> Exception:
    from ray.serve.exceptions import BackPressureError

    if isinstance(error, BackPressureError):
        return QueuesFull(error.message)
    return ReplicaLost(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}")
