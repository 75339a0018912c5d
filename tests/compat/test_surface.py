"""Names, signatures, defaults, enum members and constants beside those of the installed paho.

Everything that differs stands in DIFFERENCES with its reason; an entry that no longer differs
fails as well, so the table stays true.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import pytest

MODULES = [
    "enums",
    "exception",
    "matcher",
    "packettypes",
    "properties",
    "publish",
    "reasoncodes",
    "subscribe",
    "subscribeoptions",
    "client",
]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compatibility.md"

NOT_INTERFACE = "an import of paho's own module, not something it offers"
PAYLOAD_FORMAT = "153 may stand in CONNACK, because of the will (OASIS MQTT 5.0, table 3-1)"

# "module.name" or "module.Class.member" -> why oxmqtt differs
SERVER_HOSTNAME = "takes server_hostname, by keyword only"
DIFFERENCES = {
    "properties.struct": NOT_INTERFACE,
    "reasoncodes.functools": NOT_INTERFACE,
    "reasoncodes.MappingProxyType": NOT_INTERFACE,
    "client.Callable": NOT_INTERFACE,
    "client.Iterator": NOT_INTERFACE,
    "client.NamedTuple": NOT_INTERFACE,
    "client.Sequence": NOT_INTERFACE,
    "client.Union": NOT_INTERFACE,
    "client.cast": NOT_INTERFACE,
    "client.overload": NOT_INTERFACE,
    "client._": "keeps paho's linter quiet about ReasonCodes, which is there under its own name",
    "client._packet": "private, and packets are decoded in Rust",
    "client.Client.tls_set": SERVER_HOSTNAME,
    "client.Client.tls_set_context": SERVER_HOSTNAME,
    "publish.Properties": NOT_INTERFACE,
    "publish.ReasonCode": NOT_INTERFACE,
    "reasoncodes.ReasonCode.names": PAYLOAD_FORMAT,
    "reasoncodes.ReasonCodes.names": PAYLOAD_FORMAT,
    "subscribeoptions.MQTTException.__bases__": (
        "derives from oxmqtt.MQTTException, so that one except clause catches all of them"
    ),
}

#: Classes that are there by name only, and why.
NAME_ONLY = {
    "client._WebsocketWrapper": "private; programs ask what it is and for its _socket, and the engine makes the frames",
}

# Dunder names that say nothing about behaviour, or that Python itself adds.
IGNORED_DUNDERS = {
    "__annotations__",
    "__annotate__",
    "__annotate_func__",
    "__annotations_cache__",
    "__conditional_annotations__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__module__",
    "__qualname__",
    "__slotnames__",
    "__slots__",
    "__static_attributes__",
    "__weakref__",
    "__parameters__",
    "__orig_bases__",
}


def load(package: str, name: str) -> ModuleType:
    return importlib.import_module(f"{package}.{name}")


def is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def signature(function: Any) -> list[tuple[str, str, Any]]:
    """Names, kinds and defaults of the parameters; annotations are not interface.

    A native method takes ``self`` by position only, as every call gives it.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return [("no signature", "", None)]
    return [
        (p.name, "self" if p.name == "self" else p.kind.name, plain(p.default)) for p in parameters
    ]


def plain(value: Any) -> Any:
    """A value that is equal for paho and oxmqtt exactly if programs cannot tell them apart."""
    if isinstance(value, enum.Enum):
        return str(type(value).__name__), value.name, value.value
    if isinstance(value, type):
        return f"class {value.__name__}"
    if isinstance(value, (dict, MappingProxyType)):
        return {plain(key): plain(item) for key, item in value.items()}
    if type(value) in (tuple, list):
        return type(value)(plain(item) for item in value)
    return value


def describe_member(owner: type, name: str) -> Any:
    static = inspect.getattr_static(owner, name)
    if isinstance(static, staticmethod):
        return "static method", signature(static.__func__)
    if isinstance(static, classmethod):
        return "class method", signature(static.__func__)
    value = getattr(owner, name)
    if inspect.isroutine(value):
        return "method", None if is_dunder(name) else signature(value)
    if inspect.isclass(value):
        return "class"
    if inspect.isdatadescriptor(static):
        return "attribute"
    return "value", plain(value)


def members(owner: type, private: bool) -> dict[str, Any]:
    """What a class and its bases in the same package define."""
    package = owner.__module__.rpartition(".")[0]
    found = {}
    for base in reversed(owner.__mro__):
        if not base.__module__.startswith(package):
            continue
        for name in vars(base):
            hidden = name.startswith("_") and not is_dunder(name) and not private
            if name not in IGNORED_DUNDERS and not hidden:
                found[name] = describe_member(owner, name)
    return found


def describe_class(cls: type, private: bool) -> Iterator[tuple[str, Any]]:
    yield "", "class"
    if issubclass(cls, (BaseException, enum.Enum, tuple, type)):
        yield ".__bases__", [plain(base) for base in cls.__mro__[1:]]
    if issubclass(cls, enum.Enum):
        yield ".__members__", [(name, member.value) for name, member in cls.__members__.items()]
    if issubclass(cls, (BaseException, enum.Enum, type)):
        return
    yield ".__init__", signature(cls)
    yield ".__hash__", cls.__hash__ is None
    for name, description in members(cls, private).items():
        if name not in ("__init__", "__hash__", "__new__"):
            yield f".{name}", description


def describe(module: ModuleType) -> dict[str, Any]:
    """Every name of a module that programs may use, in a form that can be compared.

    Classes are described in full in the module that defines them in paho, those of ``client``
    without private members: which of them programs lean on, other tests say by what they do.
    """
    package, _, short = module.__name__.rpartition(".")
    original = load("paho.mqtt", short)
    found: dict[str, Any] = {}
    for name in dir(module):  # not vars(): some names are made when they are used
        if is_dunder(name) or name == "annotations":
            continue
        value = getattr(module, name)
        where = f"{short}.{name}"
        if isinstance(value, type) and value.__module__.startswith(package):
            at_home = getattr(original, name, None)
            if getattr(at_home, "__module__", "") != original.__name__:
                found[where] = "class"
                continue
            for suffix, description in describe_class(value, private=short != "client"):
                found[where + suffix] = description
        elif inspect.isroutine(value):
            found[where] = "function", signature(value)
        elif inspect.ismodule(value):
            found[where] = "module"
        elif callable(value) or "typing" in type(value).__module__:
            found[where] = "from the standard library"
        else:
            found[where] = plain(value)
    return found


def compare(name: str) -> dict[str, str]:
    """What differs in one module: everything paho has, oxmqtt must have alike."""
    theirs, ours = describe(load("paho.mqtt", name)), describe(load("oxmqtt", name))
    differences = {}
    for where, expected in theirs.items():
        owner = where.rpartition(".")[0]
        if owner in NAME_ONLY or (owner.count(".") and owner not in ours):
            continue  # the missing class is reported by itself
        if where not in ours:
            differences[where] = "missing"
        elif ours[where] != expected:
            differences[where] = f"{ours[where]!r} instead of {expected!r}"
    return differences


@pytest.mark.parametrize("name", MODULES)
def test_module_offers_what_paho_offers(name: str) -> None:
    differences = compare(name)
    unexplained = {where: why for where, why in differences.items() if where not in DIFFERENCES}
    assert not unexplained, "\n".join(f"{where}: {why}" for where, why in unexplained.items())
    stale = [w for w in DIFFERENCES if w.startswith(f"{name}.") and w not in differences]
    assert not stale, f"no longer different: {stale}"


def public_names(owner: Any) -> set[str]:
    """What a module or class of paho offers under names of its own."""
    return {
        name
        for name in dir(owner)
        if not name.startswith("_")
        and not inspect.ismodule(getattr(owner, name))
        and not hasattr(typing, name)
        and name not in ("annotations", "MappingProxyType")
    }


def test_every_name_is_on_the_page() -> None:
    """docs/compatibility.md names each by itself or by a pattern such as ``MQTT_ERR_*``."""
    quoted = " ".join(re.findall(r"`([^`\n]+)`", PAGE.read_text("utf-8")))
    listed = set(re.findall(r"\w+\*?", quoted))
    patterns = [word[:-1] for word in listed if word.endswith("*")]
    client = load("paho.mqtt", "client")
    owners = [load("paho.mqtt", name) for name in MODULES]
    owners += [client.Client, client.MQTTMessage, client.MQTTMessageInfo]
    names = set[str]().union(*map(public_names, owners))
    assert len(names) > 230
    missing = {name for name in names - listed if not name.startswith(tuple(patterns))}
    assert not missing


def test_package_offers_what_paho_offers() -> None:
    import oxmqtt
    from oxmqtt.exception import MQTTException

    assert oxmqtt.MQTTException is MQTTException
    assert isinstance(oxmqtt.__version__, str)
    assert oxmqtt.__version__.count(".") == 2


def test_client_constants_are_the_enum_members() -> None:
    client, enums = load("oxmqtt", "client"), load("oxmqtt", "enums")
    paho_client, paho_enums = load("paho.mqtt", "client"), load("paho.mqtt", "enums")
    checked = 0
    for name, value in vars(paho_client).items():
        if isinstance(value, enum.Enum) and type(value).__module__ == paho_enums.__name__:
            ours = getattr(enums, type(value).__name__)[value.name]
            assert getattr(client, name) is ours, name
            checked += 1
    assert checked >= 59


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("properties", "Properties"),
        ("properties", "MQTTException"),
        ("properties", "MalformedPacket"),
        ("reasoncodes", "ReasonCode"),
        ("reasoncodes", "ReasonCodes"),
        ("subscribeoptions", "SubscribeOptions"),
        ("matcher", "MQTTMatcher"),
        ("packettypes", "PacketTypes"),
        ("enums", "CallbackAPIVersion"),
        ("enums", "_ConnectionState"),
    ],
)
def test_client_re_exports_the_same_objects(module: str, name: str) -> None:
    if not hasattr(load("paho.mqtt", "client"), name):
        assert getattr(load("oxmqtt", module), name) is getattr(load("oxmqtt", "exception"), name)
        return
    assert getattr(load("oxmqtt", "client"), name) is getattr(load("oxmqtt", module), name)


def spelled(annotation: Any) -> str:
    """A type as text, classes without their modules."""
    text = re.sub(r"ForwardRef\('(\w+)'\)", r"\1", str(annotation))
    return re.sub(r"(?:\w+\.)+(\w+)", r"\1", text)


def test_names_for_annotations_mean_the_same() -> None:
    types = load("oxmqtt", "_client.types")
    client, paho_client = load("oxmqtt", "client"), load("paho.mqtt", "client")
    for name in types.__all__:
        if name == "SocketLike":  # paho has it for type checkers only
            continue
        assert spelled(getattr(client, name)) == spelled(getattr(paho_client, name)), name


def test_import_loads_nothing_that_few_programs_need() -> None:
    late = ["logging", "oxmqtt._client.leftovers", "oxmqtt._client.types", "random", "ssl", "uuid"]
    # pytest plugins, coverage and .pth files may load some of those themselves
    script = (
        "import sys; before = set(sys.modules)\n"
        "from oxmqtt.client import Client, MQTTv5\n"
        f"print(*(set({late}) & (set(sys.modules) - before)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []
