"""Executes the notebooks in order and keeps the outputs that nbval compares: `python -m
tests.refresh_notebooks`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
import papermill
from nbformat import NotebookNode

from tests.notebook_sandbox import notebook_sandbox

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"

#: nbval's own tag: in a lax run, only these cells' outputs are compared.
COMPARED = "nbval-check-output"


def main() -> None:
    with notebook_sandbox(), tempfile.TemporaryDirectory() as folder:
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            print(path.name, file=sys.stderr)
            executed = papermill.execute_notebook(
                path,
                Path(folder) / path.name,
                kernel_name="python3",
                progress_bar=False,
                store_widget_state=False,
                extra_arguments=["--log-level=ERROR"],
            )
            nbformat.write(refreshed(nbformat.read(path, as_version=4), executed), path)


def refreshed(source: NotebookNode, executed: NotebookNode) -> NotebookNode:
    """The source with the outputs of its compared cells, and nothing else that an execution
    leaves.
    """
    outputs = {cell.id: cell.outputs for cell in executed.cells if cell.cell_type == "code"}
    for number, cell in enumerate(
        (cell for cell in source.cells if cell.cell_type == "code"), start=1
    ):
        kept = outputs[cell.id] if COMPARED in cell.metadata.get("tags", []) else []
        cell.outputs = [_plain(output, number) for output in kept]
        cell.execution_count = number if kept else None  # nbval wants one where there is an output
    for cell in source.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = NotebookNode({"tags": tags} if tags else {})
    source.metadata = NotebookNode(
        kernelspec={
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "name": "python3",
        },
        language_info={"name": "python"},
    )
    return source


def _plain(output: NotebookNode, number: int) -> NotebookNode:
    if "execution_count" in output:
        output.execution_count = number
    if "metadata" in output:
        output.metadata = NotebookNode()
    return output


if __name__ == "__main__":
    main()
