"""What is read out of PostgreSQL's parse tree, as postgast hands it over."""

from __future__ import annotations

from typing import Any

from core.errors import Refused


def enum_name(message: Any, field: str) -> str:
    """The name of an enum's value. Raises Refused (E-TOOLS) where this parser knows no such field."""
    described = message.DESCRIPTOR.fields_by_name.get(field)
    if described is None:
        raise Refused("E-TOOLS", "The SQL parser is of another version than the bot expects.", "Install postgast 0.2.")
    return str(described.enum_type.values_by_number[getattr(message, field)].name)


def options_of(options: Any) -> set[str]:
    """The names of a list of options."""
    return {o.def_elem.defname.lower() for o in options}


def subtypes(tree: Any) -> set[str]:
    """The subtypes of an ALTER TABLE."""
    return {enum_name(c.alter_table_cmd, "subtype") for c in getattr(tree, "cmds", ())}
