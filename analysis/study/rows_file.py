"""All rows of a study as a file for other programs: what `Study.history` holds, as Parquet.

write_rows(study, folder / "rows.parquet")      # pd.read_parquet gives the table back
"""

from __future__ import annotations

import io
from pathlib import Path

from analysis.study.load import Study
from ch6dist.storage.atomic import replace_file


def write_rows(study: Study, path: Path) -> None:
    """Write the rows of a study as a Parquet file, in one step. OSError where that is impossible."""
    content = io.BytesIO()
    study.history.to_parquet(content, index=False, compression="zstd")
    replace_file(path, content.getbuffer())
