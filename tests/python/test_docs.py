"""The documents: their snippets print what stands below them, links lead somewhere, formulas are shown."""

import doctest
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LESSONS = ("docs/calculus.md", "docs/zh/calculus.md")
DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.(\d*))?(?:e([+-]\d+))?")


def text_of(name):
    return (ROOT / name).read_text(encoding="utf-8")


def prose_of(name):
    """Without what is shown as it is."""
    return re.sub(r"`[^`\n]+`", "", FENCED.sub("", text_of(name)))


# --- Snippets


class Rounded(doctest.OutputChecker):
    """Takes a number for another that differs by one in the last place that is written, on any device."""

    def check_output(self, want, got, optionflags):
        got = got.replace(", device='cuda:0'", "")
        if super().check_output(want, got, optionflags):
            return True
        without = lambda text: "".join(NUMBER.sub("#", text).split())
        pairs = zip(NUMBER.finditer(want), NUMBER.finditer(got), strict=False)
        return without(want) == without(got) and all(
            abs(float(a[0]) - float(b[0])) <= 1.01 * 10.0 ** (int(a[2] or 0) - len(a[1] or ""))
            for a, b in pairs
        )


def test_snippets():
    """Of one lesson: its translation shows the same."""
    source = "\n".join(text for language, text in FENCED.findall(text_of(LESSONS[0])) if language == "python")
    test = doctest.DocTestParser().get_doctest(source, {}, LESSONS[0], LESSONS[0], 0)
    assert len(test.examples) > 100
    complaints = []
    doctest.DocTestRunner(Rounded(), optionflags=doctest.ELLIPSIS).run(test, out=complaints.append)
    assert not complaints, "".join(complaints)


@pytest.mark.cpu_only("looks at its own helpers")
def test_outputs_are_compared():
    check = lambda want, got: Rounded().check_output(want, got, doctest.ELLIPSIS)
    assert check("tensor([0.50, 1. ])\n", "tensor([0.51, 1.00])\n")
    assert not check("tensor([0.50, 1.])\n", "tensor([0.52, 1.])\n")
    assert not check("tensor([0.50])\n", "tensor([0.50, 1.])\n")
    assert not check("True\n", "False\n")
    assert check("3.1e-05\n", "3.2e-05\n") and not check("3.1e-05\n", "3.1e-04\n")


@pytest.mark.cpu_only("reads files of the repository")
@pytest.mark.parametrize("names", [LESSONS, ("README.md", "README.zh.md")], ids=lambda names: names[1])
def test_translations_show_the_same(names):
    shown = [[block for block in FENCED.findall(text_of(name)) if block[0] != "sh"] for name in names]
    assert shown[0] == shown[1]


# --- Pictures, links, formulas


@pytest.mark.cpu_only("draws the pictures of the repository")
def test_pictures(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("pictures", ROOT / "scripts/pictures.py")
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    monkeypatch.setattr("sys.argv", ["pictures.py", str(tmp_path)])
    pictures.main()
    lesson = text_of(LESSONS[0])
    for name in pictures.PICTURES:
        assert (tmp_path / name).stat().st_size > 1000
        assert (ROOT / "docs/images" / name).exists() and f"](images/{name})" in lesson
    graph = "graph.svg"
    assert (tmp_path / graph).read_text() == (ROOT / "docs/images" / graph).read_text()


def anchors(text):
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.cpu_only("reads files of the repository")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_links(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(name)):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


@pytest.mark.cpu_only("reads files of the repository")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_formulas_are_shown_on_github(name):
    for line in prose_of(name).splitlines():
        pieces = line.split("$")
        assert len(pieces) % 2, f"a formula goes over the line: {line}"
        for formula in pieces[1::2]:
            wrong = re.search(r"\\[^a-zA-Z]|[|<>*]|\\operatorname|^\s|\s$|[})]_", formula)
            assert not wrong, f"{wrong[0]!r} in {formula}"


NO_NAMES = {"td.cube": "what is added there", "td.unsqueeze": "raises there"}


def names_of(name):
    """What of tidu a document names, in its text and its snippets."""
    return set(re.findall(r"(?<![\w.])td(?:\.\w+)+", text_of(name))) - NO_NAMES.keys()


@pytest.mark.cpu_only("reads files of the repository")
@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != "CHANGELOG.md"])  # of all times
def test_what_is_named_exists(name):
    import tidu as td

    for found in names_of(name):
        value = td
        for part in found.split(".")[1:]:
            value = getattr(value, part)
    assert name != "docs/coming-from.md" or len(names_of(name)) > 50


@pytest.mark.cpu_only("reads files of the repository")
def test_translations_name_the_same():
    """Whoever reads the one learns of what the other has: functions and documents."""
    links = [
        set(re.findall(r"\]\(((?!docs/zh|README)[^)\s]+)\)", prose_of(name)))
        for name in ("README.md", "README.zh.md")
    ]
    assert links[0] - {"docs/calculus.md"} == links[1]
    assert names_of("README.md") == names_of("README.zh.md")
