"""All task families, by name."""

from lam_train.apps.writer.tasks import (
    families_character,
    families_insert,
    families_page,
    families_paragraph,
    families_table,
    families_text,
)
from lam_train.apps.writer.tasks.family import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for module in (
        families_character,
        families_paragraph,
        families_table,
        families_page,
        families_insert,
        families_text,
    )
    for family in module.FAMILIES
}
