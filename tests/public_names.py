"""The public names of gradflip and how each is called, as plain values by which two versions can be compared."""

import enum
import importlib
import inspect
import pkgutil
import types

import gradflip

Described = dict[str, str | list[str]]


def described(*, second_names: bool = False) -> Described:
    """Every public name of the package and of its folders, and how it is called.

    Args:
        second_names: Whether what has several names is described under each of them.

    Returns:
        `"gradflip.flip"` -> its parameters, such as `"network"`, `"*finder=None"`; of classes those of the constructor,
        and `"gradflip.Flip.to_frame"` -> the parameters of the method. `"is gradflip.Flip"` for a second name,
        `"exception ValueError"`, the value of a member of an enum, `"attribute"` for fields and properties, and
        `"value"` for all else.
    """
    found: Described = {}
    first: dict[int, str] = {}
    for module in (gradflip, *folders()):
        for name in module.__all__:
            path, value = f"{module.__name__}.{name}", getattr(module, name)
            once = not second_names and (inspect.isclass(value) or inspect.isroutine(value))
            known = first.setdefault(id(value), path) if once else path
            found |= of_name(path, value) if known == path else {path: f"is {known}"}
    return dict(sorted(found.items()))


def folders() -> list[types.ModuleType]:
    """The public folders of the package that say what they export."""
    names = [each.name for each in pkgutil.iter_modules(gradflip.__path__) if not each.name.startswith("_")]
    modules = [importlib.import_module(f"gradflip.{name}") for name in names]
    return [module for module in modules if hasattr(module, "__all__")]


def of_name(path: str, value: object) -> Described:
    """One public name, and if it is a class its members.

    Args:
        path: Where it is.
        value: What it is.

    Returns:
        Descriptions by path.
    """
    if inspect.isroutine(value):
        return {path: parameters(value)}
    if not inspect.isclass(value):
        return {path: "value"}
    if issubclass(value, Exception):
        return {path: f"exception {value.__base__.__name__}"}
    if issubclass(value, enum.Enum):
        return {path: "enum"} | {f"{path}.{member.name}": repr(member.value) for member in value}
    fields = [name for name in getattr(value, "__dataclass_fields__", {}) if not name.startswith("_")]
    members = {name: of_member(value, name) for name in dir(value) if not name.startswith("_")}
    known = dict.fromkeys(fields, "attribute") | {name: said for name, said in members.items() if said is not None}
    return {path: parameters(value)} | {f"{path}.{name}": said for name, said in known.items()}


def of_member(owner: type, name: str) -> str | list[str] | None:
    """A member of a class, if a class of gradflip defines it.

    Args:
        owner: The class.
        name: Of the member.

    Returns:
        Its parameters, or `"attribute"`; `None` for what is inherited from elsewhere.
    """
    home = next((base for base in owner.__mro__ if name in vars(base)), object)
    if not home.__module__.startswith("gradflip"):
        return None
    member = vars(home)[name]
    callable_ = isinstance(member, staticmethod | classmethod) or inspect.isfunction(member)
    return parameters(getattr(owner, name)) if callable_ else "attribute"


def parameters(function: object) -> list[str]:
    """The parameters of a function or class without annotations, which may change with no effect on a caller.

    Args:
        function: Anything with a signature.

    Returns:
        A text each: `name` or `name=default`, after `*` if it can be given by keyword only.
    """
    stars = {inspect.Parameter.KEYWORD_ONLY: "*", inspect.Parameter.VAR_POSITIONAL: "...*"}
    stars |= {inspect.Parameter.VAR_KEYWORD: "...**", inspect.Parameter.POSITIONAL_ONLY: "/"}
    return [
        stars.get(one.kind, "") + one.name + ("" if one.default is one.empty else f"={one.default!r}")
        for one in inspect.signature(function).parameters.values()
    ]
