"""Where things are: the dbt project, the warehouse, the extensions that come with pip."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from exporter.errors import UsageError, WarehouseError

_PACKAGE = Path(__file__).resolve().parent


def project_dir(chosen: Path | None = None) -> Path:
    """Return the folder that holds dbt_project.yml.

    Args:
        chosen: the analyst's own copy (``--project-dir``); without it, DOCSTOKG_PROJECT_DIR,
            then the checkout this package runs from, then the copy inside the wheel.

    Raises:
        UsageError: the folder holds no dbt project.
    """
    named = chosen or (Path(p) if (p := os.environ.get("DOCSTOKG_PROJECT_DIR")) else None)
    if named is not None:
        if not (named / "dbt_project.yml").is_file():
            raise UsageError(
                f"{named} holds no dbt_project.yml: name the folder of a DocsToKG telemetry project"
            )
        return named.resolve()
    for folder in (_PACKAGE.parent, _PACKAGE / "_project"):
        if (folder / "dbt_project.yml").is_file():
            return folder
    raise UsageError("no dbt project beside this package: reinstall it, or use --project-dir")


def warehouse_dir() -> Path:
    """Return the warehouse folder: DOCSTOKG_WAREHOUSE, or one in the project that git ignores.

    An installed wheel has no project folder of its own to write to; there it is
    ``docstokg-telemetry`` in the user's data folder (XDG_DATA_HOME).
    """
    if named := os.environ.get("DOCSTOKG_WAREHOUSE"):
        return Path(named).expanduser().resolve()
    if (_PACKAGE.parent / "dbt_project.yml").is_file():
        return _PACKAGE.parent / "warehouse"
    data_home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data_home) / "docstokg-telemetry"


def catalog() -> str:
    """Return where the warehouse's catalog is, as DuckLake names it: ``KIND:PLACE``.

    DOCSTOKG_CATALOG, such as ``postgres:host=db dbname=telemetry``; by default a SQLite file in
    the warehouse folder, which serves one machine.

    Raises:
        UsageError: the variable names neither PostgreSQL nor SQLite.
    """
    named = os.environ.get("DOCSTOKG_CATALOG") or f"sqlite:{warehouse_dir()}/catalog.sqlite"
    if not named.startswith(("sqlite:", "postgres:")):
        # not the whole value: it may hold a password
        kind = named.split(":", 1)[0][:20]
        raise UsageError(
            f"DOCSTOKG_CATALOG names {kind!r}: give sqlite:FILE or postgres:host=… dbname=…"
        )
    return named


def data_path() -> str:
    """Return where the warehouse's Parquet files are, with a slash at the end.

    DOCSTOKG_DATA_PATH, a folder or ``s3://BUCKET/PREFIX/``; by default beside the catalog.
    """
    named = os.environ.get("DOCSTOKG_DATA_PATH") or str(warehouse_dir() / "data")
    if "://" not in named:
        named = str(Path(named).expanduser().resolve())
    return f"{named.rstrip('/')}/"


def extensions() -> list[str]:
    """Return the DuckDB extensions that the warehouse needs, the ones for files included."""
    needed = ["sqlite_scanner", "ducklake"]
    if catalog().startswith("postgres:"):
        needed.append("postgres_scanner")
    if "://" in data_path():
        needed.append("httpfs")
    return needed


def extension_path(name: str) -> Path:
    """Return the DuckDB extension file that a PyPI wheel brought, so that LOAD needs no network.

    Args:
        name: the extension's name with underscores, such as ``sqlite_scanner``.

    Raises:
        WarehouseError: the wheel is not installed.
    """
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(folder).glob("extensions/**/*.duckdb_extension")):
            return file
    wheel = f"duckdb-extension-{name.replace('_', '-')}"
    if name in ("postgres_scanner", "httpfs"):
        wheel = "'docstokg-telemetry[shared]'"
    raise WarehouseError(f"DuckDB extension {name} is not installed: pip install {wheel}")
