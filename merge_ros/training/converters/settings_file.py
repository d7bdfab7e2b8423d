"""Settings of a training from a YAML file, with changes from the command line."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from merge_ros.config.training import SourceSettings, TrainingSettings
from merge_ros.errors import ConfigurationError


def read_settings(path: Path, changes: Sequence[str] = (), data_root: Path | None = None) -> TrainingSettings:
    """The settings that a file and some changes ask for.

    Args:
        path: YAML file whose keys are the fields of `TrainingSettings`; what is not there has its default.
        changes: "KEY=VALUE" each, where KEY may reach into groups with dots ("optimizer.rate=2e-4") and lists with
            numbers ("data.0.path=/data/hypersim"), and VALUE is YAML.
        data_root: what relative paths of data sources and their lists are relative to; None: the current folder.

    Raises:
        ConfigurationError: the file cannot be read, a key is unknown, or a value is not allowed.
    """
    tree = _read(path)
    for change in changes:
        _apply(tree, change)
    settings: TrainingSettings = _made(TrainingSettings, tree, str(path))
    if data_root is None:
        return settings
    rooted = tuple(_rooted(source, data_root) for source in settings.data)
    return dataclasses.replace(settings, data=rooted)


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = YAML(typ="safe", pure=True).load(path.read_text())
    except (OSError, YAMLError) as error:
        raise ConfigurationError(f"settings {path} cannot be read: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigurationError(f"settings {path} must be a mapping of names to values")
    return tree


def _apply(tree: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals:
        raise ConfigurationError(f"{change!r} is not KEY=VALUE")
    *way, last = key.split(".")
    place: Any = tree
    for word in way:
        place = _entry(place, word, change) if isinstance(place, list) else place.setdefault(word, {})
        if not isinstance(place, (dict, list)):
            raise ConfigurationError(f"{change!r}: {word!r} is no group of settings")
    value = YAML(typ="safe", pure=True).load(text)
    if isinstance(place, list):
        _entry(place, last, change)
        place[int(last)] = value
    else:
        place[last] = value


def _entry(place: list[Any], word: str, change: str) -> Any:
    if not word.isdigit() or int(word) >= len(place):
        raise ConfigurationError(f"{change!r}: {word!r} is not one of the {len(place)} entries, counted from 0")
    return place[int(word)]


def _made(kind: Any, tree: Any, where: str) -> Any:
    """A settings class from a mapping, its groups from the mappings inside."""
    if not isinstance(tree, Mapping):
        raise ConfigurationError(f"{where}: expected a mapping of names to values, not {tree!r}")
    kinds = typing.get_type_hints(kind)
    known = [item.name for item in dataclasses.fields(kind)]
    unknown = sorted(set(map(str, tree)) - set(known))
    if unknown:
        raise ConfigurationError(f"{where}: {unknown[0]!r} is unknown; allowed: {', '.join(known)}")
    required = [item.name for item in dataclasses.fields(kind) if _has_no_default(item)]
    missing = [name for name in required if name not in tree]
    if missing:
        raise ConfigurationError(f"{where}: {missing[0]!r} is missing")
    return kind(**{name: _value(kinds[name], value, f"{where}: {name}") for name, value in tree.items()})


def _value(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _made(kind, value, where)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _value(parts[0], value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigurationError(f"{where} must be a list, not {value!r}")
        inner = parts[0]
        return tuple(_value(inner, entry, f"{where}[{number}]") for number, entry in enumerate(value))
    if kind is str and value is None:  # KEY= with nothing behind it
        return ""
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if kind is float and isinstance(value, str):  # YAML 1.1 writes 1e-4 as a text
        try:
            return float(value)
        except ValueError:
            pass
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigurationError(f"{where} must be of type {kind.__name__}, not {value!r}")
    return value


def _has_no_default(item: dataclasses.Field[Any]) -> bool:
    return item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING


def _rooted(source: SourceSettings, root: Path) -> SourceSettings:
    listed = str(root / source.list) if source.list else ""
    return dataclasses.replace(source, path=str(root / source.path), list=listed)
