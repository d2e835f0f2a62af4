from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wirework.errors import SettingsError
from wirework.settings import Settings

FLAGS = ["websocket", "debug", "compression", "require_origin"]
SIZES = ["max_message_size", "max_body_size", "compression_threshold"]
SIZES += ["inbox_bytes", "outbox_bytes", "max_header_bytes", "byte_rate", "byte_burst"]
COUNTS = ["inbox_frames", "outbox_frames", "session_max_age", "max_header_count", "message_burst"]
COUNTS += ["max_connections", "max_connections_per_address", "max_connections_per_user"]
COUNTS += ["max_unauthenticated"]
SECONDS = ["write_stall_timeout", "handshake_timeout", "handler_timeout"]
SECONDS += ["drain_timeout"]
RATES = ["message_rate", "handshake_rate", "handshake_rate_per_address"]


def from_environ(**variables: str) -> Settings:
    return Settings.load(environ={f"WIREWORK_{name}": text for name, text in variables.items()})


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def error_of(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        Settings.load(path, environ={})
    return str(caught.value).replace(str(path), path.name)


def test_without_any_source_the_defaults_of_the_design_hold() -> None:
    settings = Settings.load(environ={})
    assert settings == Settings()
    assert settings.websocket is True
    assert settings.max_message_size == 65536
    assert (settings.outbox_frames, settings.outbox_bytes) == (1000, 1024 * 1024)
    assert settings.overflow == "close"
    assert (settings.write_stall_timeout, settings.handshake_timeout) == (5.0, 10.0)
    assert settings.session_max_age == 14 * 24 * 60 * 60


def test_arguments_win_over_environment_over_file_over_default(tmp_path: Path) -> None:
    path = write(tmp_path, "w.toml", "inbox_frames = 2\noutbox_frames = 2\nmax_message_size = 2")
    environ = {"WIREWORK_INBOX_FRAMES": "3", "WIREWORK_OUTBOX_FRAMES": "3"}
    settings = Settings.load(path, environ, inbox_frames=4)
    assert settings.inbox_frames == 4
    assert settings.outbox_frames == 3
    assert settings.max_message_size == 2
    assert settings.inbox_bytes == Settings().inbox_bytes


def test_load_reads_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIREWORK_SESSION_COOKIE", "sid")
    assert Settings.load().session_cookie == "sid"


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises(AttributeError):
        Settings().debug = True  # type: ignore[misc]


def test_the_secret_key_is_in_no_repr_and_no_error() -> None:
    settings = Settings(secret_key="hush hush")
    assert settings.secret_key == "hush hush"
    assert "hush" not in repr(settings)
    assert "hush" not in repr(settings.__rich_repr__())
    with pytest.raises(SettingsError) as caught:
        Settings.of({"secret_key": b"hush hush"})
    message = "secret_key: expected a str that is not empty, or None, got a bytes"
    assert str(caught.value) == f"{message} (from an argument)"


def test_an_unknown_argument_names_the_nearest_known_one() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ={}, max_mesage_size=1)
    expected = (
        "unknown setting max_mesage_size (from an argument); "
        "the nearest known one is max_message_size"
    )
    assert str(caught.value) == expected


def test_an_unknown_name_is_an_error_however_it_is_given() -> None:
    unknown: Any = {"max_mesage_size": 1}
    with pytest.raises(TypeError, match="Unexpected keyword argument 'max_mesage_size'"):
        Settings(**unknown)
    for make in (Settings.of, lambda names: Settings().replace(**names)):
        with pytest.raises(SettingsError, match="the nearest known one is max_message_size"):
            make(unknown)


def test_an_unknown_variable_names_the_nearest_known_one() -> None:
    with pytest.raises(SettingsError) as caught:
        from_environ(ALLOWED_ORIGIN="https://a.example")
    expected = (
        "unknown setting WIREWORK_ALLOWED_ORIGIN (from the environment); "
        "the nearest known one is WIREWORK_ALLOWED_ORIGINS"
    )
    assert str(caught.value) == expected


def test_an_unknown_key_in_a_file_names_the_file_and_the_nearest_known_one(tmp_path: Path) -> None:
    path = write(tmp_path, "w.toml", "web_socket = true")
    expected = "unknown setting web_socket (from w.toml); the nearest known one is websocket"
    assert error_of(path) == expected


def test_variables_of_others_are_ignored() -> None:
    assert Settings.load(environ={"PATH": "/bin", "WIREWORKS_X": "1"}) == Settings()


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("true", True), ("YES", True), (" on ", True), ("1", True)],
        *[("false", False), ("No", False), ("off", False), ("0", False)],
    ],
)
def test_flags_in_the_environment_are_words(name: str, text: str, value: bool) -> None:
    assert getattr(from_environ(**{name.upper(): text}), name) is value


@pytest.mark.parametrize(
    ("text", "value"), [("Auto", "auto"), ("yes", True), ("0", False), (" auto ", "auto")]
)
def test_a_flag_may_leave_it_to_wirework(text: str, value: bool | str) -> None:
    assert from_environ(SESSION_HTTPS_ONLY=text).session_https_only == value


@pytest.mark.parametrize("wrong", ["automatic", 1, None, "true"])
def test_what_is_neither_a_flag_nor_auto_is_refused(wrong: object) -> None:
    with pytest.raises(SettingsError, match="expected true, false or auto"):
        Settings.of({"session_https_only": wrong})


@given(
    name=st.sampled_from(SIZES),
    number=st.integers(1, 2**31),
    unit=st.sampled_from([("", 1), ("KiB", 2**10), (" mib", 2**20), ("GIB", 2**30)]),
)
def test_sizes_in_the_environment_may_carry_a_unit(
    name: str, number: int, unit: tuple[str, int]
) -> None:
    suffix, factor = unit
    settings = from_environ(**{name.upper(): f"{number}{suffix}"})
    assert getattr(settings, name) == number * factor


@given(name=st.sampled_from(COUNTS), number=st.integers(1, 2**62))
def test_counts_in_the_environment_are_whole_numbers(name: str, number: int) -> None:
    assert getattr(from_environ(**{name.upper(): str(number)}), name) == number


@given(name=st.sampled_from(SECONDS), seconds=st.floats(1e-6, 1e6))
def test_seconds_in_the_environment_are_numbers(name: str, seconds: float) -> None:
    assert getattr(from_environ(**{name.upper(): repr(seconds)}), name) == seconds


@given(seconds=st.floats(0, 25))
def test_closes_may_be_spread_over_no_time_or_as_much_as_handlers_have(seconds: float) -> None:
    seconds = 0.0 if seconds < 1e-6 else seconds
    assert from_environ(DRAIN_SPREAD=repr(seconds)).drain_spread == seconds


def test_closes_cannot_be_spread_over_more_than_handlers_have() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load(environ={}, drain_spread=3.0, drain_timeout=2.0)
    assert str(caught.value) == "drain_spread: expected at most drain_timeout (2.0 s), got 3.0"
    assert Settings(drain_timeout=2.0).drain_timeout == 2.0


@pytest.mark.parametrize("value", [-1, False, "0"])
def test_a_time_to_spread_closes_over_is_zero_or_more(value: object) -> None:
    with pytest.raises(SettingsError, match=r"drain_spread: expected a number of seconds >= 0"):
        Settings.load(environ={}, drain_spread=value)


@given(name=st.sampled_from(RATES), rate=st.floats(0.001, 1e9))
def test_rates_in_the_environment_are_numbers(name: str, rate: float) -> None:
    assert getattr(from_environ(**{name.upper(): repr(rate)}), name) == rate


@pytest.mark.parametrize("name", ["max_connections", "max_unauthenticated"])
@pytest.mark.parametrize(("text", "value"), [("auto", "auto"), (" AUTO ", "auto"), ("none", None)])
def test_some_limits_may_be_worked_out_or_left_away(
    name: str, text: str, value: str | None
) -> None:
    assert getattr(from_environ(**{name.upper(): text}), name) == value


def test_proxies_and_their_headers_are_lists() -> None:
    settings = from_environ(
        TRUSTED_PROXIES="10.0.0.5, fd00::/8,unix", PROXY_HEADERS="X-Forwarded-For"
    )
    assert settings.trusted_proxies == ("10.0.0.5", "fd00::/8", "unix")
    assert settings.proxy_headers == ("x-forwarded-for",)


@pytest.mark.parametrize("entry", ["*", "0.0.0.0/0", "::/0", "10.0.0.5/8", "proxy", "", 5, None])
def test_what_is_no_proxy_or_everybody_is_refused(entry: Any) -> None:
    for value in ((entry,), entry):
        with pytest.raises(SettingsError, match=r"trusted_proxies: expected .* or /0, with which"):
            Settings(trusted_proxies=value)


@pytest.mark.parametrize("names", ["forwarded", ["x-real-ip"], ["forwarded", 5], None])
def test_what_is_no_list_of_proxy_headers_is_refused(names: Any) -> None:
    with pytest.raises(SettingsError, match="proxy_headers: expected a list of forwarded, x-for"):
        Settings(proxy_headers=names)


@given(
    name=st.sampled_from(sorted(set(Settings.__struct_fields__) - {"secret_key"})),
    text=st.text(max_size=20),
)
def test_any_text_in_the_environment_is_a_value_that_fits_or_a_settings_error(
    name: str, text: str
) -> None:
    try:
        settings = from_environ(**{name.upper(): text})
    except SettingsError as error:
        message = str(error)
    else:
        assert Settings.of({name: getattr(settings, name)}) == settings
        return
    assert message.startswith(f"{name}: expected ")
    assert message.endswith(f"(from WIREWORK_{name.upper()})")


@pytest.mark.parametrize("text", ["", "none", "None"])
def test_none_in_the_environment_is_the_word_or_nothing(text: str) -> None:
    settings = from_environ(SESSION_MAX_AGE=text, SESSION_DOMAIN=text)
    assert settings.session_max_age is None
    assert settings.session_domain is None


def test_an_empty_secret_key_in_the_environment_is_none() -> None:
    assert from_environ(SECRET_KEY="").secret_key is None
    assert from_environ(SECRET_KEY="k").secret_key == "k"


def test_origins_in_the_environment_are_separated_by_commas() -> None:
    settings = from_environ(ALLOWED_ORIGINS="https://a.example, http://b.example:8080 ,")
    assert settings.allowed_origins == ("https://a.example", "http://b.example:8080")
    assert from_environ(ALLOWED_ORIGINS="").allowed_origins == ()
    every = ("*", "null", "https://*.a.example")
    assert from_environ(ALLOWED_ORIGINS=",".join(every)).allowed_origins == every


def test_a_wrong_value_says_expected_and_got_and_where_it_came_from() -> None:
    with pytest.raises(SettingsError) as caught:
        from_environ(MAX_MESSAGE_SIZE="-5")
    expected = "max_message_size: expected an int >= 1, got -5 (from WIREWORK_MAX_MESSAGE_SIZE)"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("websocket", "yes", "true or false"),
        ("debug", 1, "true or false"),
        ("json", "", "a name"),
        ("max_message_size", 0, "an int >= 1"),
        ("max_message_size", "64 KiB", "an int >= 1"),
        ("inbox_frames", True, "an int >= 1"),
        ("inbox_frames", 1.5, "an int >= 1"),
        ("overflow", "wait", "'close' or 'drop_oldest' or 'drop_newest' or 'latest'"),
        ("overflow", ["close"], "'close' or 'drop_oldest' or 'drop_newest' or 'latest'"),
        ("write_stall_timeout", 0, "a number of seconds > 0 and <= 10 years"),
        ("write_stall_timeout", math.inf, "a number of seconds > 0 and <= 10 years"),
        ("handshake_timeout", math.nan, "a number of seconds > 0 and <= 10 years"),
        ("handshake_timeout", 10**400, "a number of seconds > 0 and <= 10 years"),
        ("handshake_timeout", True, "a number of seconds > 0 and <= 10 years"),
        ("message_rate", 0, "a number a second, 0.001 at least, or none"),
        ("message_rate", math.nan, "a number a second, 0.001 at least, or none"),
        ("message_rate", 10**400, "a number a second, 0.001 at least, or none"),
        ("handshake_rate", True, "a number a second, 0.001 at least, or none"),
        ("byte_rate", 0.5, "an int >= 1, or none"),
        ("max_connections", 0, "an int >= 1, or auto, or none"),
        ("max_connections", "all", "an int >= 1, or auto, or none"),
        ("max_connections_per_user", "auto", "an int >= 1, or none"),
        ("auth_refusal", "drop", "'status' or 'close'"),
        ("session_cookie", "a b", "a cookie name (RFC 6265 token)"),
        ("session_max_age", 0, "an int >= 1, or none"),
        ("session_path", "chat", "a path that begins with /"),
        ("session_path", "/; Secure", "a path that begins with /"),
        ("session_domain", "a.example; Path=/", "a domain name, or none"),
        ("session_same_site", "Lax", "'lax' or 'strict' or 'none'"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(name: str, value: Any, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings(**{name: value})
    assert str(caught.value).startswith(f"{name}: expected {expected}, got ")


@pytest.mark.parametrize(
    "origins",
    [
        *["https://a.example", ["a.example"], ["https://a.example/"], ["https://a.example/x"]],
        *[[""], ["https://user@a.example"], ["https://a.example "], [1], None],
    ],
)
def test_what_is_not_a_list_of_origins_is_refused(origins: Any) -> None:
    with pytest.raises(SettingsError, match="expected a list of origins such as"):
        Settings(allowed_origins=origins)


def test_values_are_kept_in_the_types_that_the_fields_declare() -> None:
    settings = Settings.of({"allowed_origins": ["https://a.example"], "handshake_timeout": 3})
    assert settings.allowed_origins == ("https://a.example",)
    assert isinstance(settings.handshake_timeout, float)


def test_replace_changes_what_it_names_and_checks_it() -> None:
    settings = Settings(secret_key="k", inbox_frames=2)
    changed = settings.replace(inbox_frames=3)
    assert (changed.inbox_frames, changed.secret_key) == (3, "k")
    assert settings.inbox_frames == 2
    with pytest.raises(SettingsError, match="expected an int >= 1, got 0"):
        settings.replace(inbox_frames=0)
    with pytest.raises(SettingsError, match="the nearest known one is inbox_frames"):
        settings.replace(inbox_frame=1)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.toml", "debug = true\nallowed_origins = ['https://a.example']"),
        ("w.toml", "[other]\nx = 1\n[wirework]\ndebug = true\n"
         "allowed_origins = ['https://a.example']"),
        ("pyproject.toml", "[project]\nname = 'x'\n[tool.wirework]\ndebug = true\n"
         "allowed_origins = ['https://a.example']"),
        ("w.json", '{"debug": true, "allowed_origins": ["https://a.example"]}'),
        ("w.json", '\ufeff{"wirework": {"debug": true, "allowed_origins": ["https://a.example"]}}'),
    ],
)  # fmt: skip
def test_a_file_is_toml_or_json_and_may_hold_other_tables(
    tmp_path: Path, name: str, text: str
) -> None:
    settings = Settings.load(write(tmp_path, name, text), environ={})
    assert settings == Settings(debug=True, allowed_origins=("https://a.example",))


def test_a_pyproject_without_our_table_leaves_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "pyproject.toml", "[project]\nname = 'x'")
    assert Settings.load(path, environ={}) == Settings()


def test_toml_says_none_with_the_word_and_json_with_null(tmp_path: Path) -> None:
    toml = write(tmp_path, "w.toml", 'session_max_age = "none"')
    assert Settings.load(toml, environ={}).session_max_age is None
    null = write(tmp_path, "w.json", '{"session_max_age": null}')
    assert Settings.load(null, environ={}).session_max_age is None


def test_a_setting_beside_the_wirework_table_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "w.toml", "debug = true\n[wirework]\nwebsocket = false")
    assert error_of(path) == "w.toml: expected debug inside the wirework table, got it beside"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("w.toml", "wirework = 1", "w.toml: wirework: expected a table, got 1"),
        ("pyproject.toml", "tool = 1", "pyproject.toml: tool: expected a table, got 1"),
        ("w.json", "[1]", "w.json: line 1, column 1: expected an object, got [1]"),
        ("w.toml", "debug = 1", "debug: expected true or false, got 1 (from w.toml)"),
    ],
)
def test_a_file_of_the_wrong_shape_is_an_error(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    assert error_of(write(tmp_path, name, text)) == message


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("w.toml", "debug = true\njson = \n", "line 2, column 8"),
        ("w.toml", "debug = true\n[wirework", "line 2, column 10"),
        ("w.json", '{\n  "debug": tru\n}', "line 2 column 12"),
        ("w.json", "", "line 1 column 1"),
    ],
)
def test_a_malformed_file_is_named_with_line_and_column(
    tmp_path: Path, name: str, text: str, place: str
) -> None:
    message = error_of(write(tmp_path, name, text))
    assert message.startswith(f"{name}: expected ")
    assert place in message


def test_a_file_that_is_not_utf_8_is_named_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "w.toml"
    path.write_bytes(b"debug = true\n# caf\xe9")
    assert error_of(path).startswith("w.toml: line 2, column 6: expected UTF-8, got ")


def test_a_missing_file_or_a_folder_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert error_of(missing).startswith("missing.toml: cannot read the settings: ")
    assert ": cannot read the settings: " in error_of(tmp_path)


def test_a_variable_names_the_file_and_an_argument_wins_over_it(tmp_path: Path) -> None:
    named = write(tmp_path, "named.toml", "inbox_frames = 2")
    given = write(tmp_path, "given.toml", "inbox_frames = 3")
    environ = {"WIREWORK_CONFIG": str(named)}
    assert Settings.load(environ=environ).inbox_frames == 2
    assert Settings.load(given, environ).inbox_frames == 3
    assert Settings.load(environ={"WIREWORK_CONFIG": ""}) == Settings()


@pytest.mark.parametrize("value", [True, False])
def test_the_feature_gate_is_read_from_caspians_file(tmp_path: Path, value: bool) -> None:
    config = {"projectName": "shop", "websocket": value, "debug": "theirs", "mcp": False}
    path = write(tmp_path, "caspian.config.json", json.dumps(config))
    assert Settings.load(path, environ={}) == Settings(websocket=value)


def test_caspians_file_without_the_gate_leaves_the_default(tmp_path: Path) -> None:
    path = write(tmp_path, "caspian.config.json", '{"projectName": "shop"}')
    assert Settings.load(path, environ={}) == Settings()


def test_a_gate_in_caspians_file_that_is_no_flag_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "caspian.config.json", '{"websocket": "true"}')
    expected = "websocket: expected true or false, got 'true' (from caspian.config.json)"
    assert error_of(path) == expected
