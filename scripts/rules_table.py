"""Writes the tables of docs/rules.md; --check says whether they are current.

The partial derivatives of elementwise operations are read from csrc/ops/elementwise.def: the very
expressions that are computed. The rule of any other primitive stands as a row of the table, in a comment
above its definition, and tests/python/test_rules.py computes it. A comment <!-- of FILE .. --> in the
document says whose rows the section ends with.
"""

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE, DOCUMENT = ROOT / "csrc/ops/elementwise.def", ROOT / "docs/rules.md"
HEAD = ["", "value", "forward", "reverse"]

# --- The rows of elementwise.def


@dataclass(frozen=True)
class Row:
    """An elementwise operation: its inputs, the types that it computes in and, as expressions in Python's
    syntax, dy/dx_i; None where input i has no derivative, and no partials at all where the derivative is
    zero."""

    name: str
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    types: str
    partials: tuple[str | None, ...]
    doc: str


def arguments(text):
    """What commas outside of parentheses and strings separate."""
    parts, depth, in_string = [""], 0, False
    for sign in text:
        in_string ^= sign == '"'
        if not in_string:
            depth += (sign == "(") - (sign == ")")
            if sign == "," and depth == 0:
                parts.append("")
                continue
        parts[-1] += sign
    return [" ".join(part.split()) for part in parts]


def call(text):
    """NAME(arguments) as (NAME, [arguments]); of NAME alone there are none."""
    name, _, rest = text.partition("(")
    return name, arguments(rest[:-1]) if rest else []


def rows():
    """Every row of the table, by name."""
    lines = [line for line in TABLE.read_text().splitlines() if not re.match(r" *(//|#)", line)]
    found = {}
    for text in re.split(r"\n(?=\w)", "\n" + "\n".join(lines)):
        kind, cells = call(text.strip())
        if not cells or kind == "EXAMPLE":
            continue
        name, *parameters = cells[:-7]
        derivative, doc = cells[-2:]
        if derivative == "CONJUGATE":  # linear, and no product with a number: written by hand
            continue
        inputs = {"BINARY": ("a", "b"), "TERNARY": ("c", "a", "b")}.get(kind, ("x",))
        found[name] = Row(
            name,
            inputs,
            tuple(re.findall(r"PARAMETER\((\w+)", "".join(parameters))),
            cells[-7],
            tuple(partials(derivative)),
            "".join(re.findall(r'"([^"]*)"', doc)),
        )
    return found


def partials(derivative):
    kind, cells = call(derivative)
    if kind == "PRODUCT":
        cells = ["FROM_B(b)", "FROM_A(a)"]
    constants = {"ONE": "1", "ONE_BETWEEN_JUMPS": "1", "MINUS_ONE": "-1", "NONE": None}
    for cell in cells:
        sort, expression = call(cell)
        yield constants[sort] if sort in constants else ", ".join(expression)


# Functions of csrc/ops/elementwise.cpp.
SPELLED = {
    "beside_one": "hypot(x, 1)",
    "slope_of_tanh": "1 - square(y)",
    "slope_of_sigmoid": "y * (1 - y)",
    "slope_of_erfinv": "0.88622692545275801365 * exp(square(y))",
    "slope_of_ndtri": "2.50662827463100050242 * exp(0.5 * square(y))",
    # Rows that compute a sum in other steps.
    "slope_of_silu": "sigmoid(x) + x * sigmoid(x) * sigmoid(-x)",
    "slope_of_gelu": "ndtr(x) + x * 0.39894228040143267794 * exp(-0.5 * square(x))",
    "slope_of_gelu_tanh": "sigmoid(x * (1.59576912160573071176 + 0.07135481627260025 * square(x))) + "
    "x * (1.59576912160573071176 + 0.21406444881780075 * square(x)) * "
    "sigmoid(x * (1.59576912160573071176 + 0.07135481627260025 * square(x))) * "
    "sigmoid(-x * (1.59576912160573071176 + 0.07135481627260025 * square(x)))",
    "slope_of_mish": "tanh(softplus(x)) + "
    "4 * x * sigmoid(x) * sigmoid(2 * softplus(x)) * sigmoid(-2 * softplus(x))",
    "slope_of_hardswish": "where(logical_and(x > -3, x < 3), (x + 1.5) / 3, x >= 3)",
    "slope_of_leaky_relu": "where(x > 0, 1, p.negative_slope)",
    "slope_of_logistic_loss": "sigmoid(a) - b",
    "slope_of_bernoulli_loss": "(1 - b) / (1 - a) - b / a",
    "second_slope_of_bernoulli_loss": "(1 - b) / square(1 - a) + b / square(a)",
    "mixed_slope_of_bernoulli_loss": "-reciprocal(1 - a) - reciprocal(a)",
}


class Simplified(ast.NodeTransformer):
    """Without what dtypes and C++ need and mathematics does not."""

    def visit_Call(self, node):
        self.generic_visit(node)
        if node.args and isinstance(node.args[-1], ast.Set):  # {p.order + 1}, the parameters of a call
            node.args[-1:] = node.args[-1].elts
        if isinstance(node.func, ast.Name) and node.func.id in SPELLED:
            return parsed(SPELLED[node.func.id])
        kept = {"astype": 0, "number_like": 1}.get(node.func.id if isinstance(node.func, ast.Name) else "")
        return node if kept is None else node.args[kept]


def parsed(expression):
    return Simplified().visit(ast.parse(expression, mode="eval")).body


# --- An expression as mathematics. On GitHub neither a backslash before a punctuation mark nor \operatorname
# is mathematics, and | ends the cell of a table.

FUNCTIONS = {
    "abs": r"\lvert {} \rvert",
    "sign": r"\mathrm{{sgn}}({})",
    "exp": "e^{{{}}}",
    "exp2": "2^{{{}}}",
    "expm1": "e^{{{}}} - 1",
    "log": r"\ln {}",
    "log2": r"\log_2 {}",
    "log10": r"\log_{{10}} {}",
    "log1p": r"\ln(1 + {})",
    "sqrt": r"\sqrt{{{}}}",
    "asin": r"\arcsin {}",
    "acos": r"\arccos {}",
    "atan": r"\arctan {}",
    "asinh": r"\mathrm{{arsinh}} {}",
    "acosh": r"\mathrm{{arcosh}} {}",
    "atanh": r"\mathrm{{artanh}} {}",
    "sigmoid": r"\sigma({})",
    "log_sigmoid": r"\ln \sigma({})",
    "softplus": r"\ln(1 + e^{{{}}})",
    "relu": r"\max({}, 0)",
    "silu": r"x \sigma({})",
    "gelu": r"x \Phi({})",
    "erf": r"\mathrm{{erf}}({})",
    "erfc": r"\mathrm{{erfc}}({})",
    "erfcx": r"\mathrm{{erfcx}}^{{({1})}}({0})",
    "erfinv": r"\mathrm{{erf}}^{{-1}}({})",
    "ndtr": r"\Phi({})",
    "log_ndtr": r"\ln \Phi({})",
    "ndtri": r"\Phi^{{-1}}({})",
    "lgamma": r"\ln \lvert \Gamma({}) \rvert",
    "digamma": r"\psi({})",
    "polygamma": r"\psi^{{({1})}}({0})",
    "bessel_i": r"I_{{{1}}}({0})",
    "bessel_ie": r"(e^{{-\lvert {0} \rvert}} I_{{{1}}}({0}))^{{({2})}}",
    "sinc": r"\mathrm{{sinc}}^{{({1})}}({0})",
    "logit": r"\ln \frac{{x}}{{1 - x}}",
    "entr": r"-x \ln {}",
    "cbrt": r"\sqrt[3]{{{}}}",
    "mish": r"x \tanh \ln(1 + e^{{{}}})",
    "copysign": r"\mathrm{{sgn}}({1})",
    "softsign": r"\frac{{{0}}}{{1 + \lvert {0} \rvert}}",
    "tanhshrink": r"x - \tanh {}",
    "logistic_loss": r"-{1} \ln \sigma({0}) - (1 - {1}) \ln \sigma(-{0})",
    "xlogy": r"{} \ln {}",
    "xlog1py": r"{} \ln(1 + {})",
    "add": "{} + {}",
    "subtract": "{} - {}",
    "floor_divide": r"\lfloor {} / {} \rfloor",
    "remainder": r"a - \lfloor {} / {} \rfloor b",
    "pow": "{}^{{{}}}",
    "maximum": r"\max({}, {})",
    "minimum": r"\min({}, {})",
    "atan2": r"\arg({1} + i {0})",
    "logaddexp": r"\ln(e^{{{}}} + e^{{{}}})",
    "logical_not": r"\lnot {}",
    "slope_of_hardtanh": r"[{1} \lt {0} \lt {2}]",
    "logical_and": r"{} \land {}",
    **{name: rf"\{name} {{}}" for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
}
# Values that are words, and not a formula.
CHOICES = {
    "leaky_relu": "$x$ where $x \\gt 0$, else $s x$",
    "elu": "$x$ where $x \\gt 0$, else $\\alpha (e^x - 1)$",
    "hardtanh": "$x$ between $l$ and $u$, else the nearer of them",
    "selu": "$1.0507 x$ where $x \\gt 0$, else $1.7581 (e^x - 1)$",
    "celu": "$x$ where $x \\gt 0$, else $\\alpha (e^{x / \\alpha} - 1)$",
    "hardsigmoid": "$(x + 3) / 6$ held between $0$ and $1$",
    "hardswish": "$x$ times $(x + 3) / 6$ held between $0$ and $1$",
    "slope_of_hardswish": "$\\frac{x + 1.5}{3}$ where $\\lvert x \\rvert \\lt 3$, else $[x \\ge 3]$",
    "softshrink": "$x - \\lambda \\mathrm{sgn}(x)$ where $\\lvert x \\rvert \\gt \\lambda$, else $0$",
    "hardshrink": "$x$ where $\\lvert x \\rvert \\gt \\lambda$, else $0$",
    "threshold": "$x$ where $x \\gt \\theta$, else $v$",
    "divergence_loss": "$b (\\ln b - a)$",
    "bernoulli_loss": "$-b \\ln a - (1 - b) \\ln(1 - a)$",
    "huber": "$\\frac{x^2}{2 d}$ where $\\lvert x \\rvert \\le \\delta$, else "
    "$\\frac{\\delta}{d} (\\lvert x \\rvert - \\frac{\\delta}{2})$",
    "gelu_tanh": "$x \\sigma(2 \\sqrt{2 / \\pi} (x + 0.044715 x^3))$",
    "copysign": "$\\lvert a \\rvert$ with the sign of $b$",
    "erfcx": "$e^{x^2} \\mathrm{erfc}(x)$, derived $n$ times",
    "polygamma": "$\\psi^{(n)}(x)$",
    "bessel_i": "$I_n(x)$",
    "bessel_ie": "$e^{-\\lvert x \\rvert} I_n(x)$, derived $m$ times",
    "sinc": "$\\frac{\\sin \\pi x}{\\pi x}$, derived $n$ times",
    "where": "$a$ where $c$, else $b$",
}
PARAMETERS = {
    "negative_slope": "s",
    "alpha": r"\alpha",
    "min_val": "l",
    "max_val": "u",
    "n": "n",
    "order": "n",
    "derivative": "m",
    "lambd": r"\lambda",
    "threshold": r"\theta",
    "value": "v",
    "delta": r"\delta",
    "divisor": "d",
}
NUMBERS = (  # value, numerator, denominator
    (0.69314718055994530942, [r"\ln 2"], []),
    (1.44269504088896340736, [], [r"\ln 2"]),
    (0.43429448190325182765, [], [r"\ln 10"]),
    (1.12837916709551257390, ["2"], [r"\sqrt{\pi}"]),
    (0.70710678118654752440, [], [r"\sqrt{2}"]),
    (0.39894228040143267794, [], [r"\sqrt{2 \pi}"]),
    (0.88622692545275801365, [r"\sqrt{\pi}"], ["2"]),
    (0.79788456080286535588, [r"\sqrt{2}"], [r"\sqrt{\pi}"]),
    (2.50662827463100050242, [r"\sqrt{2 \pi}"], []),
    (0.5, [], ["2"]),
)
COMPARISONS = {ast.Gt: r"\gt", ast.GtE: r"\ge", ast.Lt: r"\lt", ast.LtE: r"\le", ast.Eq: "="}


PRODUCTS = ("multiply", "multiply_no_nan", "divide", "negative", "reciprocal", "rsqrt")


def named(name):
    """A name as mathematics that has no sign above: without _, which would lower what follows."""
    return name.replace("_", "")


def product(node):
    """(minus, factors above, factors below the line) of an expression."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        minus, above, below = product(node.operand)
        return not minus, above, below
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        return quotient(node.left, node.right, isinstance(node.op, ast.Div))
    if isinstance(node, ast.Call):
        name = node.func.id
        if name in ("multiply", "multiply_no_nan", "divide"):
            return quotient(*node.args, name == "divide")
        if name == "negative":
            return True, [factor(node.args[0])], []
        if name == "reciprocal":
            return quotient(ast.Constant(1), node.args[0], True)
        if name == "rsqrt":
            return False, [], [root(latex(node.args[0]))]
    if isinstance(node, ast.Constant):
        for value, above, below in NUMBERS:
            if abs(node.value - value) < 1e-15:
                return False, above, below
        return False, [] if node.value == 1 else [str(node.value)], []
    return False, [factor(node)], []


def quotient(left, right, divided):
    minus, above, below = product(left)
    other_minus, other_above, other_below = product(right)
    if divided:
        other_above, other_below = other_below, other_above
    return minus != other_minus, above + other_above, below + other_below


def root(radicand):
    return rf"\sqrt{{{radicand}}}"


def in_parentheses(text):
    return f"({text})"


def factor(node):
    text = latex(node)
    return in_parentheses(text) if isinstance(node, ast.BinOp) else text


def times(factors):
    """Factors side by side, logarithms last; two equal roots are their radicand."""
    for i, one in enumerate(factors):
        if one.startswith(r"\sqrt") and one in factors[i + 1 :]:
            j = factors.index(one, i + 1)
            return times([*factors[:i], one[6:-1], *factors[i + 1 : j], *factors[j + 1 :]])
    return " ".join(sorted(factors, key=lambda one: one.startswith(r"\ln"))) or "1"


def latex(node):
    if isinstance(node, ast.Name):
        return node.id.replace("INFINITY", r"\infty")
    if isinstance(node, ast.Attribute):
        return PARAMETERS.get(node.attr, rf"\mathrm{{{named(node.attr)}}}")
    if isinstance(node, ast.Compare):
        return f"{latex(node.left)} {COMPARISONS[type(node.ops[0])]} {latex(node.comparators[0])}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        sign = "+" if isinstance(node.op, ast.Add) else "-"
        return f"{latex(node.left)} {sign} {latex(node.right)}"
    if isinstance(node, ast.Call):
        inner = [latex(argument) for argument in node.args]
        name = node.func.id
        if name == "square":
            return (inner[0] if len(inner[0]) == 1 else in_parentheses(inner[0])) + "^2"
        if name == "hypot":
            return root(" + ".join("1" if text == "1" else f"{text}^2" for text in inner))
        if name in FUNCTIONS:
            return FUNCTIONS[name].format(*inner)
        if name not in PRODUCTS:
            return rf"\mathrm{{{named(name)}}}({', '.join(inner)})"
    minus, above, below = product(node)
    text = times(above)
    if below:
        alone = len(below) == 1 and below[0][0] == "(" and below[0][-1] == ")"
        divisor = below[0][1:-1] if alone else times(below)
        text = rf"\frac{{{text}}}{{{divisor}}}"
    return "-" * minus + text


def mathematics(expression):
    """A derivative: a formula, or two and which holds where. What is true or false counts as 1 or 0."""
    node = parsed(expression)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "where":
        condition, first, second = node.args
        return f"${latex(condition)}$".join((f"{truth(first)} where ", f", else {truth(second)}"))
    return truth(node)


def truth(node):
    is_mask = (
        isinstance(node, ast.Compare) or ast.unparse(node) == "c" or ast.unparse(node).startswith("logical_")
    )
    return f"$[{latex(node)}]$" if is_mask else f"${latex(node)}$"


# --- The file


def value_of(row):
    if row.name in CHOICES:
        return CHOICES[row.name]
    return f"${latex(parsed(row.name + '(' + ','.join(row.inputs) + ')'))}$"


def note_of(row):
    notes = (part for part in row.doc.split("; ") if "derivative" in part or "gradient" in part)
    return "; ".join(notes).replace("|", r"\|")


def table(head, body):
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |".replace("  |", " |") for cells in lines) + "\n"


def elementwise_tables():
    smooth = [row for row in rows().values() if row.partials]
    binary = [r"$\frac{\partial y}{\partial a}$", r"$\frac{\partial y}{\partial b}$"]
    for of_one, slopes in ((True, [r"$\frac{dy}{dx}$"]), (False, binary)):
        body = [
            [f"`{row.name}`", value_of(row), *map(mathematics, filter(None, row.partials)), note_of(row)]
            for row in smooth
            if (len(row.inputs) == 1) == of_one
        ]
        yield table(["", "$y$", *slopes, ""], body)
    yield "The derivative of these is 0 wherever there is one:\n"
    flat = (row for row in rows().values() if not row.partials)
    yield table(["", ""], [[f"`{row.name}`", row.doc.replace("|", r"\|")] for row in flat])


def written_rows():
    """{source: {primitive: the cells of its row}} of the comments "// | `primitive` | .. |" in csrc/."""
    found = {}
    for path in sorted((ROOT / "csrc").rglob("*")):
        if path.suffix in (".cpp", ".def"):
            of_file = found.setdefault(str(path.relative_to(ROOT)), {})
            for comment in re.findall(r"^// \| `.*\n(?://.*\n)*", path.read_text(), re.MULTILINE):
                cells = re.split(r" *(?<!\\)\| *", " ".join(line[3:] for line in comment.splitlines()))
                of_file[cells[1].strip("`")] = cells[1:-1]
    return found


def faults_of(marked, written, names):
    """What keeps the rows of the sources from being a document of all primitives."""
    rows_of_all = [name for of_file in written.values() for name in of_file]
    for name in names:
        if name not in rows_of_all and name not in rows():
            yield f"no rule of {name}: write its row, // | `{name}` | value | forward | reverse |, above it"
    for source, of_file in written.items():
        if of_file and source not in marked:
            yield f"no place for the rules of {source}: name it in a mark <!-- of .. --> of docs/rules.md"
        for name, cells in of_file.items():
            if name not in names:
                yield f"a rule of {name}, which is no primitive, in {source}"
            if len(cells) != len(HEAD):
                yield f"{len(cells)} cells, not {len(HEAD)}, in the row of {name} in {source}"
            if name in rows() or rows_of_all.count(name) > 1:
                yield f"a second rule of {name} in {source}"


def document(text, names, written=None):
    """What the file should be, from what it is, the names of all primitives and the rows of the sources."""
    written = written_rows() if written is None else written
    marks = re.findall(r"^<!-- of (.*) -->$", text, re.MULTILINE)
    if faults := sorted(set(faults_of(" ".join(marks).split(), written, names))):
        raise SystemExit("; ".join(faults))
    for sources in marks:
        tables = list(elementwise_tables()) if str(TABLE.relative_to(ROOT)) in sources else []
        if body := [cells for source in sources.split() for cells in written[source].values()]:
            tables.append(table(HEAD, body))
        mark = f"<!-- of {sources} -->\n"
        before, rest = text.split(mark)
        text = before + mark + "\n" + "\n".join(tables) + "".join(re.findall(r"\n## [\s\S]*", rest)[:1])
    return text


def main():
    from tidu import _core

    before = DOCUMENT.read_text()
    after = document(before, [primitive["name"] for primitive in _core.primitives()])
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(after)
    elif before != after:
        raise SystemExit("docs/rules.md is not current: run scripts/rules_table.py")


if __name__ == "__main__":
    main()
