"""The verbs with which tasks and steps of user documentation begin, and their gerunds.

A closed list, not a tagger: documentation of desktop applications draws on few verbs, a list is the
same on every machine, and what it misses is counted ("not instructions", "no task") where one can look.
"""

import re


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


VERBS = word_set("""
    accept access accomplish acknowledge activate add adjust adopt align allocate allow alter analyze anchor animate
    answer append apply approve archive arrange ask assign associate attach authenticate authorize automate avoid
    back balance become begin bind block blur book boot break bring browse build burn calculate calibrate cancel
    capture cast categorize center centre change chat check choose cite clean clear click click-and-drag clone close
    collapse collect color colour combine comment compare compile complete compose compress configure confirm
    connect consider contact continue contribute control convert copy correct count create crop ctrl-click customise
    customize cut deactivate debug decide decompress decrease decrypt define delegate delete demote desaturate
    deselect design detach determine dial disable discard disconnect dismiss display distribute divide do dock
    double-click download drag draw drop duplicate edit eject email embed emphasize empty enable encrypt end enlarge
    ensure enter erase establish evaluate examine exchange exclude execute exit expand explore export extend extract
    fetch fill filter find finish fit fix flash flip focus fold follow force format forward freeze generate get give
    go grant group grow handle have hide highlight hold hover identify ignore import improve include increase indent
    index insert inspect install interrupt invert invite join jump justify keep label launch layer leave left-click
    let limit link list listen load locate lock log look lower magnify mail maintain make manage map mark mask match
    maximise maximize measure merge middle-click minimise minimize mirror modify monitor mount move mute name
    navigate number obtain open organise organize outline override overwrite paint pair pan paste pause perform
    personalize pick pin place plan play plot plug point position post precede prepare press prevent preview print
    proceed process produce program promote protect provide publish pull push put query quit raise rate read
    rearrange receive recolor record recover redo reduce refer refine refresh register reject release reload
    remember remove rename renew reorder reorganize repair repeat replace reply report repost request require reset
    resize resolve restart restore restrict resume retrieve retry return reuse reveal reverse revert review revoke
    right-click right-drag rotate run save scale scan schedule scroll search secure see select send separate set
    share sharpen shift shift-click shorten show shrink shuffle shut sign skip solve sort specify speed spell spin
    split stack start stop store stretch submit subscribe substitute summarise summarize suspend swap swipe switch
    sync synchronize take tap tell test tick toggle track transfer transform translate transpose trigger trim
    triple-click troubleshoot try turn type uncheck uncompress underline undo unfreeze ungroup uninstall unlock
    unmark unmerge unmount unplug unselect unsubscribe untick unzip update upgrade upload use validate verify view
    visit wait watch widen work wrap write zip zoom
""")

# Words with which a step may begin before its verb: "Optionally, choose…", "In the dialog, select…".
OPENINGS = word_set("""
    above after again also as at before below by during either finally first for from if in inside just next now on
    once optionally please simply then to under unless until using when while with within
""")

_DOUBLED = word_set("""
    begin chat crop cut drag drop fit flip forget get hit let log map pan pin plot plug program put quit refer reset
    run scan set ship shut skip snap spin split step stop submit swap tap transfer trim unplug unzip wrap zip
""")


def gerund(verb: str) -> str:
    """`verb` with -ing: "insert" -> "inserting", "save" -> "saving", "set" -> "setting"."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    if verb in _DOUBLED:
        return verb + verb[-1] + "ing"
    return verb + "ing"


VERB_OF_GERUND = {gerund(verb): verb for verb in sorted(VERBS)} | {"labelling": "label", "cancelling": "cancel"}

_FIRST_WORD = re.compile(r"[^A-Za-z]*([A-Za-z]+(?:-[A-Za-z]+)*)")


def first_word(text: str) -> str:
    """The first word, in lower case, without what stands around it."""
    match = _FIRST_WORD.match(text)
    return match.group(1).lower() if match else ""


def is_instruction(step: str) -> bool:
    """Whether a step tells the user to do something."""
    word = first_word(step)
    if word in VERBS:
        return True
    if word in OPENINGS:
        return any(other.lower().strip("“”\"'(),.:;") in VERBS for other in step.split()[1:40])
    return word.endswith("ly") and any(other.lower() in VERBS for other in step.split()[1:4])
