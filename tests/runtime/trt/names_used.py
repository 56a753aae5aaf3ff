"""Every name of TensorRT's that Proctor's code uses, read from the code itself."""

import ast
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parents[3] / "runtime" / "tensorrt"

# what a variable of these names holds, throughout the package
CLASS_OF = {
    "builder": "Builder",
    "cache": "ITimingCache",
    "config": "IBuilderConfig",
    "context": "IExecutionContext",
    "_context": "IExecutionContext",
    "engine": "ICudaEngine",
    "_engine": "ICudaEngine",
    "error": "ParserError",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
    "_runtime": "Runtime",
}
RESULT_OF = {"INetworkDefinition.get_input": "ITensor", "IBuilderConfig.get_timing_cache": "ITimingCache"}
MODULES = ("builder.py", "engine.py", "library.py", "messages.py", "progress.py")
BASES = ("ILogger", "IProgressMonitor")  # classes that Proctor derives from


@dataclass(frozen=True)
class Use:
    """A name, such as ``ICudaEngine.get_tensor_name``, and with how many arguments it is called, None if it is not."""

    name: str
    arguments: int | None


def names_used() -> set[Use]:
    """All uses in the package."""
    found: set[Use] = set()
    for module in MODULES:
        tree = ast.parse((PACKAGE / module).read_text())
        called = {id(node.func): _arguments(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            name = _name(node)
            if name is not None:
                found.add(Use(name, called.get(id(node))))
            found |= {Use(name, None) for name in _looked_up(node)}
            found |= {Use(name, None) for name in _overridden(node)}
    return found


def _arguments(call: ast.Call) -> int:
    """Arguments of a call; a base class's ``__init__`` is given `self` besides."""
    is_init = isinstance(call.func, ast.Attribute) and call.func.attr == "__init__"
    return len(call.args) + len(call.keywords) - is_init


def _name(node: ast.AST) -> str | None:
    """The full name of an attribute of TensorRT's."""
    if not isinstance(node, ast.Attribute):
        return None
    owner = _owner(node.value)
    if owner is None:
        return None
    return f"{owner}.{node.attr}".removeprefix("trt.")


def _owner(node: ast.expr) -> str | None:
    """What an expression is: the module ``trt``, an enumeration of it, or an object of one of its classes."""
    if isinstance(node, ast.Name):
        return "trt" if node.id == "trt" else CLASS_OF.get(node.id)
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return CLASS_OF.get(node.attr) if node.attr.startswith("_") else None
        name = _name(node)
        return name if name is not None and name[0].isupper() and _owner(node.value) in ("trt", "ILogger") else None
    if isinstance(node, ast.Call):
        name = _name(node.func)
        return None if name is None else RESULT_OF.get(name)
    return None


def _looked_up(node: ast.AST) -> list[str]:
    """Names that the code asks for with getattr or hasattr, because a version may lack them."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr")):
        return []
    owner, attribute = node.args[0], node.args[1]
    base = _owner(owner)
    if base is None or not isinstance(attribute, ast.Constant):
        return []
    return [f"{base}.{attribute.value}".removeprefix("trt.")]


def _overridden(node: ast.AST) -> list[str]:
    """Methods that Proctor's own classes override for TensorRT to call."""
    if not isinstance(node, ast.ClassDef):
        return []
    bases = [base.attr for base in node.bases if isinstance(base, ast.Attribute) and base.attr in BASES]
    public = [each.name for each in node.body if isinstance(each, ast.FunctionDef) and not each.name.startswith("_")]
    own = {"close"}
    return [f"{base}.{name}" for base in bases for name in public if name not in own]
