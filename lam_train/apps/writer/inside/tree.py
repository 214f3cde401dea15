"""Accessible objects as plain nodes: what a dialog or an open menu shows."""

from com.sun.star.accessibility import AccessibleRelationType as RELATION
from com.sun.star.accessibility import AccessibleRole as ROLE
from com.sun.star.accessibility import AccessibleStateType as STATE

ROLES = (
    "ALERT", "CHECK_BOX", "COMBO_BOX", "DIALOG", "EDIT_BAR", "FRAME", "GRAPHIC", "HYPER_LINK", "ICON", "LABEL",
    "LIST", "LIST_ITEM", "MENU", "MENU_BAR", "MENU_ITEM", "CHECK_MENU_ITEM", "RADIO_MENU_ITEM", "PAGE_TAB",
    "PAGE_TAB_LIST", "PANEL", "PASSWORD_TEXT", "PUSH_BUTTON", "RADIO_BUTTON", "SCROLL_BAR", "SEPARATOR", "SLIDER",
    "SPIN_BOX", "TABLE", "TABLE_CELL", "TEXT", "TOGGLE_BUTTON", "TOOL_BAR", "TREE", "TREE_ITEM", "TREE_TABLE",
    "BUTTON_DROPDOWN", "BUTTON_MENU", "ROOT_PANE", "WINDOW", "STATIC",
)  # fmt: skip
NAMES = {getattr(ROLE, name): name for name in ROLES}
CONTAINERS = (ROLE.FILLER, ROLE.PANEL, ROLE.SEPARATOR, ROLE.SCROLL_PANE, ROLE.LIST, ROLE.TREE, ROLE.PAGE_TAB_LIST)
DEEPEST = 40
MOST_CHILDREN = 300


def role_of(accessible):
    return NAMES.get(accessible.getAccessibleRole(), "OTHER")


def states_of(accessible):
    return set(accessible.getAccessibleStateSet().getStates())


def stands_before(accessible):
    """Whether it is a dialog, a message, or the floating window that a toolbar's button has opened."""
    role = accessible.getAccessibleRole()
    return role in (ROLE.DIALOG, ROLE.ALERT, ROLE.FRAME, ROLE.WINDOW) and STATE.SHOWING in states_of(accessible)


def text_of(accessible):
    try:
        return accessible.getText()
    except Exception:  # no text of its own
        return None


def relates(accessible, relation):
    relations = accessible.getAccessibleRelationSet()
    return relations is not None and relations.containsRelation(relation)


def label_of(accessible):
    """The name of the label that stands for it, or ""."""
    if not relates(accessible, RELATION.LABELED_BY):
        return ""
    targets = accessible.getAccessibleRelationSet().getRelationByType(RELATION.LABELED_BY).TargetSet
    return targets[0].getAccessibleContext().getAccessibleName() if targets else ""


def node(desk, accessible, states, target=None):
    return {
        "handle": desk.handle(accessible if target is None else target),
        "role": role_of(accessible),
        "name": accessible.getAccessibleName(),
        "enabled": STATE.ENABLED in states,
        "checked": STATE.CHECKED in states or STATE.PRESSED in states,
        "selected": STATE.SELECTED in states,
        "focused": STATE.FOCUSED in states,
    }


def children(accessible):
    for index in range(min(accessible.getAccessibleChildCount(), MOST_CHILDREN)):
        child = accessible.getAccessibleChild(index)
        if child is not None:
            yield index, child.getAccessibleContext()


def first_of(accessible, role):
    """The first object of a role inside another, depth first; None if there is none."""
    for _, child in children(accessible):
        found = child if role_of(child) == role else first_of(child, role)
        if found is not None:
            return found
    return None


def open_menus(window):
    """The open menus of a window's menu bar, outermost first."""
    found = []
    level = first_of(window, "MENU_BAR")
    while level is not None:
        level = next((menu for _, menu in children(level) if role_of(menu) == "MENU" and is_open(menu)), None)
        if level is not None:
            found.append(level)
    return found


def is_open(menu):
    return any(STATE.SHOWING in states_of(item) for _, item in children(menu))


def menu_items(desk, menu):
    nodes = []
    for _, item in children(menu):
        states = states_of(item)
        if STATE.SHOWING in states and item.getAccessibleRole() != ROLE.SEPARATOR:
            nodes.append(node(desk, item, states))
    return nodes


def dialog(desk, accessible):
    """(nodes, messages): its controls depth first, as the dialog reads, and the texts that name no control."""
    walker = Walker(desk)
    walker.walk(accessible, "", 0)
    return walker.nodes, walker.messages


class Walker:
    """Goes through a dialog, keeping the last label for the fields that have no name of their own."""

    def __init__(self, desk):
        self.desk = desk
        self.nodes = []
        self.messages = []
        self.label = ""

    def walk(self, accessible, group, depth):
        for index, child in children(accessible):
            role = child.getAccessibleRole()
            states = states_of(child)
            if role == ROLE.PAGE_TAB:
                self.nodes.append(node(self.desk, child, states, (accessible, index)))
            elif STATE.SHOWING not in states and role not in (ROLE.LIST_ITEM, ROLE.TREE_ITEM):
                continue
            elif role in (ROLE.LABEL, ROLE.STATIC):
                self.label = child.getAccessibleName()
                if not relates(child, RELATION.LABEL_FOR):
                    self.messages.append(self.label)
                continue
            elif role not in CONTAINERS:
                self.add(child, role, states, group)
                if role in (ROLE.COMBO_BOX, ROLE.SPIN_BOX):
                    continue
            inner = child.getAccessibleName() if role == ROLE.PANEL else ""
            if depth < DEEPEST:
                self.walk(child, inner or group, depth + 1)

    def add(self, child, role, states, group):
        found = node(self.desk, child, states)
        found["text"] = text_of(child)
        found["name"] = found["name"] or label_of(child) or self.made_up_name(group)
        if role == ROLE.COMBO_BOX:
            inner = first_of(child, "TEXT")
            found["text"] = text_of(inner) if inner is not None else found["text"]
            found["editable"] = inner is not None and STATE.EDITABLE in states_of(inner)
        if not found["text"] and role == ROLE.SPIN_BOX:
            found["text"] = ""
        self.nodes.append(found)

    def made_up_name(self, group):
        """A field without a name goes by its group and the label before it."""
        return group if self.label in ("", group) else f"{group} {self.label}".strip()
