"""For the API reference: the docstrings of native classes and functions, which their stubs do not repeat."""

from __future__ import annotations

import inspect
from typing import Any

import griffe
import oxmqtt._native as native


class NativeDocstrings(griffe.Extension):
    """Copies a docstring from the built module to each object of ``_native.pyi`` that has none."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        prefix = f"{native.__name__}."
        if obj.docstring is not None or not obj.path.startswith(prefix):
            return
        there: Any = native
        for name in obj.path[len(prefix) :].split("."):
            there = getattr(there, name, None)
        text = None if there is None else inspect.getdoc(there)
        if text:
            obj.docstring = griffe.Docstring(text, parent=obj)
