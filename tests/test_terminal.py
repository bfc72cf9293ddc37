"""What may be printed: nothing that moves the cursor, nothing that turns the writing round."""

import sys
import unicodedata

from workshop_utils.terminal import clipped, printable


def test_what_can_be_seen_stays():
    for text in ("Ada Lovelace, 3.14 µs", "Grüße aus Köln", "数学 ✓ ×", "тест", ""):
        assert printable(text) == text


def test_no_character_of_a_control_or_format_category_is_left():
    for code in range(sys.maxunicode + 1):
        left = printable(chr(code))
        assert len(left) == 1
        assert unicodedata.category(left)[0] != "C" and left not in "\u2028\u2029"


def test_texts_are_found_wherever_they_are():
    value = {"a\x1b": ["b\n", {"c\u202e": "d\r"}, 1, None, True]}
    assert printable(value) == {"a ": ["b ", {"c ": "d "}, 1, None, True]}
    assert value["a\x1b"][0] == "b\n", "The value itself stays as it is."


def test_lines_may_be_kept():
    assert printable("one\ntwo\r\x07", keep="\n") == "one\ntwo  "


def test_a_text_is_clipped_where_it_is_too_long():
    assert [clipped(text, 3) for text in ("", "abc", "abcd")] == ["", "abc", "ab…"]
