"""The template language of prompts: Jinja2 without clock, chance, files, or a way to reach Python.

Jinja2's own sandbox stops walks through attributes, but not `'a' * 10**9`, and it prints memory addresses (a bound
method, a generator), which would make a prompt differ from run to run. So values have a short list of methods,
filters are a short list too, and operators that can grow a value are capped. Whatever still runs away is ended from
outside, see `worker.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from jinja2 import StrictUndefined, Undefined, filters, nodes, tests
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace, pass_environment
from jinja2.visitor import NodeTransformer

from runner.compile.texts import json_of, text_of

MAX_SEQUENCE = 1_000_000  # length of what `*` may make
MAX_REPLACED = 10_000_000  # characters of what `replace` may make
MAX_BITS = 8192  # of a number that `*` or `**` may make
MAX_RANGE = 10_000
MAX_COUNT = 1_000  # arguments that say how often or how wide


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STRING = _words(
    "capitalize casefold count endswith find index isalnum isalpha isascii isdecimal isdigit isidentifier islower "
    "isnumeric isspace istitle isupper join lower lstrip partition removeprefix removesuffix replace rfind rindex "
    "rpartition rsplit rstrip split splitlines startswith strip swapcase title upper"
)
_METHODS: Mapping[type, frozenset[str]] = {
    str: _STRING,
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"count", "index"}),
    tuple: frozenset({"count", "index"}),
    float: frozenset({"is_integer"}),
    LoopContext: frozenset({"cycle", "changed"}),
}
_LOOP_VALUES = _words("index index0 revindex revindex0 first last length depth depth0 previtem nextitem")
_FILTERS = _words(
    "abs batch capitalize count d default dictsort fenced first float groupby indent int items join last length list "
    "lower map max min reject rejectattr replace reverse round select selectattr slice sort string striptags sum title "
    "tojson trim truncate unique upper urlencode wordcount"
)
_OF_TEXT = _words("capitalize fenced indent lower replace string striptags title trim truncate upper wordcount")
_JSON = "_json"
_TEXT = "_text"  # no filter that can be written: names of ours begin with no underscore
ROW = "__row__"  # the row, whatever its columns are called
_LAZY = _words("batch items map reject rejectattr reverse select selectattr slice unique")
_TESTS = frozenset(tests.TESTS) - {"callable", "escaped", "sameas"}


# Jinja2 may print whatever it reaches, and a bound method prints its address. So templates never get one: what they get
# can be called, and says what is wrong where it is printed instead.
class Method:
    """A method of a plain value, good for being called and for nothing else."""

    __slots__ = ("_call", "_name")

    def __init__(self, call: Callable[..., Any], name: str) -> None:
        self._call = call
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value = self._call(*args, **kwargs)
        return list(value) if self._name in ("items", "keys", "values") else value

    def __repr__(self) -> str:
        raise SecurityError(f"`{self._name}` is a method: call it with `()`")

    __str__ = __repr__


class Missing(StrictUndefined):
    """A name or item that is not there: an error wherever it would be seen, inside a list as well."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)  # raises


class Sandbox(ImmutableSandboxedEnvironment):
    """Environment for plain data: dict, list, str, numbers, booleans, None."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, *, takes_null: bool = False, gives_json: bool = False) -> None:
        """takes_null: null is written as `None`, for filters; else it is an error. gives_json: values are written as
        JSON, null too."""
        self.takes_null = takes_null
        self.gives_json = gives_json
        super().__init__(
            undefined=Missing,
            keep_trailing_newline=True,
            autoescape=False,
            cache_size=0,
            finalize=_text_or_none if takes_null else text_of,
        )
        # Jinja2's own hold `lipsum`, which is chance
        self.globals = {"range": Method(_range, "range"), "namespace": Namespace}
        self.filters = {name: _filter(name) for name in sorted(_FILTERS)}
        self.filters[_JSON] = _as_json
        self.filters[_TEXT] = text_of  # before every other filter of the name, by `_Meanings`
        self.tests = {name: tests.TESTS[name] for name in sorted(_TESTS)}

    def _generate(self, source: nodes.Template, *more: Any, **options: Any) -> str:
        return super()._generate(self._meant(source), *more, **options)

    def meant(self, text: str) -> nodes.Template:
        """A template as it is compiled: what it means, as `_Meanings` has it."""
        return self._meant(self.parse(text))

    def _meant(self, source: nodes.Template) -> nodes.Template:
        assigned = {name.name for name in source.find_all(nodes.Name) if name.ctx != "load"}
        found: nodes.Template = _Meanings(self, assigned).visit(source)
        return found

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`obj.attribute`: a key of an object, else a listed method, else an item; `obj.attribute()` calls a method."""
        called = attribute.removesuffix("()")
        # a column called `items` is a column; without this it would be the method, as in Python
        if type(obj) is dict and called == attribute and attribute in obj:
            return obj[attribute]
        attribute = called
        methods = _METHODS.get(type(obj))
        if methods is not None and attribute in methods:
            return Method(getattr(obj, attribute), attribute)
        return self._item(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`obj[argument]`: an item, else a listed method, as in Jinja2."""
        found = self._item(obj, argument)
        if isinstance(found, Undefined) and isinstance(argument, str):
            return self.getattr(obj, argument)
        return found

    def _item(self, obj: Any, key: Any) -> Any:
        if isinstance(obj, Undefined):
            raise_it: Callable[[], Any] = obj._fail_with_undefined_error
            return raise_it()
        if type(obj) is LoopContext and key in _LOOP_VALUES:
            return getattr(obj, key)
        if isinstance(obj, filters._GroupTuple) and key in ("grouper", "list"):
            return getattr(obj, key)
        if isinstance(obj, Namespace) and isinstance(key, str) and not key.startswith("_"):
            return getattr(obj, key, None) if hasattr(obj, key) else self.undefined(obj=obj, name=key)
        if isinstance(obj, (dict, list, tuple, str)):
            try:
                return obj[key]
            except (TypeError, LookupError, AttributeError):
                pass
        if isinstance(key, str) and key.startswith("_"):
            return self.unsafe_undefined(obj, key)
        return self.undefined(obj=obj, name=key)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805
        """Methods of plain values, macros, `range`, `namespace` and recursive loops; nothing else."""
        if isinstance(__obj, Undefined):
            return __obj()  # raises, naming what is undefined
        if isinstance(__obj, (Method, Macro, LoopContext)) or __obj is Namespace:
            return __context.call(__obj, *args, **kwargs)
        raise SecurityError(f"a value of type {type(__obj).__name__} cannot be called")

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            return _times(left, right)
        if operator == "**":
            return _power(left, right)
        if isinstance(left, str):
            raise SecurityError("`%` does not format text here: use `~` or the filters")
        return left % right


class _Meanings(NodeTransformer):
    """What a template means where Jinja2 has another word for it, put in before it is compiled.

    `self` is a column; `order.items` is a key and `order.items()` a method; `~` joins texts as they are written.
    """

    def __init__(self, environment: Sandbox, assigned: Set[str]) -> None:
        """assigned: names that the template gives to values of its own, which may hide a column."""
        self._environment = environment
        self._assigned = assigned

    def visit_Name(self, node: nodes.Name) -> nodes.Expr:  # noqa: N802
        if node.name != "self" or node.ctx != "load":
            return node
        row, key = nodes.Name(ROW, "load"), nodes.Const("self")
        return self._placed(nodes.Getitem(row, key, "load"), node)

    def visit_Call(self, node: nodes.Call) -> nodes.Call:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.node, nodes.Getattr) and node.node.attr in _METHODS[dict]:
            node.node = self._placed(nodes.Getattr(node.node.node, f"{node.node.attr}()", "load"), node)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Concat:  # noqa: N802
        node.nodes = [self._written(part) for part in node.nodes]
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Filter:  # noqa: N802
        if node.name in _OF_TEXT and node.node is not None and self._column(node.node):
            node.node = self._written(node.node)
        self.generic_visit(node)
        return node

    def visit_Output(self, node: nodes.Output) -> nodes.Output:  # noqa: N802
        if self._environment.gives_json:
            self.generic_visit(node)
            node.nodes = [self._placed(nodes.Filter(part, _JSON, [], [], None, None), part) for part in node.nodes]
            return node
        if not self._environment.takes_null:
            node.nodes = [self._written(part) if self._column(part) else part for part in node.nodes]
        self.generic_visit(node)
        return node

    def _written(self, part: nodes.Expr) -> nodes.Expr:
        """The text of a value; where it is null, the error names its column."""
        column = nodes.Const(self._column(part))
        return self._placed(nodes.Filter(self.visit(part), _TEXT, [column], [], None, None), part)

    def _column(self, node: nodes.Expr) -> str:
        """The column that an expression is, as `n`, `row.n` and `row['n']` are; empty where it is something else."""
        match node:
            case nodes.Name(name=name) if name not in self._assigned:
                return name
            case nodes.Getattr(node=nodes.Name(name="row"), attr=name) if "row" not in self._assigned:
                return name
            case nodes.Getitem(node=nodes.Name(name="row"), arg=nodes.Const(value=str(name))) if (
                "row" not in self._assigned
            ):
                return name
        return ""

    def _placed(self, made: nodes.Expr, node: nodes.Node) -> nodes.Expr:
        return made.set_lineno(node.lineno).set_environment(self._environment)  # type: ignore[return-value]


def _text_or_none(value: Any) -> str:
    return "None" if value is None else text_of(value)


def _range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > MAX_RANGE:
        raise SecurityError(f"a range may have at most {MAX_RANGE:,} numbers")
    return numbers


def _times(left: Any, right: Any) -> Any:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, (str, list, tuple)) and isinstance(other, int) and len(one) * other > MAX_SEQUENCE:
            raise SecurityError(f"`*` would make more than {MAX_SEQUENCE:,} items")
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())
    return left * right


def _power(left: Any, right: Any) -> Any:
    # 2 ** 2 ** 40 would take the memory before any limit of time is reached
    if isinstance(left, int) and isinstance(right, int) and right > 0:
        _check_bits(left.bit_length() * right)
    return left**right


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise SecurityError(f"the number would have more than {MAX_BITS:,} bits")


def bounded(name: str) -> Callable[..., Any]:
    """The filter of a name, with a bound on what it makes."""
    found: Callable[..., Any] = _BOUNDED.get(name) or filters.FILTERS[name]
    return found


def _filter(name: str) -> Callable[..., Any]:
    found = bounded(name)
    if name in _OF_TEXT:
        return _of_text(found)
    return _listed(found) if name in _LAZY else found


def _of_text(found: Callable[..., Any]) -> Callable[..., Any]:
    """The same filter of the text that a value is written as."""
    at = 1 if getattr(found, "jinja_pass_arg", None) else 0

    def whole(*args: Any, **kwargs: Any) -> Any:
        value = args[at] if len(args) > at else None
        if len(args) > at and not isinstance(value, (str, Undefined)):
            args = (*args[:at], text_of(value), *args[at + 1 :])
        return found(*args, **kwargs)

    whole.__dict__.update(found.__dict__)
    return whole


def _listed(lazy: Callable[..., Any]) -> Callable[..., Any]:
    """The same filter giving a list: a generator would print its memory address."""

    def whole(*args: Any, **kwargs: Any) -> Any:
        value = lazy(*args, **kwargs)
        return value if isinstance(value, (str, list)) else list(value)

    # what the filter wants as its first argument (context, environment) is marked on the function
    whole.__dict__.update(lazy.__dict__)
    return whole


def _at_most(value: Any, bound: int, what: str) -> Any:
    if isinstance(value, (int, float)) and abs(value) > bound:
        raise SecurityError(f"{what} may be at most {bound:,}")
    if isinstance(value, str) and len(value) > bound:
        raise SecurityError(f"{what} may have at most {bound:,} characters")
    return value


def _batch(value: Iterable[Any], linecount: int, fill_with: Any = None) -> Any:
    return filters.do_batch(value, _at_most(linecount, MAX_COUNT, "`batch`"), fill_with)


def _slice(value: Any, slices: int, fill_with: Any = None) -> Any:
    return filters.sync_do_slice(value, _at_most(slices, MAX_COUNT, "`slice`"), fill_with)


def _indent(s: str, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    return filters.do_indent(s, _at_most(width, MAX_COUNT, "`indent`"), first, blank)


def _round(value: float, precision: int = 0, method: Any = "common") -> float:
    return filters.do_round(value, _at_most(precision, 100, "the precision of `round`"), method)


def _replace(s: Any, old: Any, new: Any, count: int | None = None) -> str:
    text, old, new = str(s), str(old), str(new)
    if len(new) > len(old) and len(text) + text.count(old) * (len(new) - len(old)) > MAX_REPLACED:
        raise SecurityError("`replace` would make too long a text")
    return text.replace(old, new, -1 if count is None else count)


def _fenced(s: str) -> str:
    """The text between two lines of backticks, more of them than stand anywhere in it: it cannot end itself."""
    longest = max(map(len, re.findall("`+", s)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{s}\n{fence}"


def _as_json(value: Any) -> str:
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    return json_of(value)


def _tojson(value: Any, indent: int | None = None) -> str:
    """JSON for a prompt: no HTML escapes, no markup type that would escape what it is joined with."""
    _at_most(indent, 16, "the indent of `tojson`")
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


@pass_environment
def _join(environment: Sandbox, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(filters.make_attrgetter(environment, attribute), value)
    return str(d).join(map(text_of, value))


def _default(value: Any, default_value: Any = "", boolean: bool = False) -> Any:
    """Also for null, which is as good as missing."""
    return default_value if value is None else filters.do_default(value, default_value, boolean)


_BOUNDED: Mapping[str, Callable[..., Any]] = {
    "d": _default,
    "default": _default,
    "batch": _batch,
    "slice": _slice,
    "fenced": _fenced,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "tojson": _tojson,
}
