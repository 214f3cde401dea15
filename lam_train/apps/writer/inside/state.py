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


def of_view(controller):
    """The view's settings and what the document remembers of editing, in a form that can be compared."""
    settings = controller.ViewSettings
    names = sorted(info.Name for info in settings.PropertySetInfo.Properties)
    return [(name, str(settings.getPropertyValue(name))) for name in names]
