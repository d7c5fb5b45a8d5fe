"""`Settings`: every knob of a system, from a file, the environment and arguments, checked once.

>>> settings = Settings(symbols="IBM, SPY", derived=["5m"], speed=60)
>>> settings.symbols, settings.speed, settings.upkeep.check_interval
(('IBM', 'SPY'), 60.0, datetime.timedelta(seconds=60))
>>> settings.origins()["speed"], settings.origins()["calendar"]
('argument', 'default')
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, reduce
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from backtape import knobs
from backtape.contradictions import contradiction
from backtape.errors import ConfigError
from backtape.layers import Given, Known, Layer, Name, argument_layer, environment_layer, file_layer
from backtape.settings_example import Knob, example

_FILE: Final = "_file"
_MINUTE: Final = datetime.timedelta(minutes=1)


class Upkeep(BaseModel):
    """What keeps the session data whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        default=True, description="whether gaps are filled, derived bars made and trailing history kept"
    )
    check_interval: knobs.SomeLength = Field(
        default=_MINUTE,
        description="how often gaps of fed streams are looked for and filled, in backtest time from the open on, and"
        " once more at the close",
    )
    retry_missing_bars: bool = Field(
        default=True,
        description="whether a second store that fails is asked again, and one that could not fill a gap of a fed"
        " stream at the next checks and at the close",
    )
    on_fill_failure: Literal["report", "raise"] = Field(
        default="report",
        description="what to do where the second store fails or contradicts the source: report it, or end the run",
    )


class Feeds(BaseModel):
    """The bounds of streams that are fed while the system runs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    idle_timeout: knobs.SomeLength = Field(
        default=_MINUTE,
        description="wall time without a row or a promise after which a fed stream is given up: a backtest fails and"
        " names it, a live session ends",
    )
    queue_rows: knobs.SomeCount = Field(
        default=100_000, description="rows that one fed stream may hold before its feeder waits"
    )
    queue_bytes: knobs.SomeCount = Field(
        default=256 * 2**20, description="bytes that all fed streams may hold; beyond it the run fails"
    )


class Settings(BaseSettings):
    """Every knob of a system. Frozen. `Settings.example()` tells them all, with units and defaults.

    Arguments win over the environment (`BACKTAPE_SPEED=60`, `BACKTAPE_UPKEEP__ENABLED=false`), which wins over the file
    of `Settings.load`. Tables are merged key by key. Lists may be written as words with commas between them.

    Raises:
        ConfigError: an unknown setting, a bad value, or settings that contradict each other.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", validate_default=False)

    # What is played
    source: knobs.Place | None = Field(
        default=None,
        description="where the market data are: a path or glob of Parquet files, or a URL. Relative paths count from"
        " the working directory",
        examples=["./sample"],
    )
    symbols: knobs.Symbols | None = Field(
        default=None, description="which symbols; without it all of the source", examples=[("IBM", "SPY")]
    )
    kinds: knobs.Kinds = Field(default=("bar",), description='what is played, of "bar", "quote" and "trade"')
    interval: knobs.SomeIntervals = Field(
        default=("1m",),
        description='which bars of the source: "1m", "1s" or both. Longer ones are asked for as derived',
    )
    start: knobs.When | None = Field(
        default=None,
        description="first session (a date), or the time from which on events are new (rows of its session that were"
        " known before it are delivered first, as catch-up). A time without a zone is the exchange's; without a start"
        " all of the source is played",
        examples=[datetime.date(2025, 11, 24)],
    )
    end: knobs.When | None = Field(
        default=None,
        description="last session (a date, included), or a time, excluded",
        examples=[datetime.date(2025, 11, 28)],
    )
    calendar: knobs.CalendarName = Field(
        default="XNYS", description='any calendar of exchange_calendars, such as "XNYS", "XHKG", "CMES", "24/7"'
    )
    hours: Literal["regular", "all"] = Field(
        default="regular",
        description='"regular": what lies within trading hours and grace; "all": every row, marked where irregular',
    )
    grace: knobs.Length | None = Field(
        default=None,
        description='how far past the close rows are taken, a length of time such as "1m", or 0; without it that of'
        " the calendar",
        examples=["1m"],
    )
    session_start: knobs.TimeOfDay | None = Field(
        default=None,
        description="a later open for every session, on the exchange's clock; without it the calendar's",
        examples=[datetime.time(9, 45)],
    )
    session_end: knobs.TimeOfDay | None = Field(
        default=None,
        description="an earlier close for every session, on the exchange's clock; without it the calendar's",
        examples=[datetime.time(15, 30)],
    )
    speed: knobs.Speed = Field(
        default=0.0, description="0: as fast as events are taken; else a multiple of real time, 60 is a minute a second"
    )

    # What is made of it
    derived: knobs.Intervals = Field(
        default=(), description='longer bars to make from the finest ones, such as ["5m", "15m"]'
    )
    history: knobs.Count = Field(default=0, description="trailing days, in sessions, whose bars are kept for reading")
    history_intervals: knobs.Intervals = Field(
        default=(), description='which bars of the trailing days, such as ["1m", "5m"]; empty: the finest ones'
    )
    fill: knobs.Place | None = Field(
        default=None,
        description='a second source, from which missing bars are filled; "flat": none, but flat bars',
        examples=["./second"],
    )
    flat_limit: knobs.SomeLength | None = Field(
        default=None,
        description="how much of each gap is bridged with flat bars, marked and in no derived bar; none by default,"
        ' with fill = "flat" five minutes',
        examples=["5m"],
    )
    splits: knobs.Place | None = Field(
        default=None,
        description="a table of splits, CSV or Parquet with columns symbol, date and ratio (new shares for an old one):"
        " the bars of trailing days are adjusted to the terms of the day that plays",
        examples=["./splits.csv"],
    )
    strategies: knobs.Strategies = Field(
        default=(), description='strategies that run on the stream, as "module:Class" each'
    )

    # How the source is written
    label: Literal["start", "end"] = Field(
        default="start", description="which end of its interval the stamp of a bar marks in the source"
    )
    zone: knobs.ZoneName | None = Field(
        default=None, description="time zone of stamps that have none", examples=["America/New_York"]
    )
    unit: Literal["s", "ms", "us", "ns"] | None = Field(
        default=None, description="unit of stamps that are plain integers", examples=["ns"]
    )
    price_scale: knobs.Scale = Field(default=1.0, description="what stored prices are multiplied by")
    columns: knobs.Columns = Field(
        default={}, description="our name = the name in the source, where they differ", examples=[{"price": "last"}]
    )
    on_bad_rows: Literal["raise", "quarantine"] = Field(
        default="raise", description='"raise": stop at the first bad row; "quarantine": leave bad rows out, count them'
    )
    on_label: Literal["raise", "warn", "ignore"] = Field(
        default="raise", description="what to do where the stamps of bars contradict label"
    )

    # How it is read
    prefetch: bool = Field(default=True, description="whether the next session is loaded while the current one plays")
    chunk_rows: knobs.SomeCount | None = Field(
        default=None,
        description="events that are planned at a time; the stream does not depend on it",
        examples=[8_192],
    )
    repository_timeout: knobs.Seconds = Field(
        default=60.0, description="seconds that a source may take for an answer; 0: wait for ever"
    )

    upkeep: Upkeep = Field(default=Upkeep(), description="what keeps the session data whole")
    feeds: Feeds = Field(default=Feeds(), description="the bounds of streams that are fed while the system runs")

    _given: dict[Name, Given] = PrivateAttr(default_factory=dict)

    def __init__(self, **arguments: object) -> None:
        file = arguments.pop(_FILE, Layer())
        assert isinstance(file, Layer), "only load() hands over a file"
        self._fill(file, arguments)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **arguments: object) -> Settings:
        """Return the settings of a TOML file, under those of the environment and the arguments.

        Raises:
            ConfigError: the file cannot be read or is no TOML; an unknown setting, a bad value, or settings that
                contradict each other. It names the setting as it was written, the value and the place.
        """
        return cls(**{_FILE: file_layer(Path(path), _known())}, **arguments)

    def _fill(self, file: Layer, arguments: Mapping[str, object]) -> None:
        """Merge the layers, check each value, then all of them together."""
        plain = {name: _plain(value) for name, value in arguments.items()}
        layers = [argument_layer(plain, _known()), environment_layer(os.environ, _known()), file]
        given = {name: one for layer in reversed(layers) for name, one in layer.given.items()}
        try:
            super().__init__(_layers=layers)
        except ValidationError as error:
            raise _refused(error, given) from None
        self._given = given
        if found := contradiction(self, self._tell):
            name, why = found
            one = given.get(tuple(name.split(".")))
            raise ConfigError(
                why,
                setting=one.written if one else name,
                value=one.value if one else getattr(self, name),
                origin=one.origin if one else "default",
            )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the layers know where a value was written
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the layers, the strongest first."""
        assert isinstance(init_settings, InitSettingsSource), "pydantic-settings hands over what it was given"
        layers: Sequence[Layer] = init_settings.init_kwargs["_layers"]
        return tuple(InitSettingsSource(settings_cls, init_kwargs=layer.nested()) for layer in layers)

    def __eq__(self, other: object) -> bool:
        """Whether all values are equal, wherever they are from."""
        return isinstance(other, Settings) and self.__dict__ == other.__dict__

    def __repr_args__(self) -> Iterator[tuple[str | None, object]]:
        """What `repr` and `str` show: all values, without the passwords of URLs."""
        for name, value in super().__repr_args__():
            yield name, knobs.without_passwords(value) if isinstance(value, str) else value

    def origins(self) -> dict[str, str]:
        """Return for each knob where its value is from: "default", "argument", "environment NAME" or "file PATH".

        Knobs of tables are named with a dot, "upkeep.enabled".
        """
        origins: dict[str, str] = {}
        for knob in _knobs():
            own = sorted(name for name in self._given if name[: len(knob.name)] == knob.name)
            for name in own or [knob.name]:
                origins[".".join(name)] = self._given[name].origin if own else "default"
        return origins

    @staticmethod
    def example() -> str:
        """Return a TOML file with every knob, its meaning and its default; `Settings.load` takes it as it is."""
        tables = [(name, info.description or "") for name, info in _fields(Settings) if _is_table(info)]
        return example(_knobs(), tables)

    def _tell(self, name: str) -> str:
        """Say what a knob is, and where that is written."""
        given = self._given.get(tuple(name.split(".")))
        if given is not None:
            return str(given)
        value = reduce(getattr, name.split("."), self)
        return f"{name} is {knobs.text_of(value) or 'not given'} (default)"


def _fields(model: type[BaseModel]) -> list[tuple[str, FieldInfo]]:
    return list(model.model_fields.items())


def _is_table(info: FieldInfo) -> bool:
    return isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)


@cache
def _knobs() -> tuple[Knob, ...]:
    """All knobs in the order in which they are declared, those of tables last."""
    found: list[Knob] = []
    for name, info in _fields(Settings):
        of_table = _fields(type(info.default)) if _is_table(info) else []
        found += [_knob((name, inner), field) for inner, field in of_table] or [_knob((name,), info)]
    return tuple(found)


def _knob(name: Name, info: FieldInfo) -> Knob:
    return Knob(name, info.description or "", info.default, info.examples[0] if info.examples else None)


@cache
def _known() -> Known:
    return Known(
        knobs=frozenset(knob.name for knob in _knobs() if not isinstance(knob.default, Mapping)),
        open_tables=frozenset(knob.name[0] for knob in _knobs() if isinstance(knob.default, Mapping)),
        optional=frozenset(knob.name for knob in _knobs() if knob.default is None),
        lists=frozenset(knob.name for knob in _knobs() if isinstance(knob.default, tuple) or knob.name == ("symbols",)),
    )


def _plain(value: object) -> object:
    """A table that is given as settings have it, as a dict."""
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value


def _refused(error: ValidationError, given: Mapping[Name, Given]) -> ConfigError:
    """The first fault in our words: the setting as it was written, its value and place, and what would do."""
    faults = [
        (next(one for size in (2, 1) if (one := given.get(tuple(map(str, fault["loc"][:size])))) is not None), fault)
        for fault in error.errors(include_url=False)
    ]
    first, fault = faults[0]
    cause = fault.get("ctx", {}).get("error")
    why = str(cause) if cause else str(fault["msg"]).replace("Input should be", "it must be", 1)
    others = ", ".join(sorted({one.written for one, _ in faults} - {first.written}))
    text = f"{first}: {why}" + (f"; {others} cannot be used either" if others else "")
    kind, facts = (type(cause), cause.facts) if isinstance(cause, ConfigError) else (ConfigError, {})
    return kind(text, **{**facts, "setting": first.written, "value": first.value, "origin": first.origin})
