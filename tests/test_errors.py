"""The root of our errors."""

from twostream_vad.errors import TsvadError


def test_an_error_is_one_line_and_commands_nothing_whatever_names_it_repeats() -> None:
    said = str(TsvadError("a.mat has a\nb\x00 and \x1b[2J\u2028é日; save it again"))
    assert said == "a.mat has a b\\x00 and \\x1b[2J é日; save it again"
    assert len(said.splitlines()) == 1
