"""Gives a method the signature and the help of the pure function that it sends."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_args

F = TypeVar("F", bound=Callable[..., Any])

__all__ = ["describe", "name_methods"]


def describe(method: F, build: Callable[..., Any]) -> F:
    """`method(self, …)` with the parameters and docstring of `build(…) -> Request[T]`, returning T."""
    signature = inspect.signature(build)
    self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    (returned,) = get_args(signature.return_annotation)
    method.__doc__ = build.__doc__
    method.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[self, *signature.parameters.values()], return_annotation=returned
    )
    return method


def name_methods(owner: type) -> None:
    """Let each method of a class be called what the class calls it."""
    for name, member in vars(owner).items():
        if inspect.isfunction(member):
            member.__name__ = name
            member.__qualname__ = f"{owner.__qualname__}.{name}"
            member.__module__ = owner.__module__
