"""Dataclasses from plain data, as JSON has it, and figures as plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from edgehr.errors import EdgehrError

T = TypeVar("T")


def build_dataclass(kind: type[T], values: Any) -> T:
    """Make a dataclass from a mapping: nested dataclasses are made, lists become tuples.

    Raises:
        EdgehrError: A key is no field, a field is missing, or a value is not of its type.
    """
    if isinstance(values, kind):
        return values
    if not isinstance(values, Mapping):
        raise EdgehrError(f"{kind.__name__} in the model card is not an object")
    known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise EdgehrError(
            f"unknown field in the model card's {kind.__name__}: {', '.join(unknown)} (it has {', '.join(known)})"
        )
    types = get_type_hints(kind)
    nested = {
        name: build_dataclass(types[name], value) if is_dataclass(types[name]) else _freeze(value)
        for name, value in values.items()
    }
    for name, value in nested.items():
        if wanted := _misfit(value, types[name]):
            raise EdgehrError(f"{name} in the model card's {kind.__name__} must be {wanted}, got {values[name]!r}")
    try:
        return kind(**nested)
    except TypeError as error:
        raise EdgehrError(f"model card's {kind.__name__} is incomplete: {error}") from None


def check_types(made: Any, what: str) -> None:
    """Check the values of a dataclass, and of those in it, against its hints, as far as these are plain types.

    Args:
        made: The dataclass.
        what: What messages call what it was made of.

    Raises:
        EdgehrError: A value is not of its type.
    """
    types = get_type_hints(type(made))
    for entry in fields(made):
        value = getattr(made, entry.name)
        if wanted := _misfit(value, types[entry.name]):
            raise EdgehrError(f"{entry.name} in {what} must be {wanted}, got {value!r}"[:500])
        for inside in value if isinstance(value, tuple) else (value,):
            if is_dataclass(inside):
                check_types(inside, what)


def _freeze(value: Any) -> Any:
    return tuple(_freeze(item) for item in value) if isinstance(value, list) else value


_WORDS = {str: "a text", int: "a whole number", float: "a finite number", bool: "true or false"}


def _misfit(value: Any, hint: Any) -> str:
    """Say what a value had to be to fit a type hint; nothing where it fits, or the hint is no plain type."""
    if get_origin(hint) is UnionType:
        words = [_misfit(value, part) for part in get_args(hint)]
        return "" if not all(words) else " or ".join(words)
    if get_origin(hint) is dict:
        return "" if isinstance(value, dict) else "an object"
    if hint is NoneType:
        return "" if value is None else "nothing"
    if get_origin(hint) in (tuple, list):
        kind = get_origin(hint)
        parts = get_args(hint) if kind is tuple else (*get_args(hint), Ellipsis)
        many = parts[-1] is Ellipsis
        if not isinstance(value, kind) or not (many or len(value) == len(parts)):
            return "a list" if many else f"a list of {len(parts)}"
        wanted = (_misfit(item, parts[0 if many else place]) for place, item in enumerate(value))
        return next((f"a list whose items are each {words}" for words in wanted if words), "")
    if isinstance(hint, type) and is_dataclass(hint):
        return "" if isinstance(value, hint) else "an object"
    if hint not in _WORDS or (hint is not bool and isinstance(value, bool)):
        return _WORDS.get(hint, "")
    kinds = (int, float) if hint is float else hint
    return "" if isinstance(value, kinds) and (hint is not float or math.isfinite(value)) else _WORDS[hint]


def without_nan(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures by name with None for NaN, which JSON lacks."""
    return {name: None if value != value else value for name, value in figures.items()}
