"""TDMS files of measurements, which LabVIEW writes: groups of channels."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synfab.common.errors import FileFormatError
from synfab.io.limits import one_line_errors
from synfab.io.memory import require_memory
from synfab.learn.readers.columns import quantity_of, split_name
from synfab.learn.readers.registry import Columns, register_format
from synfab.learn.readers.spreadsheet import joined

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

MAX_CHANNELS = 2**14
# Memory of a value while it is read: raw, scaled, in its table, and in the joined table.
VALUE_BYTES = 32
UNIT = "unit_string"  # property of a channel, by LabVIEW's convention


def read_tdms(path: Path, columns: Columns = None) -> pd.DataFrame:
    """Return the channels of the first group of measurements and of the groups with equal channels.

    Each group is a device, or a cycle if the groups are called Cycle 1, Run 2 and the like. The
    channels of a group are columns; their property ``unit_string`` is their unit. Channels with one
    value are properties of the measurement and are ignored, as is ``columns``.

    Raises
    ------
    FileFormatError
        It is damaged, has no channels, or the channels of a group differ in length.
    CapacityError
        It does not fit into memory.
    """
    from nptdms import TdmsFile

    # A file object: given a path, nptdms would trust an index file next to it.
    with (
        one_line_errors("damaged, or not a TDMS file"),
        _messages_logged(path),
        path.open("rb") as file,
        TdmsFile.open(file) as content,
    ):
        groups = content.groups()
        _check_size([channel for group in groups for channel in group.channels()])
        tables = {group.name: table for group in groups if (table := _table(group)) is not None}
    if not tables:
        raise FileFormatError("expected a group of channels with values, found none")
    return joined(tables, "groups")


def _check_size(channels: list[Any]) -> None:
    if len(channels) > MAX_CHANNELS:
        raise FileFormatError(f"expected up to {MAX_CHANNELS} channels, found {len(channels)}")
    require_memory(VALUE_BYTES * sum(map(len, channels)), "channels")


def _table(group: Any) -> pd.DataFrame | None:
    """Return the channels of a group as columns; None if none has several values."""
    import pandas as pd

    data = {_column(channel): channel[:] for channel in group.channels() if len(channel) > 1}
    lengths = {name: len(values) for name, values in data.items()}
    if len(set(lengths.values())) > 1:
        raise FileFormatError(
            f"group {group.name}: expected channels of equal length, found {lengths}"
        )
    return pd.DataFrame(data) if data else None


def _column(channel: Any) -> str:
    """Return the name of a channel with its unit, unless the name states one."""
    name, unit = str(channel.name), channel.properties.get(UNIT)
    stated = split_name(name)[1] if quantity_of(name) is not None else ""
    return name if stated or not isinstance(unit, str) or not unit else f"{name} [{unit}]"


@contextmanager
def _messages_logged(path: Path) -> Iterator[None]:
    """Log what nptdms prints, such as that the last values of an aborted recording are missing."""
    from nptdms.log import log_manager

    def logged(record: logging.LogRecord) -> bool:
        logger.warning("%s: %s", path, record.getMessage())
        return False

    handler = log_manager.console_handler
    handler.addFilter(logged)
    try:
        yield
    finally:
        handler.removeFilter(logged)


register_format("TDMS", read_tdms, suffixes=(".tdms",), packages=("nptdms",))
