"""What the command line may name as a target."""

import sys

import pytest

from twostream_vad.errors import TsvadError
from twostream_vad.live.alerts.command import Command
from twostream_vad.live.alerts.mqtt import Mqtt
from twostream_vad.live.alerts.targets import target_of
from twostream_vad.live.alerts.webhook import Webhook


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("http://host/hook", Webhook, "http://host/hook"),
        ("HTTPS://host:8443/hook", Webhook, "https://host:8443/hook"),
        ("mqtt://guard:geheim@host", Mqtt, "mqtt://host"),
        ("mqtts://host:8884/house", Mqtt, "mqtts://host:8884/house"),
        ("mqtt://[::1]:1884", Mqtt, "mqtt://[::1]:1884"),
        (f"exec:{sys.executable} -c 'a b'", Command, f"exec:{sys.executable}"),
    ],
)
def test_a_target_is_of_the_kind_that_its_text_begins_with(text: str, kind: type, name: str) -> None:
    target = target_of(text, ["gate"])
    assert type(target) is kind
    assert target.name == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "guard:geheim@host",
        "ftp://guard:geheim@host/",
        "exec:",
        "exec:no-such-program geheim",
        "exec:sh -c 'geheim",
        "http://guard:geheim@/",
        "mqtt://guard:geheim@",
        "mqtt://guard:geheim@host/a/b",
        "mqtt://guard:geheim@host/%23",
        "mqtts://guard:geheim@host:0",
    ],
)
def test_anything_else_is_one_line_without_secrets(text: str) -> None:
    with pytest.raises(TsvadError) as wrong:
        target_of(text, ["gate"])
    assert "guard" not in str(wrong.value)
    assert "geheim" not in str(wrong.value)


def test_a_login_in_the_environment_that_is_none_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TSVAD_MQTT_LOGIN", "geheim")
    with pytest.raises(TsvadError, match=r"^TSVAD_MQTT_LOGIN: has no login; write USER:PASSWORD$"):
        target_of("mqtt://host", ["gate"])
