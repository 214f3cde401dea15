"""All task families, by name."""

from lam_train.apps.writer.tasks import families_character, families_paragraph, families_table
from lam_train.apps.writer.tasks.family import Family

FAMILIES: dict[str, Family] = {
    family.name: family
    for module in (families_character, families_paragraph, families_table)
    for family in module.FAMILIES
}
