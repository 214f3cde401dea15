"""What a document and its view are, as a digest: two that have the same look and save the same."""

import hashlib
import zipfile

VOLATILE = ("docProps/",)  # dates, editing time, counts of revisions


def of_file(path):
    """Digest of a .docx file's parts."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.startswith(VOLATILE):
                digest.update(name.encode() + b"\0" + archive.read(name) + b"\0")
    return digest.hexdigest()


CONTEXTUAL = ("table", "num", "frame", "graphic", "draw", "bezier", "media", "ole", "fontwork", "extrusion", "form")


def of_view(controller):
    """The view's settings, and which bars show but for those that come and go with the cursor; can be compared."""
    settings = controller.ViewSettings
    names = sorted(info.Name for info in settings.PropertySetInfo.Properties)
    view = [[name, str(settings.getPropertyValue(name))] for name in names]
    layout = controller.Frame.LayoutManager
    for bar in layout.getElements():
        name = bar.ResourceURL.rpartition("/")[2]
        if not name.startswith(CONTEXTUAL) and layout.isElementVisible(bar.ResourceURL):
            view.append([name, "True"])
    return sorted(view)
