"""Writes docs/settings.md from the settings classes: python docs/make_settings.py"""

from pathlib import Path

from pydantic_core import PydanticUndefined

from lam_train.recipe import Recipe, settings_class


def rows(kind, prefix: str = "", given=None):
    """(key, default, what it is) of every setting, depth first; `given`: a section with some defaults of its own."""
    for name, field in kind.model_fields.items():
        nested = settings_class(field.annotation)
        default = field.get_default(call_default_factory=True)
        if given is not None and name in given.model_fields_set:
            default = getattr(given, name)
        if nested is None or default is None:
            shown = "required" if default is PydanticUndefined else _short(default)
            yield f"{prefix}{name}", shown, " ".join((field.description or "").split())
        if nested is not None:
            yield from rows(nested, f"{prefix}{name}.", default if isinstance(default, nested) else None)


def _short(value) -> str:
    if isinstance(value, list) and len(value) > 6:
        return f"{len(value)} items"
    return "null" if value is None else f"`{str(value).lower() if isinstance(value, bool) else value}`"


def page() -> str:
    """The page: a table a section."""
    lines = [
        "# Settings",
        "",
        "Every key of a recipe, with its class's default; a recipe or group may set another.",
    ]
    section = None
    for key, default, what in rows(Recipe):
        head = key.split(".")[0] if "." in key else "recipe"
        if head != section:
            section = head
            lines += ["", f"## {section}", "", "| key | default | |", "|---|---|---|"]
        what = what.replace("|", "\\|")
        lines.append(f"| `{key}` | {default} | {what} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "settings.md").write_text(page(), encoding="utf-8")
