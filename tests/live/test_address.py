"""Addresses of cameras, and that a password is shown nowhere."""

from pathlib import Path

import pytest

from twostream_vad.live.address import Address, AddressError

SECRET = "p@ss:wörd/"
URL = "rtsp://guard:p%40ss%3Aw%C3%B6rd%2F@10.0.0.7:554/stream?token=abc123"


def test_ffmpeg_gets_the_password_and_nobody_else() -> None:
    address = Address.parse(URL)
    assert address.whole == URL
    assert address.shown == "rtsp://10.0.0.7:554/stream?…"
    for text in (repr(address), str(address), address.shown):
        assert not any(secret in text for secret in (*address.secrets, "guard"))
    assert {SECRET, "abc123"} <= set(address.secrets)


def test_what_ffmpeg_says_is_cleaned() -> None:
    address = Address.parse(URL)
    told = address.clean(f"cannot open {URL}: 401 for {SECRET}, token=abc123; http://a:b@c/")
    assert told == "cannot open rtsp://10.0.0.7:554/stream?…: 401 for …, …; http://c/"


def test_the_login_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "login"
    file.write_text(f"guard:{SECRET}\nmore\n", "utf-8")
    assert Address.parse("rtsp://10.0.0.7/a", file).whole == "rtsp://guard:p%40ss%3Aw%C3%B6rd%2F@10.0.0.7/a"
    monkeypatch.setenv("TSVAD_CAMERA_LOGIN", "other:x")
    assert Address.parse("http://[::1]:80/a").whole == "http://other:x@[::1]:80/a"
    assert Address.parse(URL).whole == URL


def test_files_and_webcams(tmp_path: Path) -> None:
    assert Address.parse("webcam:0").kind == "webcam"
    path = tmp_path / "a.mp4"
    path.touch()
    file = Address.parse(str(path))
    assert (file.kind, file.whole, file.secrets) == ("file", str(path), ())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ftp://u:geheim@host/a", "ftp://host/a: cameras speak rtsp"),
        ("rtsp:///a", "names no host"),
        ("rtsp://u:geheim@host:99999999/a", "not an address"),
        ("rtsp://u:geheim@[::1/a", "not an address"),
        ("nowhere.mp4", "no such file"),
        ("webcam:x", "no such file"),
    ],
)
def test_what_is_no_address_is_refused_without_its_password(given: str, message: str) -> None:
    with pytest.raises(AddressError, match=message) as error:
        Address.parse(given)
    assert "geheim" not in str(error.value)


def test_a_login_file_without_one_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "login"
    file.write_text("geheim\n")
    with pytest.raises(AddressError, match="USER:PASSWORD") as error:
        Address.parse("rtsp://host/a", file)
    assert "geheim" not in str(error.value)
