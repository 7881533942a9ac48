"""Builds the site: the documents, a page for each function and class, and the examples, in build/docs/html.

The pages are written to build/docs/source, from signatures, docs and the tables of derivatives, and Sphinx
makes HTML of them; whatever it complains of is an error.
"""

import ast
import importlib
import inspect
import re
import shutil
import sys
from pathlib import Path

import rules_table
import tidu
from tidu._meanings import KINDS, OF

ROOT = rules_table.ROOT
SOURCE, SITE = ROOT / "build/docs/source", ROOT / "build/docs/html"

MODULES = {  # and what they are for
    "tidu": "Tensors, operations, derivatives, programs",
    "tidu.linalg": "Linear algebra",
    "tidu.random": "Random numbers from explicit keys",
    "tidu.special": "Special functions",
    "tidu.fft": "Discrete Fourier transforms",
    "tidu.nn": "Modules and layers",
    "tidu.nn.functional": "Losses and the functions behind the layers",
    "tidu.nn.init": "First values of parameters",
    "tidu.optim": "Optimisers, schedules, minimisation and fits",
    "tidu.data": "Data sets and batches",
    "tidu.data.images": "Random changes of images",
    "tidu.distributions": "Probability distributions",
    "tidu.sparse": "Sparse derivatives and matrices",
    "tidu.implicit": "Fixed points, roots and minima with derivatives",
    "tidu.tree": "Trees of tensors",
    "tidu.io": "Saving and loading",
    "tidu.viz": "Pictures",
    "tidu.debug": "Looking into recorded code",
    "tidu.cpu": "Device cpu",
    "tidu.cuda": "Device cuda",
    "tidu.typing": "Types for annotations",
}
GUIDES = {
    "Using tidu": ("calculus", "transforms", "compile", "training", "coming-from", "errors", "cuda", "cost"),
    "How it works": ("architecture", "kernels", "performance", "rules", "array-api", "program-format"),
}


def public_names(module):
    """What users have of a module: functions and classes of ours."""
    names = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
    for name in sorted(names):
        value = getattr(module, name)
        is_ours = (getattr(value, "__module__", None) or "tidu").startswith("tidu")
        if is_ours and (inspect.isclass(value) or inspect.isroutine(value)):
            yield name, value


# --- Text

ENTRIES = ("Parameters", "Returns", "Raises", "Yields")  # sections of names, each with what is said of it


def entry(line):
    """The head of an entry: names, and what they are."""
    names, _, kind = line.partition(" : ")
    return f"`{names}`" + (f" ({escaped(kind)}):" if kind else ":")


def prose(text):
    """A docstring as Markdown: its examples and what is indented as code, and no sign taken for markup."""
    lines, out, code = text.splitlines(), [], None

    def close():
        nonlocal code
        if code:
            out.extend(["```", ""])
        code = None

    section = ""
    for i, line in enumerate(lines):
        underlined = i + 1 < len(lines) and re.fullmatch("-{3,}", lines[i + 1]) is not None
        if underlined:
            section = line
        if section in ENTRIES and line.strip() and not underlined and not line.startswith("---"):
            out.append(f"  {escaped(line.strip())}" if line.startswith(" ") else f"- {entry(line)}")
            continue
        if line.startswith(">>>") and code is None:
            out.extend(["", "```pycon"])
            code = "pycon"
        elif line.startswith("    ") and code is None:
            out.extend(["", "```python"])
            code = "python"
        elif (code == "pycon" and not line.strip()) or (
            code == "python" and line.strip() and not line.startswith("    ")
        ):
            close()
        if code:
            out.append(line.removeprefix("    ") if code == "python" else line)
        elif re.fullmatch("-{3,}", line):
            continue
        elif underlined:
            out.extend(["", f"## {line}", ""])
        else:
            out.append(escaped(line))
    close()
    return "\n".join(out)


def escaped(line):
    parts = line.split("`")
    if len(parts) % 2 == 0:  # a lone sign
        return re.sub(r"([\\`*_{}\[\]<>#$|~^])", r"\\\1", line)
    quoted = [
        f"`{part}`" if i % 2 else re.sub(r"([\\*_{}\[\]<>#$|~^])", r"\\\1", part)
        for i, part in enumerate(parts)
    ]
    line = "".join(quoted)
    return re.sub(r"^(\s*)([-+]|\d+[.)])(\s)", r"\1\\\2\3", line)


def first_sentence(value):
    doc = " ".join((inspect.getdoc(value) or "").partition("\n\n")[0].split())
    return re.split(r"(?<=[.;]) ", doc)[0]


class Types:
    """Signatures with types: of Python's functions by inspect, of the extension's from their stubs."""

    def __init__(self, package):
        self.stubs = {}
        for path in sorted((package / "_core").glob("*.pyi")):
            prefix = "" if path.stem == "__init__" else f"{path.stem}."
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef):
                    self.stubs.setdefault(prefix + node.name, node)

    def of(self, module, name, value):
        place = {"tidu.linalg": "linalg.", "tidu.random": "random."}.get(module, "")
        for key in (place + name, f"_training.{value.__name__}", name):
            node = self.stubs.get(key)
            if node is not None and inspect.isbuiltin(value):
                text = f"{name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"
                return re.sub(r"builtins\.|_(?=D(Type|evice)\b)", "", text)
        try:
            return f"{name}{inspect.signature(value)}".replace("'", "")
        except (TypeError, ValueError):
            return name


def mathematics(name, rows, rules):
    if name in rows:
        row = rows[name]
        yield "## Mathematics\n"
        if not row.partials:
            yield "The derivative is 0 wherever there is one.\n"
        else:
            yield f"$y$ is {rules_table.value_of(row)}.\n"
            for variable, partial in zip(row.inputs, row.partials, strict=True):
                if partial is not None:
                    slope = rf"\frac{{\partial y}}{{\partial {variable}}}"
                    yield f"- ${slope}$ is {rules_table.mathematics(partial)}"
            if note := rules_table.note_of(row):
                yield f"\n{note[0].upper()}{note[1:]}."
        yield f"\n## Dtypes\n\n{OF.get(name, {}).get('x', KINDS[row.types])}\n"
    elif name in rules:
        head, cells = rules[name]
        yield "## Mathematics\n"
        yield "| " + " | ".join(head) + " |"
        yield "|" + " --- |" * len(head)
        yield "| " + " | ".join(cells) + " |\n"


def is_primitive(module, name, value):
    """Whether a function is the primitive of its name, if there is one."""
    if module == "tidu.linalg":
        return name != "cond"  # that primitive is a branch
    if module == "tidu.nn.functional":
        return name in ("batch_norm", "layer_norm", "rms_norm") or value is getattr(tidu, name, None)
    return module in ("tidu", "tidu.special")


def written_rules():
    """The rows of the tables of docs/rules.md, by primitive, with their heads."""
    found, head = {}, None
    for line in (ROOT / "docs/rules.md").read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            head = None
        elif head is None:
            head = cells
        elif match := re.fullmatch(r"`(\w+)`", cells[0]):
            found[match[1]] = head[1:], cells[1:]
    return found


def members(value):
    owners = [base for base in value.__mro__ if base is value or base.__name__.startswith("_")]
    listed = {name: member for owner in reversed(owners) for name, member in vars(owner).items()}
    for name, member in listed.items():
        if name.startswith("_") or not (
            callable(member) or isinstance(member, property | staticmethod | classmethod)
        ):
            continue
        function = getattr(member, "__func__", member)
        try:
            signature = f"{name}{inspect.signature(function)}".replace("'", "")
        except (TypeError, ValueError):
            signature = name
        yield name, signature, first_sentence(function)


def page(module, name, value, types, rows, rules):
    shown = f"{module.replace('tidu', 'td', 1)}.{name}"
    yield f"---\norphan: true\n---\n\n# {shown}\n"  # hundreds of them would fill the side of every page
    yield f"```python\n{types.of(module, name, value)}\n```\n"
    doc = inspect.getdoc(value) or ""
    text, found, example = doc.partition("Examples\n--------")
    yield prose(text)
    if is_primitive(module, name, value):
        yield from mathematics(name, rows, rules)
    if found:
        yield prose(found + example)
    if inspect.isclass(value) and (listed := list(members(value))):
        yield "\n## Members\n"
        for _, signature, summary in listed:
            yield f"- `{signature}`" + (f": {escaped(summary)}" if summary else "")


# --- The pages


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def toctree(entries, caption="", depth=1):
    return [
        "",
        "```{toctree}",
        f":maxdepth: {depth}",
        *([f":caption: {caption}"] if caption else []),
        "",
        *entries,
        "```",
        "",
    ]


def write_api(types):
    rows, rules = rules_table.rows(), written_rules()
    overview = ["# Reference\n"]
    for module_name, purpose in MODULES.items():
        module = importlib.import_module(module_name)
        lines = [f"# {module_name}\n", f"{purpose}.\n", prose(inspect.getdoc(module) or "")]
        lines += ["\n| | |", "| --- | --- |"]
        for name, value in public_names(module):
            file = f"{module_name}.{name}"
            lines.append(f"| [{name}]({file}.md) | {escaped(first_sentence(value))} |")
            write(SOURCE / f"api/{file}.md", page(module_name, name, value, types, rows, rules))
        write(SOURCE / f"api/{module_name}.md", lines)
    overview += toctree(list(MODULES))
    write(SOURCE / "api/index.md", overview)


def write_gallery():
    pictures = {
        "logistic_regression": "logistic_weights.png",
        "two_layer_network": "network_curves.png",
        "surface_descent": "descent.png",
    }
    entries = []
    index = ["# Examples\n", "Programs that check themselves; `make examples` runs them.\n"]
    for path in sorted((ROOT / "examples").glob("*.py")):
        doc = ast.get_docstring(ast.parse(path.read_text())) or ""
        title = path.stem.replace("_", " ").capitalize()
        lines = [f"# {title}\n", prose(doc), ""]
        if path.stem in pictures:
            lines.append(f"![{title}](../docs/images/{pictures[path.stem]})\n")
        lines += [f"```{{literalinclude}} ../../../../examples/{path.name}", ":language: python", "```"]
        write(SOURCE / f"examples/{path.stem}.md", lines)
        entries.append(path.stem)
        index.append(f"- [{title}]({path.stem}.md): {escaped(' '.join(doc.partition('. ')[0].split()))}")
    write(SOURCE / "examples/index.md", [*index, *toctree(entries)])


def copy_documents():
    for path in (ROOT / "docs").rglob("*"):
        if path.suffix in (".md", ".png", ".svg") and "site" not in path.parts:
            target = SOURCE / path.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    for name in (
        "README.md",
        "README.zh.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "bench/README.md",
        "tests/mutants/mutants.py",
    ):
        (SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, SOURCE / name)


def write_index():
    lines = ["# tidu\n", "Tensors that differentiate what you compute, on CPU and GPU.\n"]
    lines += toctree(["README"])
    for caption, names in GUIDES.items():
        lines += toctree([f"docs/{name}" for name in names], caption)
    lines += toctree(["api/index"], "Reference") + toctree(["examples/index"], "Gallery")
    known = {name for names in GUIDES.values() for name in names}
    others = sorted(path.stem for path in (ROOT / "docs").glob("*.md") if path.stem not in known)
    project = [*(f"docs/{name}" for name in others), "CONTRIBUTING", "CHANGELOG", "bench/README", "README.zh"]
    project += [f"docs/zh/{path.stem}" for path in sorted((ROOT / "docs/zh").glob("*.md"))]
    write(SOURCE / "index.md", lines + toctree(project, "Project"))


def main():
    from sphinx.cmd.build import build_main

    shutil.rmtree(SOURCE, ignore_errors=True)
    types = Types(Path(tidu.__file__).parent)
    copy_documents()
    write_api(types)
    write_gallery()
    write_index()
    return build_main(
        ["-W", "--keep-going", "-q", "-c", str(ROOT / "docs/site"), *sys.argv[1:], str(SOURCE), str(SITE)]
    )


if __name__ == "__main__":
    sys.exit(main())
