"""What the two SQLite files, the store and the knowledge, have in common."""

from __future__ import annotations

from pathlib import Path


def set_aside(path: Path) -> Path:
    """Rename a store that nobody has open, over the one that was set aside before; returns its new name."""
    aside = path.with_name(path.name + ".unreadable")
    for suffix in ("", "-wal", "-shm"):
        source, target = Path(f"{path}{suffix}"), Path(f"{aside}{suffix}")
        target.unlink(missing_ok=True)
        if source.exists():
            source.rename(target)
    return aside
