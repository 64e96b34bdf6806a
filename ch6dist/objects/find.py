"""From the name in a file to the class or function that it stands for.

    find("optimizer", "SGD")                # torch.optim.SGD
    find("optimizer", "timm/lion")          # timm's class
    find("optimizer", "myoptim:Opt")        # imported

The working directory comes last on the path: a `random.py` in it hides nothing that this project imports.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Collection
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ch6dist.catalog.lookup import IMPORT_PATH
from ch6dist.errors import InputError, UsageError, suggestion, unknown_name
from ch6dist.objects.source import is_own

FRAMES = 3  # of the user's own code, the last ones, that an error names


def find(section: str, name: str) -> Any:
    """Return the class or function of a name.

    Raises InputError, its key relative to the section, for what cannot be imported; UsageError without its library.
    """
    if IMPORT_PATH.fullmatch(name):
        return _imported(name)
    library, _, rest = name.partition("/")
    if rest:
        return LIBRARIES[section, library](rest)
    return getattr(torch.optim, name)


def module_of(name: str) -> ModuleType:
    """Return the module of an import path that has been imported."""
    return sys.modules[name.partition(":")[0]]


def why(error: BaseException) -> str:
    """Return an error of the user's code as one line: what it says, and where in their own files."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    if isinstance(error, SyntaxError) and error.filename:
        places = [f"{Path(error.filename).name}:{error.lineno}"]
    else:
        places = [f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in frames[-FRAMES:]]
    said = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    return f"{type(error).__name__}: {said}" + (f" ({', '.join(places)})" if places else "")


def _imported(name: str) -> Any:
    module_name, _, attributes = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        found: Any = import_module(module_name)
    except BaseException as error:  # what is imported may raise anything, SystemExit too
        if isinstance(error, KeyboardInterrupt):
            raise
        raise InputError("name", name, f"an import path that can be imported: {why(error)}") from error
    for part in attributes.split("."):
        if not hasattr(found, part):
            package = module_name.partition(".")[0]
            modules = {key: str(getattr(value, "__module__", "")) for key, value in vars(found).items()}
            own = [key for key, module in modules.items() if module.partition(".")[0] == package]
            raise InputError("name", name, unknown_name("", part, own).allowed + f" of {module_name}")
        found = getattr(found, part)
    return found


def _is_users(filename: str) -> bool:
    own = ModuleType("frame")
    own.__file__ = filename
    return is_own(own) and not filename.startswith(str(Path(__file__).parents[1]) + os.sep)


def _timm_optimizer(name: str) -> Any:
    optim = _library("timm.optim", "timm")
    if name not in (names := optim.list_optimizers()):
        raise _unknown("timm", name, names)
    return optim.get_optimizer_class(name, bind_defaults=True)


def _pytorch_optimizer(name: str) -> Any:
    library = _library("pytorch_optimizer", "pytorch_optimizer")
    names = library.get_supported_optimizers()
    if name not in names:
        raise _unknown("pytorch_optimizer", name, names)
    return library.load_optimizer(name)


def _unknown(library: str, name: str, names: Collection[str]) -> InputError:
    near = suggestion(f"{library}/{name}", [f"{library}/{known}" for known in names])
    return InputError("name", f"{library}/{name}", f"{near}one of the {len(names)} that {library} has")


def _library(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(f"{package} is not installed ({error})", f"pip install {package}") from None


LIBRARIES: dict[tuple[str, str], Callable[[str], Any]] = {
    ("optimizer", "timm"): _timm_optimizer,
    ("optimizer", "pytorch_optimizer"): _pytorch_optimizer,
}
