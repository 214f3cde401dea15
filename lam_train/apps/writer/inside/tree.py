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
DEEPEST = 40
MOST_CHILDREN = 300


def role_of(accessible):
    return NAMES.get(accessible.getAccessibleRole(), "OTHER")


def states_of(accessible):
    return set(accessible.getAccessibleStateSet().getStates())


def is_dialog(accessible):
    """A dialog, an alert, or the floating window that a toolbar button has opened."""
    if accessible.getAccessibleRole() in (ROLE.DIALOG, ROLE.ALERT):
        return STATE.SHOWING in states_of(accessible)
    return False


def text_of(accessible):
    try:
        return accessible.getText()
    except Exception:  # no text of its own
        return None


def label_of(accessible):
    """The name of the label that stands for it, or ""."""
    relations = accessible.getAccessibleRelationSet()
    if relations is None or not relations.containsRelation(RELATION.LABELED_BY):
        return ""
    targets = relations.getRelationByType(RELATION.LABELED_BY).TargetSet
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


def menu_items(desk, menu):
    nodes = []
    for _, item in children(menu):
        states = states_of(item)
        if STATE.SHOWING in states and item.getAccessibleRole() != ROLE.SEPARATOR:
            nodes.append(node(desk, item, states))
    return nodes


def dialog(desk, accessible):
    nodes = []
    walk(desk, accessible, nodes, 0)
    return nodes


def walk(desk, accessible, nodes, depth):
    """Depth first, as the dialog reads; only what shows."""
    for index, child in children(accessible):
        role = child.getAccessibleRole()
        states = states_of(child)
        if role == ROLE.PAGE_TAB:
            nodes.append(node(desk, child, states, (accessible, index)))
        elif STATE.SHOWING not in states:
            continue
        elif role not in (ROLE.FILLER, ROLE.PANEL, ROLE.SEPARATOR):
            found = node(desk, child, states)
            found["text"] = text_of(child)
            if not found["name"]:
                found["name"] = label_of(child)
            if role == ROLE.COMBO_BOX:
                found["text"] = next((text_of(part) for _, part in children(child) if role_of(part) == "TEXT"), None)
                found["editable"] = STATE.EDITABLE in states
            nodes.append(found)
            if role in (ROLE.COMBO_BOX, ROLE.SPIN_BOX, ROLE.LABEL):
                continue
        if depth < DEEPEST:
            walk(desk, child, nodes, depth + 1)
