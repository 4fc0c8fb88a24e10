"""Whether an expression makes sense, and what each part of it is."""

from engine.forge.expressions.checking.checker import Checked, check, compiled

__all__ = ["Checked", "check", "compiled"]
