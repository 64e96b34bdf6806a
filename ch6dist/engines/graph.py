"""A network over K lanes at once: its layers by their types, and what it computes between them as a graph.

    net = lane_layer(build_model(…))
    logits = net(Activations(images, width=1), rows).values      # [K, B, classes]

A Sequential is walked. A module with a forward of its own is traced by `torch.fx`, once for training and once for
evaluation: what that finds is computed by the lane layers of its layers, and by `torch.func.vmap` for all else.
"""

from __future__ import annotations

import copy
import operator
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.utils._pytree import tree_leaves

from ch6dist.engines.lanes import Activations, LaneLayer, Rows, join, lanes_first, lanes_side_by_side, over_lanes
from ch6dist.engines.layers import LAYERS, vmapped
from ch6dist.models.build import ResidualBlock
from ch6dist.models.dropout import Dropout
from ch6dist.objects.find import why

SUMS = (operator.add, operator.iadd, torch.add, operator.mul, operator.imul, torch.mul, operator.sub, torch.sub)
ONE_BY_ONE = (torch.relu, F.relu, F.gelu, F.silu, F.leaky_relu, torch.tanh, torch.sigmoid)
SHAPES = ("size", "dim", "ndimension", "numel", "nelement", "is_floating_point")  # methods that give no tensor
FACTS = ("shape", "dtype", "device", "ndim")  # attributes that are none


class NotFusedError(Exception):
    """A network whose lanes cannot be computed together; says why."""


def lane_layer(module: nn.Module, name: str = "") -> LaneLayer:
    """Return `module` over many lanes; its parameters are below `name`. NotFusedError where that is impossible."""
    if type(module) is nn.Sequential:
        return _chain([lane_layer(child, join(name, key)) for key, child in module.named_children()])
    if isinstance(module, ResidualBlock):
        return _residual(module, name)
    if type(module) in LAYERS:
        return LAYERS[type(module)](module, name)
    if _is_torchs(module):
        return vmapped(module, name)
    return _traced(module, name)


def _is_torchs(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn.")


def _chain(layers: list[LaneLayer]) -> LaneLayer:
    def layer(x: Activations, rows: Rows) -> Activations:
        for each in layers:
            x = each(x, rows)
        return x

    return layer


def _residual(block: ResidualBlock, name: str) -> LaneLayer:
    inner = _chain(
        [lane_layer(getattr(block, key), join(name, key)) for key in ("conv1", "bn1", "relu1", "conv2", "bn2")]
    )
    shortcut, relu2 = (lane_layer(getattr(block, key), join(name, key)) for key in ("shortcut", "relu2"))

    def layer(x: Activations, rows: Rows) -> Activations:
        x = rows.spread(x)
        return relu2(Activations(inner(x, rows).values + shortcut(x, rows).values, rows.lanes), rows)

    return layer


class _Tracer(fx.Tracer):
    """Traces into every module but those of torch and of this project."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is one step of the graph."""
        return type(m) is not nn.Sequential and (type(m) in LAYERS or isinstance(m, ResidualBlock) or _is_torchs(m))


def _traced(module: nn.Module, name: str) -> LaneLayer:
    graphs = {}
    for training in (True, False):
        twin = copy.deepcopy(module).train(training)  # a trace may write buffers
        try:
            graphs[training] = _Graph(twin, _Tracer().trace(twin), name)
        except NotFusedError:
            raise
        except Exception as error:
            raise NotFusedError(f"its forward cannot be traced: {why(error)}") from error

    def layer(x: Activations, rows: Rows) -> Activations:
        return graphs[rows.training](x, rows)

    return layer


class _Graph:
    """A traced module in one mode."""

    def __init__(self, module: nn.Module, graph: fx.Graph, name: str) -> None:
        self.module, self.nodes, self.name = module, list(graph.nodes), name
        called = Counter(node.target for node in self.nodes if node.op == "call_module")
        self.layers: dict[Any, Callable[..., Any]] = {}
        for target, times in called.items():
            layer = module.get_submodule(str(target))
            if isinstance(layer, Dropout) and times > 1:
                raise NotFusedError(f"its forward uses the dropout {target} several times")
            self.layers[target] = lane_layer(layer, join(name, str(target)))
        self.constants: dict[tuple[Any, torch.device], Tensor] = {}

    def __call__(self, x: Activations, rows: Rows) -> Activations:
        """Compute the graph over lanes."""
        found: dict[fx.Node, Any] = {}
        given = iter([x])
        for node in self.nodes:
            args, kwargs = map_arg(node.args, found.__getitem__), map_arg(node.kwargs, found.__getitem__)
            if node.op == "get_attr":
                found[node] = self._attribute(str(node.target), x, rows)
            elif node.op == "call_module":
                found[node] = self.layers[node.target](*args, rows, **kwargs)
            elif node.op == "output":
                out: Activations = args[0]
                return out
            elif node.op in ("call_function", "call_method"):
                found[node] = _call(node, args, kwargs, rows)
            else:  # the one kind of node that is left: an argument of forward, or its default
                found[node] = next(given, args[0] if args else None)
        raise NotFusedError("its forward returns nothing")

    def _attribute(self, target: str, x: Activations, rows: Rows) -> Any:
        full = join(self.name, target)
        if full in rows.weights or full in rows.buffers:
            values = rows.weights[full] if full in rows.weights else rows.buffers[full]
            return Activations(values, rows.lanes, apart=True)
        place = (target, x.values.device)
        if place not in self.constants:  # the same in every lane, and copied to the device once
            value: Any = self.module
            for part in target.split("."):
                value = getattr(value, part)
            self.constants[place] = value.to(x.values.device) if isinstance(value, Tensor) else value
        return self.constants[place]


def _call(node: fx.Node, args: tuple[Any, ...], kwargs: Mapping[str, Any], rows: Rows) -> Any:
    """Call a function or method of the graph, as few lanes as needed at a time."""
    target: Any = node.target
    values = [leaf for leaf in tree_leaves((args, dict(kwargs)), is_leaf=_is_activations) if _is_activations(leaf)]
    method = node.op == "call_method"
    if not values:
        return getattr(args[0], target)(*args[1:], **kwargs) if method else target(*args, **kwargs)
    if (method and target in SHAPES) or (target is getattr and args[1] in FACTS):
        of_lane = lanes_first(args[0])[0]
        return getattr(of_lane, target)(*args[1:], **kwargs) if method else getattr(of_lane, args[1])
    if not method and target in ONE_BY_ONE:
        return args[0]._replace(values=target(args[0].values, *args[1:], **kwargs))
    if target is F.scaled_dot_product_attention and len(args) == 3 and _is_plain(args, kwargs):
        q, k, v = (lanes_first(rows.spread(value)).flatten(0, 1) for value in args)  # images of lanes are images
        return lanes_side_by_side(target(q, k, v, **kwargs).unflatten(0, (rows.lanes, -1)))
    if not method and target in SUMS and not kwargs and len(args) == 2 and all(map(_is_activations, args)):
        a, b = (rows.spread(value) for value in args)
        if a.values.shape == b.values.shape and a.side_by_side == b.side_by_side:
            return a._replace(values=target(a.values, b.values))

    def one(own: Any, args: Any, kwargs: Any) -> Any:
        """Compute one lane."""
        return getattr(args[0], target)(*args[1:], **kwargs) if method else target(*args, **kwargs)

    return over_lanes(one, (tuple(args), dict(kwargs)), rows)


def _is_plain(args: tuple[Any, ...], attention: Mapping[str, Any]) -> bool:
    """Return whether attention is computed of activations, without a mask and without dropout."""
    return all(map(_is_activations, args)) and attention.get("attn_mask") is None and not attention.get("dropout_p")


def _is_activations(value: Any) -> bool:
    return isinstance(value, Activations)
