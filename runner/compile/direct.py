"""Templates as plain Python functions of a row: four times faster than what Jinja2 makes of them, for most of them.

What Jinja2 compiles asks the sandbox about every name, item, operator and text. Rows are JSON: their values are of
seven types that are known to be safe, and nearly every template only looks at them, filters, repeats and chooses. For
these a function is written here that does the same with the operators of Python, and with the filters, tests and
bounds of the sandbox itself. Whatever is not certain to mean the same is not written, and then there is no function.

A function gives the text that the template would, or it raises: for a name that is not there, a null, a type that is
not plain, a text that is too long. It never says why. Whoever calls it asks the template then, which decides, and whose
words and lines stand. So the two agree wherever a function gives a text, which `tests/compile/test_direct.py` shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from keyword import iskeyword
from typing import Any

from jinja2 import nodes
from jinja2.runtime import Context

from runner.compile import sandbox as rules
from runner.compile.sandbox import ROW, Sandbox
from runner.compile.texts import text_of

Direct = Callable[[dict[str, Any]], str]

_COMPARISONS = {
    "eq": "==", "ne": "!=", "gt": ">", "gteq": ">=", "lt": "<", "lteq": "<=", "in": "in", "notin": "not in",
}  # fmt: skip
_OPERATORS: Mapping[type[nodes.BinExpr], str] = {
    nodes.Add: "+", nodes.Sub: "-", nodes.Div: "/", nodes.FloorDiv: "//", nodes.And: "and", nodes.Or: "or",
}  # fmt: skip
_AS_METHODS = {"upper": "upper", "lower": "lower", "capitalize": "capitalize", "trim": "strip"}  # filters of text
_OF_LOOP = {
    "index": "({i} + 1)", "index0": "{i}", "first": "({i} == 0)", "last": "({i} + 1 == {n})", "length": "{n}",
    "revindex": "({n} - {i})", "revindex0": "({n} - {i} - 1)",
}  # fmt: skip
_NO_COLUMNS = frozenset({"row", "range", "namespace", "loop", "caller", "varargs", "kwargs", "self"})
_MOST_NODES = 2_000
_ABSENT = object()


class Unsure(Exception):
    """Not written: it may mean something else. At a row: the template has to be asked."""


def direct_of(environment: Sandbox, text: str, longest: int) -> Direct | None:
    """The function that does what a template of this text does; None where only the template itself can."""
    try:
        tree = environment.meant(text)
        written = _Writer(environment, tree)
        source = "\n".join(written.lines(tree))
        made: dict[str, Any] = {**written.values, "LONGEST": longest}
        exec(compile(source, "<direct>", "exec"), made)  # noqa: S102  # no word of the template stands in it
    except (Unsure, RecursionError, SyntaxError, MemoryError):
        return None
    found: Direct = made["direct"]
    return found


class _Writer:
    """Writes the function of one template. Texts, names and numbers of the template are values beside the source,
    never words in it."""

    def __init__(self, environment: Sandbox, tree: nodes.Template) -> None:
        self._environment = environment
        self._number = count(1)
        self._assigned: dict[str, str] = {}  # by name that the template sets: its variable
        self._reads_row = False
        self.values: dict[str, Any] = {
            "EMPTY": "",
            "T": text_of,
            "Z": environment.finalize,
            "ABSENT": _ABSENT,
            "Unsure": Unsure,
            "listed": _listed,
            "called": _called,
            "times": _times,
            "power": rules._power,
            "rest": _rest,
            "joined": _joined,
            "numbers": rules._range,
            "there": _there,
        }
        if sum(1 for _ in _walk(tree)) > _MOST_NODES:
            raise Unsure

    def lines(self, tree: nodes.Template) -> Iterable[str]:
        body = list(self._statements(tree.body, {}, 1, may_set=True))
        yield "def direct(row):"
        if self._reads_row:
            yield f"    if {self._value('row')} in row: raise Unsure"
        for name, variable in self._assigned.items():
            yield f"    {variable} = row.get({self._value(name)}, ABSENT)"
        yield "    parts = []"
        yield "    add = parts.append"
        yield from body
        yield "    text = ''.join(parts)"
        yield "    if len(text) > LONGEST: raise Unsure"
        yield "    return text"

    def _value(self, value: Any) -> str:
        """A name for a value of the template."""
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise Unsure from None
        name = f"k{next(self._number)}"
        self.values[name] = value
        return name

    def _variable(self) -> str:
        return f"v{next(self._number)}"

    # --- statements -------------------------------------------------------------------------------------------------

    def _statements(
        self, body: Iterable[nodes.Node], scope: Mapping[str, str], depth: int, *, may_set: bool
    ) -> Iterable[str]:
        """scope: the variables of loops by name; `loop` has the number and the length of its loop."""
        indent = "    " * depth
        if depth > 15:  # Python allows twenty
            raise Unsure
        yield f"{indent}pass"
        for node in body:
            match node:
                case nodes.Output(nodes=[nodes.TemplateData(data=text)]):
                    yield f"{indent}add({self._value(text)})"
                case nodes.Output():
                    parts = "".join(f"{{{self._shown(part, scope)}}}" for part in node.nodes)
                    yield f'{indent}add(f"{parts}")'
                case nodes.If():
                    yield from self._if(node, scope, depth, may_set)
                case nodes.For():
                    yield from self._for(node, scope, depth)
                case nodes.Assign(target=nodes.Name(name=name)) if may_set and name not in _NO_COLUMNS:
                    value = self._of(node.node, scope)
                    yield f"{indent}{self._assigned.setdefault(name, self._variable())} = {value}"
                case _:
                    raise Unsure

    def _if(self, node: nodes.If, scope: Mapping[str, str], depth: int, may_set: bool) -> Iterable[str]:
        indent = "    " * depth
        yield f"{indent}if {self._of(node.test, scope)}:"
        yield from self._statements(node.body, scope, depth + 1, may_set=may_set)
        for other in node.elif_:
            yield f"{indent}elif {self._of(other.test, scope)}:"
            yield from self._statements(other.body, scope, depth + 1, may_set=may_set)
        if node.else_:
            yield f"{indent}else:"
            yield from self._statements(node.else_, scope, depth + 1, may_set=may_set)

    def _for(self, node: nodes.For, scope: Mapping[str, str], depth: int) -> Iterable[str]:
        if node.recursive:
            raise Unsure
        indent = "    " * depth
        inner = dict(scope)
        target = self._target(node.target, inner)
        items, number, length = self._variable(), self._variable(), self._variable()
        yield f"{indent}{items} = {self._iterated(node.iter, scope)}"
        yield f"{indent}if type({items}) is not list: {items} = listed({items})"
        if node.test is not None:
            kept = self._variable()
            without_loop = {name: variable for name, variable in inner.items() if name != "loop"}
            yield f"{indent}{kept} = []"
            yield f"{indent}for {number} in {items}:"
            yield f"{indent}    {target} = {number}"
            yield f"{indent}    if {self._of(node.test, without_loop)}: {kept}.append({number})"
            items = kept
        inner["loop"] = f"{number} {length}"
        yield f"{indent}{length} = len({items})"
        yield f"{indent}for {number}, {target} in enumerate({items}):"
        yield from self._statements(node.body, inner, depth + 1, may_set=False)
        if node.else_:
            yield f"{indent}if not {length}:"
            yield from self._statements(node.else_, scope, depth + 1, may_set=False)

    def _target(self, target: nodes.Node, scope: dict[str, str]) -> str:
        match target:
            case nodes.Name(name=name) if name not in _NO_COLUMNS and name not in self._assigned:
                scope[name] = self._variable()
                return scope[name]
            case nodes.Tuple(items=items):
                return "(" + "".join(f"{self._target(one, scope)}, " for one in items) + ")"
            case _:
                raise Unsure

    def _iterated(self, node: nodes.Node, scope: Mapping[str, str]) -> str:
        match node:
            case nodes.Call(node=nodes.Name(name="range"), kwargs=[], dyn_args=None, dyn_kwargs=None) if (
                "range" not in scope
            ):
                arguments = "".join(f"{self._of(one, scope)}, " for one in node.args)
                return f"numbers(*there(row, {self._value('range')}, ({arguments})))"
            case _:
                return self._of(node, scope)

    # --- expressions ------------------------------------------------------------------------------------------------

    def _shown(self, part: nodes.Expr, scope: Mapping[str, str]) -> str:
        if isinstance(part, nodes.TemplateData):
            return self._value(part.data)
        if _is_text(part) or ("loop" in scope and _is_number(part)):
            return self._of(part, scope)
        value = self._variable()
        return f"({value} if type({value} := {self._of(part, scope)}) is str else Z({value}))"

    def _text(self, node: nodes.Expr, scope: Mapping[str, str]) -> str:
        """A value as text."""
        if _is_text(node):
            return self._of(node, scope)
        value = self._variable()
        return f"({value} if type({value} := {self._of(node, scope)}) is str else T({value}))"

    def _of(self, node: nodes.Node | None, scope: Mapping[str, str]) -> str:
        """The source of an expression, in parentheses wherever it is more than a name."""
        match node:
            case nodes.Const(value=value):
                return self._value(value)
            case nodes.Name(name=name):
                return self._name(name, scope)
            case nodes.Getattr(node=nodes.Name(name="loop"), attr=attr) if "loop" in scope:
                return self._of_loop(attr, scope)
            case nodes.Getattr(node=base, attr=attr) if not attr.startswith("_") and not attr.endswith("()"):
                return f"{self._of(base, scope)}[{self._value(attr)}]"
            case nodes.Getitem(node=base, arg=nodes.Slice() as part):
                bounds = (self._of(one, scope) if one is not None else "" for one in (part.start, part.stop, part.step))
                return f"{self._of(base, scope)}[{':'.join(bounds)}]"
            case nodes.Getitem(node=base, arg=key):
                return f"{self._of(base, scope)}[{self._of(key, scope)}]"
            case nodes.Call():
                return self._call(node, scope)
            case nodes.Filter(node=nodes.Expr() as base):
                return self._filter(node, base, scope)
            case nodes.Test():
                return self._test(node, scope)
            case nodes.Compare(expr=first, ops=ops):
                rest = "".join(f" {_COMPARISONS[one.op]} {self._of(one.expr, scope)}" for one in ops)
                return f"({self._of(first, scope)}{rest})"
            case nodes.CondExpr(test=test, expr1=one, expr2=nodes.Expr() as other):
                return f"({self._of(one, scope)} if {self._of(test, scope)} else {self._of(other, scope)})"
            case nodes.Not(node=inner):
                return f"(not {self._of(inner, scope)})"
            case nodes.Neg(node=inner):
                return f"(-{self._of(inner, scope)})"
            case nodes.Concat(nodes=parts):
                return f"EMPTY.join(({''.join(f'{self._text(one, scope)}, ' for one in parts)}))"
            case nodes.Tuple(items=items) | nodes.List(items=items):
                listed = "".join(f"{self._of(one, scope)}, " for one in items)
                return f"({listed})" if isinstance(node, nodes.Tuple) else f"[{listed}]"
            case nodes.BinExpr(left=left, right=right):
                return self._operator(type(node), self._of(left, scope), self._of(right, scope))
            case _:
                raise Unsure

    def _operator(self, kind: type[nodes.BinExpr], left: str, right: str) -> str:
        if kind in _OPERATORS:
            return f"({left} {_OPERATORS[kind]} {right})"
        bounded = {nodes.Mul: "times", nodes.Pow: "power", nodes.Mod: "rest"}.get(kind)
        if bounded is None:
            raise Unsure
        return f"{bounded}({left}, {right})"

    def _name(self, name: str, scope: Mapping[str, str]) -> str:
        if name in scope and name != "loop":
            return scope[name]
        if name in self._assigned:
            return f"there({self._assigned[name]})"
        if name == "row":
            self._reads_row = True
        if name in ("row", ROW):
            return "row"
        if name in _NO_COLUMNS:
            raise Unsure
        return f"row[{self._value(name)}]"

    def _of_loop(self, attr: str, scope: Mapping[str, str]) -> str:
        if attr not in _OF_LOOP:
            raise Unsure
        number, length = scope["loop"].split()
        return _OF_LOOP[attr].format(i=number, n=length)

    def _call(self, node: nodes.Call, scope: Mapping[str, str]) -> str:
        if node.kwargs or node.dyn_args or node.dyn_kwargs or not isinstance(node.node, nodes.Getattr):
            raise Unsure
        arguments = "".join(f"{self._of(one, scope)}, " for one in node.args)
        base, attr = node.node.node, node.node.attr.removesuffix("()")
        if isinstance(base, nodes.Name) and base.name == "loop" and "loop" in scope:
            if attr != "cycle" or not node.args:
                raise Unsure
            return f"({arguments})[{scope['loop'].split()[0]} % {len(node.args)}]"
        return f"called({self._of(base, scope)}, {self._value(attr)}, ({arguments}))"

    def _filter(self, node: nodes.Filter, base: nodes.Expr, scope: Mapping[str, str]) -> str:
        if node.name == rules._TEXT:
            return self._text(base, scope)
        if node.name in _AS_METHODS and not node.args and not node.kwargs:
            return f"{self._text(base, scope)}.{_AS_METHODS[node.name]}()"
        function = self._environment.filters.get(node.name)
        if node.name in rules._OF_TEXT:
            value = self._text(base, scope)
            function = rules.bounded(node.name)  # without a look at what is text by now
        elif node.name in ("d", "default") and (column := self._column(base, scope)):
            missing = self._value(self._environment.undefined(name=column))
            value = f"row.get({self._value(column)}, {missing})"
        else:
            value = self._of(base, scope)
        if node.name == "join" and len(node.args) < 2 and not node.kwargs:
            between = self._of(node.args[0], scope) if node.args else self._value("")
            return f"joined({between}, {value})"
        return self._applied(function, value, node, scope)

    def _test(self, node: nodes.Test, scope: Mapping[str, str]) -> str:
        if node.name in ("defined", "undefined") and (column := self._column(node.node, scope)):
            return f"({self._value(column)} {'in' if node.name == 'defined' else 'not in'} row)"
        return self._applied(self._environment.tests.get(node.name), self._of(node.node, scope), node, scope)

    def _applied(self, function: Any, value: str, node: nodes.Filter | nodes.Test, scope: Mapping[str, str]) -> str:
        """A filter or a test of the sandbox, called as what Jinja2 compiles would call it."""
        if function is None or node.dyn_args or node.dyn_kwargs:
            raise Unsure
        wants = getattr(function, "jinja_pass_arg", None)
        first = {"context": self._context, "eval_context": self._evaluation, "environment": self._itself}.get(
            wants.name if wants is not None else "", lambda: ""
        )()
        more = "".join(f", {self._of(one, scope)}" for one in node.args)
        for named in node.kwargs:
            # the one word of a template that stands in the source: a name, as Jinja2 read it
            word = str(getattr(named, "key", ""))
            if not word.isidentifier() or not word.isascii() or iskeyword(word):
                raise Unsure
            more += f", {word}={self._of(getattr(named, 'value', None), scope)}"
        return f"{self._value(function)}({first}{value}{more})"

    def _context(self) -> str:
        return self._value(Context(self._environment, dict(self._environment.globals), None, {})) + ", "

    def _evaluation(self) -> str:
        return self._value(nodes.EvalContext(self._environment)) + ", "

    def _itself(self) -> str:
        return self._value(self._environment) + ", "

    def _column(self, node: nodes.Node, scope: Mapping[str, str]) -> str:
        """The column that a name is; empty where it is something else."""
        if not isinstance(node, nodes.Name) or node.name in scope or node.name in self._assigned:
            return ""
        return "" if node.name in _NO_COLUMNS or node.name == ROW else node.name


def _walk(tree: nodes.Node) -> Iterable[nodes.Node]:
    waiting = [tree]
    while waiting:
        here = waiting.pop()
        yield here
        waiting.extend(here.iter_child_nodes())


def _is_text(node: nodes.Node) -> bool:
    """Whether its value is a text already."""
    match node:
        case nodes.Const(value=str()) | nodes.Concat():
            return True
        case nodes.Filter(name=name, args=[], kwargs=[]):
            return name == rules._TEXT or name in _AS_METHODS
        case nodes.Filter(name=name):
            return name in (rules._TEXT, "join")
        case _:
            return False


def _is_number(node: nodes.Node) -> bool:
    """Whether its value is a whole number, inside of a loop."""
    match node:
        case nodes.Getattr(node=nodes.Name(name="loop"), attr=attr):
            return attr in _OF_LOOP and attr not in ("first", "last")
        case _:
            return False


# --- what functions ask at a row -----------------------------------------------------------------------------------


def _listed(value: Any) -> list[Any]:
    if type(value) in (dict, str, tuple, range):
        return list(value)
    raise Unsure


def _called(value: Any, name: str, arguments: tuple[Any, ...]) -> Any:
    """A method of a plain value, as the sandbox has it."""
    if name not in rules._METHODS.get(type(value), ()):
        raise Unsure
    found = getattr(value, name)(*arguments)
    return list(found) if name in ("items", "keys", "values") else found


def _times(left: Any, right: Any) -> Any:
    if type(left) is int and type(right) is int and -(1 << 62) < left < 1 << 62 and -(1 << 62) < right < 1 << 62:
        return left * right
    return rules._times(left, right)


def _rest(left: Any, right: Any) -> Any:
    if isinstance(left, str):
        raise Unsure
    return left % right


def _joined(between: Any, values: Iterable[Any]) -> str:
    return str(between).join([one if type(one) is str else text_of(one) for one in values])


def _there(value: Any, name: str = "", arguments: Any = None) -> Any:
    """A variable that was set; with a name, the arguments of a function that no column hides."""
    if name:
        if name in value:
            raise Unsure
        return arguments
    if value is _ABSENT:
        raise Unsure
    return value
