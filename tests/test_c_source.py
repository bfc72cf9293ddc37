import hashlib
import re
import shutil
import subprocess
import time

import pytest

from workshop_utils import c_source, paths
from workshop_utils.errors import MissingArtifact, WorkshopError

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
MODEL = (paths.REFERENCE_DIR / "model.tflite").read_bytes()
DUMP = """
#include <cstdint>
#include <cstdio>
#include "model.h"
int main() {
  if (reinterpret_cast<std::uintptr_t>(g_model) % 16 != 0) return 1;
  return std::fwrite(g_model, 1, g_model_len, stdout) == g_model_len ? 0 : 2;
}
"""


def test_there_and_back(tmp_path):
    path = c_source.write(MODEL, tmp_path / "model.cc")
    assert c_source.read(path) == MODEL


@pytest.mark.parametrize("length", [8, 11, 12, 13, 24])
def test_there_and_back_at_the_ends_of_rows(length):
    data = (b"\x00\x00\x00\x00TFL3" + bytes(range(256)))[:length]
    assert c_source.from_c_source(c_source.to_c_source(data)) == data


def test_says_what_it_is():
    text = c_source.to_c_source(MODEL)
    assert text == c_source.to_c_source(MODEL)
    assert "workshop_utils.c_source" in text and "Do not edit" in text
    assert hashlib.sha256(MODEL).hexdigest() in text
    assert f"{len(MODEL)} bytes" in text
    assert "alignas(16) const unsigned char g_model[] = {" in text
    assert f"const unsigned int g_model_len = {len(MODEL)};" in text
    assert max(map(len, text.splitlines())) <= 100
    assert text.isascii()


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler here")
def test_a_compiler_finds_the_same_bytes(tmp_path):
    c_source.write(MODEL, tmp_path / "model.cc")
    (tmp_path / "dump.cc").write_text(DUMP)
    include = paths.PROJECT / "firmware" / "model"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", include]
    subprocess.run(
        [COMPILER, *flags, "model.cc", "dump.cc", "-o", "dump"], cwd=tmp_path, check=True
    )
    dumped = subprocess.run([tmp_path / "dump"], capture_output=True, check=True).stdout
    assert dumped == MODEL


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x1c\x00\x00\x00TFLX0000", b"PK\x03\x04" * 10])
def test_bytes_that_are_no_model(data):
    with pytest.raises(WorkshopError, match="not a TensorFlow Lite model"):
        c_source.to_c_source(data)


def edits(text):
    row = re.search(r"  0x.*\n", text)[0]
    return {
        "a byte": text.replace("0x54, 0x46", "0x55, 0x46"),
        "a row removed": text.replace(row, "", 1),
        "a row twice": text.replace(row, row + row, 1),
        "a byte too large": text.replace("0x54, 0x46", "0x154, 0x46"),
        "a word in it": text.replace("0x54, 0x46", "foo, 0x46"),
        "another length": re.sub(r"g_model_len = \d+", "g_model_len = 12", text),
        "empty array": re.sub(r"\{[^}]*\}", "{\n}", text),
    }


@pytest.mark.parametrize("edit", edits("  0x00,\n").keys())
def test_edited_by_hand(edit):
    text = c_source.to_c_source(MODEL)
    edited = edits(text)[edit]
    assert edited != text
    with pytest.raises(WorkshopError, match=r"changed by hand; run notebook 06_microcontroller"):
        c_source.from_c_source(edited)


@pytest.mark.parametrize("keep", [100, 2000])
def test_cut_off(keep):
    with pytest.raises(WorkshopError, match=r"not a whole model\.cc"):
        c_source.from_c_source(c_source.to_c_source(MODEL)[:keep])


def test_windows_line_ends_do_not_matter():
    text = c_source.to_c_source(MODEL).replace("\n", "\r\n")
    assert c_source.from_c_source(text) == MODEL


def test_missing_file(tmp_path):
    with pytest.raises(MissingArtifact):
        c_source.read(tmp_path / "model.cc")


def test_a_bad_model_leaves_the_old_file(tmp_path):
    path = c_source.write(MODEL, tmp_path / "model.cc")
    with pytest.raises(WorkshopError):
        c_source.write(b"nonsense", path)
    assert c_source.read(path) == MODEL


# ---- What other tools write


HEXADECIMAL = ", ".join(f"0x{byte:02x}" for byte in MODEL)
DECIMAL = ",".join(str(byte) for byte in MODEL)
SIZE = len(MODEL)
OCTAL = [
    '  "' + "".join(chr(b) if chr(b).isalpha() and b < 128 else f"\\{b:03o}" for b in row) + '"'
    for row in (MODEL[at : at + 16] for at in range(0, SIZE, 16))
]
ATTRIBUTE = """
#ifdef __has_attribute
#define HAVE_ATTRIBUTE(x) __has_attribute(x)
#else
#define HAVE_ATTRIBUTE(x) 0
#endif
#if HAVE_ATTRIBUTE(aligned) || (defined(__GNUC__) && !defined(__clang__))
#define DATA_ALIGN_ATTRIBUTE __attribute__((aligned(4)))
#else
#define DATA_ALIGN_ATTRIBUTE
#endif
"""


def words(size, form, *, signed=False):
    """The model as a little-endian chip's words of so many bytes, zeros in the last one's rest."""
    padded = MODEL + bytes(-SIZE % size)
    values = (
        int.from_bytes(padded[at : at + size], "little", signed=signed)
        for at in range(0, SIZE, size)
    )
    return ", ".join(form.format(value) for value in values)


ALONE = {
    "xxd -i <": HEXADECIMAL.replace("0x00, 0x00", "0x00,\n  0x00") + "\n",
    "in braces": f"{{\n{DECIMAL},\n}};\n",
    "with a comment": f"// xxd -i < model.tflite\n{HEXADECIMAL},\n",
    "words": words(4, "{:#x}"),
}
FOREIGN = {
    "xxd": f"unsigned char a_b[] = {{\n{HEXADECIMAL}\n}};\nunsigned int a_b_len = {SIZE};\n",
    "xxd -C": f"UNSIGNED CHAR X[] = {{{HEXADECIMAL.upper()}}};\nUNSIGNED INT X_LEN = {SIZE};\n",
    "macro behind the name": (
        f"{ATTRIBUTE}const unsigned char g_model[] DATA_ALIGN_ATTRIBUTE = {{{HEXADECIMAL}}};\n"
        f"const int g_model_len = {SIZE};\n"
    ),
    "sizeof": (
        f"alignas(8) extern const unsigned char m[] = {{{HEXADECIMAL}}};\n"
        "const int m_len = sizeof(m) / sizeof(m[0]);\n"
    ),
    "length first": (
        f"const unsigned int sine_size = {SIZE}u;\n"
        f"static const uint8_t __attribute__((aligned(16))) sine_data[{SIZE}] = {{{DECIMAL}}};\n"
    ),
    "signed": "const signed char m[] = {" + ",".join(f"{(b ^ 128) - 128}" for b in MODEL) + "};",
    "octal": "const unsigned char m[] = {" + ",".join(f"0{byte:o}" for byte in MODEL) + "};",
    "letters": "const char m[] = {" + ",".join(f"'\\x{byte:02x}'" for byte in MODEL) + "};",
    "text": 'const char m[] = "' + "".join(f"\\x{byte:02x}" for byte in MODEL) + '";',
    "texts, a line each": (
        'const char s[] = "m[] = {\'\\"\'"; const unsigned char m[] =\n' + "\n".join(OCTAL) + ";\n"
    ),
    "casts": "const uint8_t m[] = {" + ",".join(f"(uint8_t)0x{b:X}u" for b in MODEL) + "};",
    "std::array": f"constexpr std::array<uint8_t, {SIZE}> m = {{{{{DECIMAL}}}}};",
    "no equals sign": f"const std::uint8_t m[]{{{DECIMAL}}};",
    "C++ attribute": f"const unsigned char m[] [[gnu::aligned(16)]] = {{{DECIMAL}}};",
    "PROGMEM": f"const unsigned char m[] PROGMEM = {{{DECIMAL}}};",
    "comments": (
        f'/* old[] = {{1, 2}}; */ const char s[] = "x[] = {{"; // y[] = {{\n'
        f"const unsigned char m[] = {{ // begin\n/* 0x00, */ {HEXADECIMAL}, /* }} */\n}};"
    ),
    "several arrays": (
        f"const int8_t test[] = {{1, -2, 3}};\nconst uint8_t m[] = {{{DECIMAL}}};\n"
        "const float scales[2] = {0.5f, 1.0f};\n"
    ),
    "two models, one of them g_model": (
        f"const uint8_t m[] = {{{DECIMAL}}}; const uint8_t g_model[] = {{{DECIMAL}}};"
    ),
    "zeros at the end left to C": f"const uint8_t m[{SIZE}] = {{{DECIMAL.removesuffix(',0')}}};",
    "words of 16 bits": "const uint16_t m[] = {" + words(2, "0x{:04x}") + "};",
    "words of 32 bits": (
        f"alignas(16) const uint32_t m[{-(-SIZE // 4)}] = {{{words(4, '{}UL')}}};\n"
        f"const unsigned m_len = {SIZE};\n"
    ),
    "words of 32 bits, counted": (
        "const uint32_t m[] = {" + words(4, "0x{:x}") + f"}}; const int m_size = {-(-SIZE // 4)};"
    ),
    "words of 64 bits, with a sign": "const long long m[] = {" + words(8, "{}", signed=True) + "};",
    "Windows": f"unsigned char m[] = {{\r\n{DECIMAL}\r\n}};\r\n",
}


@pytest.mark.parametrize("tool", FOREIGN)
def test_any_array_with_a_model_is_read(tool, tmp_path):
    read = c_source.from_c_source(FOREIGN[tool])
    assert read[:SIZE] == MODEL and len(read) - SIZE < 8 and not any(read[SIZE:])
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path = tmp_path / "foreign.cc"
        path.write_bytes(FOREIGN[tool].encode(encoding))
        assert c_source.read(path) == read


@pytest.mark.parametrize("tool", ALONE)
def test_numbers_alone_are_read(tool):
    read = c_source.from_c_source(ALONE[tool])
    assert read[:SIZE] == MODEL and len(read) - SIZE < 4 and not any(read[SIZE:])
    for cut in (ALONE[tool][: len(ALONE[tool]) // 2], ALONE[tool] + "; int x;"):
        with pytest.raises(WorkshopError, match=r"damaged or cut off|holds no TensorFlow Lite mod"):
            c_source.from_c_source(cut)


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler here")
@pytest.mark.parametrize("tool", sorted(FOREIGN.keys() - {"xxd -C", "PROGMEM"}))
def test_a_compiler_reads_the_same(tool, tmp_path):
    text = FOREIGN[tool]
    name = re.findall(r"\b(a_b|g_model|sine_data|m)(?= ?\[|\b = \{\{| DATA)", text)[-1]
    (tmp_path / "dump.cc").write_text(
        "#include <array>\n#include <cstdint>\n#include <cstdio>\nusing std::uint8_t;\n"
        f"using std::int8_t;\n{text}\n"
        f'static_assert(sizeof({name}) - {SIZE} < 8, "a text ends in a zero, words are filled");\n'
        f"int main() {{ return std::fwrite(&{name}[0], 1, {SIZE}, stdout) == 0; }}\n"
    )
    subprocess.run(
        [COMPILER, "-std=c++17", "-w", "-Wno-narrowing", "dump.cc", "-o", "dump"],
        cwd=tmp_path,
        check=True,
    )
    assert subprocess.run([tmp_path / "dump"], capture_output=True, check=True).stdout == MODEL


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"^f\.cc is empty; "),
        ("x[0] = {'a': 1}", r"^f\.cc is text and holds no TensorFlow Lite model; "),
        ("<html><script>x[0] = {1, 2}</script>", r"^f\.cc is a web page \(HTML\), not a TensorFl"),
        ("int main() { return 0; }", r"^f\.cc is text and holds no TensorFlow Lite model; "),
        (FOREIGN["xxd"][:2000], r"^f\.cc is cut off: its array has no end; make or fetch it again"),
        (
            FOREIGN["xxd"].replace(HEXADECIMAL, HEXADECIMAL[:5998]),
            r"^f\.cc says that a_b has [\d,]+ bytes, but holds 1,000: it is cut off or was changed",
        ),
        (
            f"unsigned char m[] = {{{HEXADECIMAL[:5998]}}};",
            r"^f\.cc was made by another tool, and the model in its array m is damaged or cut off",
        ),
        ("int x[] = {1, 2}; int y[] = {3};", r"^f\.cc has no TensorFlow Lite model in x, y: its m"),
        ("int x[] = {1, 256};", r"^f\.cc has in x something that is not a byte: it was changed"),
        (
            f"char one[] = {{{DECIMAL}}}; char two[] = {{{DECIMAL}}};",
            r"^f\.cc holds 2 models, one, two; leave one of them in it, or call",
        ),
    ],
)
def test_source_without_a_whole_model_says_what_it_is(text, sentence):
    with pytest.raises(WorkshopError, match=sentence) as caught:
        c_source.from_c_source(text, "f.cc")
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_model_itself_is_no_source(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(MODEL)
    with pytest.raises(WorkshopError, match=r"is a TensorFlow Lite model itself, and no C"):
        c_source.read(path)


def test_what_the_course_made_is_named_when_it_was_changed(tmp_path):
    path = tmp_path / "mine.cc"
    path.write_text(c_source.to_c_source(MODEL).replace("0x54, 0x46", "0x54, 0x47"))
    with pytest.raises(WorkshopError, match=r"mine\.cc does not match its SHA-256"):
        c_source.read(path)


@pytest.mark.parametrize(
    ("declared", "lacks"),
    [
        ("unsigned char m[]", True),
        ("const int n = 1; static uint8_t m[]", True),
        ("const unsigned char m[]", False),
        ("unsigned char const m[]", False),
        ("constexpr uint8_t m[]", False),
        ("namespace a { const\nunsigned char m[]", False),
    ],
)
def test_an_array_without_const_is_seen(declared, lacks):
    source = f"const int other[] = {{1}};\n{declared} = {{{DECIMAL}}};"
    assert c_source.lacks_const(source.encode()) is lacks


@pytest.mark.parametrize(
    "text",
    [
        *("a" * 500_000, "a" + " " * 500_000, "a[" * 125_000, "a[]" * 125_000, "/*" * 125_000),
        *("a[]={" * 50_000, '"' * 500_001, "x[]={" + "-" * 500_000 + "}", "a=[] " * 75_000),
        *("a[] = {" + "1 " * 250_000 + "}", "a[] = {" + "1," * 250_000, "[[" * 125_000),
        *(
            'a="' + "x" * 1_250_000 + '"',
            '"\\x1c\\0\\0\\0TFL3' + "\\0" * 250_000 + '"',
            '""' * 750_000,
            '"12345678" ' * 125_000,
        ),
        *("/**/" * 375_000, "//\n" * 500_000, "'a'" * 500_000, "0," * 750_000),
        *("a[]={" + "'a'," * 375_000 + "}", "a[]={28u,0x334c4654," + "0u," * 375_000 + "}"),
    ],
    ids=range(22),
)
def test_no_text_takes_long(text):
    """Half a second or so, where what is tried again from each place would take minutes."""
    began = time.process_time()
    with pytest.raises(WorkshopError):
        c_source.from_c_source(text)
    assert time.process_time() - began < 5


def test_too_large_for_source(tmp_path):
    with (tmp_path / "huge.cc").open("wb") as file:
        file.truncate(20 << 20)
    with pytest.raises(WorkshopError, match=r"huge\.cc is too large for C source here:"):
        c_source.read(tmp_path / "huge.cc")
