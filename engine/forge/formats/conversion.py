"""Foreign formats into a Blueprint and out of it."""

from __future__ import annotations

from pathlib import PurePath

from engine.forge.blueprint.model import Blueprint
from engine.forge.blueprint.problems import listed, quoted
from engine.forge.formats.building.build import Imported, build
from engine.forge.formats.contract import Exporter, Importer, exporters, importers, text_of
from engine.kernel.errors import InvalidInput

_IMPORTERS, _EXPORTERS = importers(), exporters()


def import_formats() -> tuple[str, ...]:
    return tuple(_IMPORTERS)


def export_formats() -> tuple[str, ...]:
    return tuple(_EXPORTERS)


def find_importer(name: str) -> Importer:
    """The importer of a format. Raises `InvalidInput` for one that doesn't exist."""
    if name not in _IMPORTERS:
        raise _unknown(name, import_formats(), "imported from")
    return _IMPORTERS.get(name)


def find_exporter(name: str) -> Exporter:
    """The exporter of a format. Raises `InvalidInput` for one that doesn't exist."""
    if name not in _EXPORTERS:
        raise _unknown(name, export_formats(), "exported to")
    return _EXPORTERS.get(name)


def _unknown(name: str, known: tuple[str, ...], verb: str) -> InvalidInput:
    return InvalidInput(
        f"{quoted(name)} is no format that can be {verb}.",
        mend=f"Use {listed(sorted(known))}.",
    )


def format_of(filename: str) -> str | None:
    """The format whose files end like this one; None when none or several do."""
    ending = "".join(PurePath(filename.lower()).suffixes[-1:])
    found = [name for name in _IMPORTERS if ending in _IMPORTERS.get(name).suffixes]
    return found[0] if ending and len(found) == 1 else None


def import_blueprint(
    source: str | bytes, form: str, *, name: str | None = None, dialect: str | None = None
) -> Imported:
    """Read `source` in the format `form`; `name` is that of the platform.

    The Blueprint passes the language's checks, and the report accounts for every construct. The
    same source gives the same result. Raises `InvalidInput` for an unknown format, for text that
    is not of it (with `line` and `column` where they are known) or that declares no kind of
    record, and `TooLarge` beyond one million bytes. Nothing but the text is read: references to
    other files or addresses are never followed.
    """
    importer = find_importer(form)
    return build(importer.read(text_of(source), dialect), name)


def export_blueprint(blueprint: Blueprint, form: str) -> str:
    """The Blueprint in the format `form`, ending with a newline.

    Equal Blueprints give equal texts. Raises `InvalidInput` for an unknown format and for a
    Blueprint that can't be laid out.
    """
    return find_exporter(form).write(blueprint)
