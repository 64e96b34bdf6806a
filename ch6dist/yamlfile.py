"""Input that a person writes: plain YAML files, and `key=value` with dotted keys on a command line.

content = read_mapping("trial.yaml")
for text in ["optimizer.lr=1e-3", "epochs=2"]:
    content = with_dotted(content, *parse_override(text))

YAML 1.1 reads `010` as 8, `10:00` as 600 and `on` as true, YAML 1.2 does not: here they are text (`Ambiguous`), and
where a number or a truth value is expected the message says what they would have been. Dates are text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from ch6dist.catalog.parameters import as_number
from ch6dist.errors import InputError, UsageError
from ch6dist.paths import given_path

YAML_RULE = "a file is plain YAML: mappings, lists, text and numbers, each key once"
MAX_VALUES = 1_000_000  # of a file whose aliases are written out
TAG = "tag:yaml.org,2002:"
PLAIN = ("null", "bool", "int", "float", "str", "seq", "map")  # what a file consists of; `merge` (<<) joins mappings
AMBIGUOUS = re.compile(
    r"""(?P<int>[-+]?(?:0[0-7_]+|0b[01_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+))   # octal, binary, base 60
      |(?P<float>[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*)
      |(?P<bool>yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)""",
    re.VERBOSE,
)


class Ambiguous(str):
    """Text that YAML 1.1 takes for a number or a truth value; its repr, which messages show, says for which."""

    meaning: object

    def __new__(cls, text: str, meaning: object) -> Self:
        """Make the text `text`."""
        made = super().__new__(cls, text)
        made.meaning = meaning
        return made

    def __repr__(self) -> str:
        return f"{str(self)!r} ({str(self.meaning).lower()} in YAML 1.1)"


class _PlainLoader(yaml.SafeLoader):
    """Mappings, lists, text and numbers; no tag builds an object, and a key given twice is an error, not a choice.

    Aliases and merge keys have YAML's own meaning: a mapping's own keys override those that it merges.
    """

    yaml_constructors = {TAG + kind: yaml.SafeLoader.yaml_constructors[TAG + kind] for kind in PLAIN} | {
        None: yaml.SafeLoader.yaml_constructors[None]
    }
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose as SafeLoader does, but refuse a key that is given twice, before other mappings are merged."""
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _damage(f"the key {key.value!r} a second time", key)
                seen.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct as SafeLoader does, but refuse `!!int x` and numbers of thousands of digits as any damage."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, IndexError):
            raise _damage(f"no {node.tag.removeprefix(TAG)}", node) from None

    def construct_ambiguous(self, node: yaml.ScalarNode) -> Ambiguous:
        """Construct text that knows what YAML 1.1 reads in it."""
        found = AMBIGUOUS.fullmatch(node.value)
        kind = (found and found.lastgroup) or "str"
        return Ambiguous(node.value, getattr(self, f"construct_yaml_{kind}")(node))


_PlainLoader.add_constructor("!ambiguous", _PlainLoader.construct_ambiguous)
for _tag, _form, _first in (
    ("!ambiguous", AMBIGUOUS, "-+0123456789yYnNoO"),
    (TAG + "bool", re.compile("true|True|TRUE|false|False|FALSE"), "tTfF"),
    (TAG + "null", re.compile("~|null|Null|NULL|"), ["~", "n", "N", ""]),
    (TAG + "merge", re.compile("<<"), "<"),
    (TAG + "int", re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)"), "-+0123456789"),
    (TAG + "float", re.compile(r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+][0-9]+)?"), "-+0123456789."),
    (TAG + "float", re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"), "-+."),
):
    _PlainLoader.add_implicit_resolver(_tag, re.compile(f"(?:{_form.pattern})\\Z", _form.flags), list(_first))


def read_mapping(path: Path | str) -> dict[str, Any]:
    """Return the mapping in a YAML file.

    Raises UsageError if the file cannot be read or is no YAML, with the line where it is damaged, and InputError if it
    holds something else than a mapping.
    """
    file = str(path)
    try:
        content = _load(given_path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{file} is not plain YAML in UTF-8") from None
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
        parsed = _load(value)
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


def _load(text: str) -> Any:
    """Return what a YAML text holds; YAMLError for all that is not plain, finite and text."""
    loader = _PlainLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, {})
        return loader.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None
    finally:
        loader.dispose()


def _check(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return how many values a node is when its aliases are written out; YAMLError for one that has no end."""
    if id(node) in sizes:
        if sizes[id(node)] == 0:  # its own parts are still being counted
            raise _damage("a value that contains itself", node)
        return sizes[id(node)]
    sizes[id(node)] = 0
    size = 1
    if isinstance(node, yaml.ScalarNode):
        _check_text(node)
    else:
        inner = (part for item in node.value for part in (item if isinstance(item, tuple) else (item,)))
        size += sum(_check(part, sizes) for part in inner)
    if size > MAX_VALUES:
        raise _damage(f"more than {MAX_VALUES} values", node)
    sizes[id(node)] = size
    return size


def _check_text(node: yaml.ScalarNode) -> None:
    try:
        node.value.encode()
    except UnicodeEncodeError:
        raise _damage("half of a surrogate pair", node) from None


def _damage(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return position + (getattr(error, "problem", None) or str(error).splitlines()[0])
