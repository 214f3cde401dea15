"""The notebook runs as it stands, from the first cell to the last."""

import re

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT


@pytest.mark.timeout(2400)
def test_every_cell_runs_and_the_model_learns(tmp_path):
    notebook = nbformat.read(ROOT / "notebooks" / "fine_tune.ipynb", as_version=4)
    there = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=there).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    told = ["".join(output.get("text", "") for output in cell.outputs) for cell in cells]
    first, last = re.search(r"loss (\S+) → (\S+) in \d+ steps", "".join(told)).groups()
    assert float(last) < 0.8 * float(first)
    assert (tmp_path / "runs" / "fine_tune" / "model" / "config.json").exists()
    assert any("1. " in text for text in told[-2:-1]), told[-2]  # the plan for the reader's own request
    assert len(list((tmp_path / "runs" / "phase1").glob("*/model/config.json"))) == 1  # of the reader's own data
