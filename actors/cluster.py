"""The only place that calls Ray about actors: names, lookups, starting, connecting.

Actors live in Ray namespaces: those of the installation in `webnova`, those that belong to one
tenant in `webnova/<tenant>`, so that a name is readable and never clashes between tenants.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from engine.kernel.errors import Unavailable

NAMESPACE = "webnova"
PROVIDER, SANDBOX, HOST = "provider:language", "sandbox:local", "host:local"
SHARDS = 2
"""How many `TenantActor`s share the tenants. Fixed for the life of an installation."""


def shard_name(shard: int) -> str:
    return f"tenants:{shard}"


def tenant_namespace(tenant: str) -> str:
    return f"{NAMESPACE}/{tenant}"


def connect() -> None:
    """Join the cluster that `RAY_ADDRESS` names, unless this process is part of one already."""
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS")
    if not address:
        raise Unavailable(
            "The environment names no Ray cluster.",
            mend="Start the installation with `webnova up`.",
        )
    ray.init(address=address, namespace=NAMESPACE, log_to_driver=False)


def find(name: str, namespace: str = NAMESPACE) -> Any:
    """A handle to a living actor; `Unavailable` when there is none of that name."""
    try:
        return ray.get_actor(name, namespace=namespace)
    except ValueError as error:
        raise Unavailable(
            f"The executor {name!r} is not running.",
            mend="It is started again by itself; `webnova status` shows the state.",
        ) from error


def find_or_start(
    make: Callable[[], Any], name: str, *, namespace: str = NAMESPACE, **options: Any
) -> Any:
    """The named actor, started if need be. Any number of callers get the same one.

    `make` returns the remote class; `options` are Ray's actor options (`args` are the
    constructor's arguments). Actors are detached unless `lifetime` is None.
    """
    arguments = options.pop("args", ())
    options.setdefault("lifetime", "detached")
    return (
        make()
        .options(
            name=name,
            namespace=namespace,
            get_if_exists=True,
            **options,
        )
        .remote(*arguments)
    )


async def call(reference: Any) -> Any:
    """Await a remote result; an actor that died in between is `Unavailable`.

    An error of our own tree arrives as itself, not wrapped in Ray's.
    """
    try:
        return await reference
    except ray.exceptions.RayTaskError as error:
        raise _cause(error) from None
    except RayActorError as error:
        raise Unavailable(
            "The executor stopped during the call.",
            mend="It is started again by itself; try again.",
        ) from error
    except RayError as error:
        raise Unavailable(
            f"The cluster could not do it: {type(error).__name__}.",
            mend="`webnova status` shows the state of the cluster.",
        ) from error


def _cause(error: ray.exceptions.RayTaskError) -> BaseException:
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, BaseException) else error


def node_id() -> str:
    """The id of the node that this process runs on."""
    return str(ray.get_runtime_context().get_node_id())
