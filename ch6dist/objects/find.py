"""From the name in a file to the class or function that it stands for.

    find("optimizer", "SGD")                # torch.optim.SGD
    find("optimizer", "timm/lion")          # timm's class
    find("model", "mynets:Net")             # imported: from the working directory, or from the code of a run
    provide("1c0ffee5abcd", folder)         # where the code of that hash is

A folder of the user's own comes last on the path: a `random.py` in it hides nothing that this project imports.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ch6dist.catalog.lookup import IMPORT_PATH
from ch6dist.errors import InputError, UsageError, unknown_name
from ch6dist.objects.libraries import library, unknown_in
from ch6dist.objects.networks import timm_model, torchvision_model
from ch6dist.objects.source import is_own, sources_of

FRAMES = 3  # of the user's own code, the last ones, that an error names
NOT_COMPILED = "TORCHDYNAMO_DISABLE"  # of the environment, read by torch.compile when it is called
_PROVIDED: dict[str, Path] = {}  # folders by the hash of the code that is in them
_BROUGHT: dict[Path, set[str]] = {}  # by folder the modules that were imported for something in it
_ADDED: set[str] = set()  # folders that are on the path for them
_FOUND: dict[tuple[str, str], Any] = {}  # by name and hash: imported once, whatever was imported since


def provide(code: str, folder: Path) -> None:
    """Say where the user's code of a hash is; left out, it is in the working directory."""
    _PROVIDED[code] = folder


def find(section: str, name: str, *, code: str = "") -> Any:
    """Return the class or function of a name.

    Args:
        code: the hash that a user's own files have to have; empty: any, and what is installed.

    Raises InputError, its key relative to the section, for what cannot be imported; UsageError for other files.
    """
    if IMPORT_PATH.fullmatch(name):
        return _imported(name, code)
    package, _, rest = name.partition("/")
    if rest:
        return LIBRARIES[section, package](rest)
    return getattr(torch.optim, name)


@contextlib.contextmanager
def uncompiled() -> Iterator[None]:
    """Make what calls torch.compile in the block go on as it is written: compiling a step takes minutes on a CPU."""
    before = os.environ.get(NOT_COMPILED)
    os.environ[NOT_COMPILED] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[NOT_COMPILED]
        else:
            os.environ[NOT_COMPILED] = before


def module_of(name: str) -> ModuleType:
    """Return the module of an import path that has been imported."""
    return sys.modules[name.partition(":")[0]]


def why(error: BaseException) -> str:
    """Return an error of the user's code as one line: what it says, and where in their own files."""
    said = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    return f"{type(error).__name__}: {said}{where(error)}"


def where(error: BaseException) -> str:
    """Return where in the user's own files an error is from, as a clause in brackets; empty if in none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    if isinstance(error, SyntaxError) and error.filename:
        places = [f"{Path(error.filename).name}:{error.lineno}"]
    else:
        places = [f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in frames[-FRAMES:]]
    return f" ({', '.join(places)})" if places else ""


def _imported(name: str, code: str) -> Any:
    if code and (name, code) in _FOUND:
        return _FOUND[name, code]
    module_name, _, attributes = name.partition(":")
    root = _PROVIDED.get(code, Path.cwd())
    _make_room(root)
    before = set(sys.modules)
    try:
        found: Any = import_module(module_name)
    except BaseException as error:  # the user's code may raise anything, SystemExit too
        if isinstance(error, KeyboardInterrupt):
            raise
        raise InputError("name", name, f"an import path that can be imported: {why(error)}") from error
    finally:
        _BROUGHT.setdefault(root, set()).update(set(sys.modules) - before)
    for part in attributes.split("."):
        if not hasattr(found, part):
            package = module_name.partition(".")[0]
            modules = {key: str(getattr(value, "__module__", "")) for key, value in vars(found).items()}
            own = [key for key, module in modules.items() if module.partition(".")[0] == package]
            raise InputError("name", name, unknown_name("", part, own).allowed + f" of {module_name}")
        found = getattr(found, part)
    if code and (now := sources_of(sys.modules[module_name]).code) != code:
        raise UsageError(f"{name} is not what it was: its files have the hash {now or 'of a package'}, not {code}")
    if code:
        _FOUND[name, code] = found
    return found


def _make_room(root: Path) -> None:
    """Put a folder last on the path, and forget what came from others: the same names may be other code in it."""
    for other in [other for other in _BROUGHT if other != root]:
        for name in _BROUGHT.pop(other):
            module = sys.modules.get(name)
            if module is not None and is_own(module) and _lies_in(module, other):
                del sys.modules[name]
        if str(other) in _ADDED:
            _ADDED.remove(str(other))
            sys.path.remove(str(other))
    if str(root) not in sys.path:
        sys.path.append(str(root))
        _ADDED.add(str(root))
    invalidate_caches()


def _lies_in(module: ModuleType, root: Path) -> bool:
    return Path(module.__file__ or "").resolve().is_relative_to(root.resolve())


def _is_users(filename: str) -> bool:
    own = ModuleType("frame")
    own.__file__ = filename
    return is_own(own) and not filename.startswith(str(Path(__file__).parents[1]) + os.sep)


def _timm_optimizer(name: str) -> Any:
    optim = library("timm.optim", "timm")
    if name not in (names := optim.list_optimizers()):
        raise unknown_in("timm", name, names)
    _check_einsum(name)
    return optim.get_optimizer_class(name, bind_defaults=True)


def _check_einsum(name: str) -> None:
    """Raise UsageError for PSGD-Kron where nothing orders its products: a step then takes minutes, and gigabytes."""
    if name.startswith("kron") and not torch.backends.opt_einsum.is_available():
        why = "opt_einsum is not installed, without which it multiplies all its factors at once: gigabytes, minutes"
        raise UsageError(why, "pip install opt_einsum")


def _pytorch_optimizer(name: str) -> Any:
    package = library("pytorch_optimizer", "pytorch_optimizer")
    names = package.get_supported_optimizers()
    if name not in names:
        raise unknown_in("pytorch_optimizer", name, names)
    _check_einsum(name)
    return package.load_optimizer(name)


LIBRARIES: dict[tuple[str, str], Callable[[str], Any]] = {
    ("model", "timm"): timm_model,
    ("model", "torchvision"): torchvision_model,
    ("optimizer", "timm"): _timm_optimizer,
    ("optimizer", "pytorch_optimizer"): _pytorch_optimizer,
}
