"""The small language in which a Blueprint says conditions and computed values.

`checking.check(text, scope, expected)` gives a typed `Term`, or faults with their offsets and
lengths in the text; `evaluate` is what a term means; `printers` write it for a target; `canonical`
has the tree as text again, its names, and renaming; `scopes.scope_of` says what an expression of a
Blueprint can see. `docs/expressions.md` is the reference of the language, written from `language`.
"""
