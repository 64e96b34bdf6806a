"""Input that a person writes: plain YAML files, and `key=value` with dotted keys on a command line.

content = read_mapping("trial.yaml")
for text in ["optimizer.lr=1e-3", "epochs=2"]:
    content = with_dotted(content, *parse_override(text))
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from ch6dist.catalog.parameters import as_number
from ch6dist.errors import InputError, UsageError

YAML_RULE = "a file is plain YAML: mappings, lists, text and numbers, each key once"


class _PlainLoader(yaml.SafeLoader):
    """Mappings, lists, text and numbers; no tag builds an object, and a key given twice is an error, not a choice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Construct as SafeLoader does, but refuse a key that is given twice; ConstructorError carries its line."""
        seen = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    problem = f"the key {key_node.value!r} a second time"
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def read_mapping(path: Path | str) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises UsageError if the file cannot be read or is no YAML, with the line where it is damaged, and InputError if it
    holds something else than a mapping.
    """
    file = str(path)
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _PlainLoader)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{file} is not plain YAML in UTF-8 ({type(error).__name__})") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{file}: {_problem(error)}", YAML_RULE) from None
    if not isinstance(content, dict):
        raise InputError("", content, "a mapping (key: value lines)", file=file)
    return content


def parse_override(text: str) -> tuple[str, Any]:
    """Split `optimizer.lr=1e-3` into its dotted key and its value, which is read as YAML (`1e-3` as a number)."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError("", text, "key=value, such as optimizer.lr=0.1")
    try:
        parsed = yaml.load(value, _PlainLoader)
    except yaml.YAMLError:
        raise InputError(key, value, "a value as in a YAML file") from None
    number = as_number(parsed) if isinstance(parsed, str) else None
    return key.strip(), parsed if number is None else number


def with_dotted(content: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return `content` with `value` at a dotted key. A bare name on the way (`optimizer: Adam`) is `{name: Adam}`."""
    head, dot, rest = key.partition(".")
    if not dot:
        return {**content, head: value}
    inner = content.get(head)
    inner = {} if inner is None else {"name": inner} if isinstance(inner, str) else inner
    if not isinstance(inner, Mapping):
        raise InputError(head, inner, f"a mapping, so that {key} can be set in it")
    try:
        return {**content, head: with_dotted(inner, rest, value)}
    except InputError as error:
        raise error.within(head) from None


def _problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return position + (getattr(error, "problem", None) or str(error).splitlines()[0])
