"""Statements: assignments, `if`, helpers and the result. Both arms of an `if` are lowered, and selected from."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct

from gradc.build import Builder
from gradc.errors import ParseError, ShapeError, Source, Span, UnsupportedError
from gradc.extents import Poly
from gradc.frontends.helpers import Helpers
from gradc.frontends.syntax import title
from gradc.ir import Node
from gradc.lower.base import MOST_LOOPS
from gradc.lower.outside import STATEMENTS, TARGETS
from gradc.lower.subscripts import subscript
from gradc.program import Origin, Provenance, Value


class Returned(Struct, frozen=True):
    """A value that is returned where the guard holds; everywhere, if there is none."""

    value: Value
    guard: Value | None


class Arm(Struct, frozen=True):
    """What an arm of an `if` returns and assigns."""

    returned: list[Returned]
    assigned: dict[str, Value]


class Test(Struct, frozen=True):
    """The condition of an `if` or `elif`, and the arm taken where it holds."""

    condition: Value
    opposite: Value
    yes: Arm
    span: Span


class Statements(Helpers):
    """Lowers statements in order. `inputs` are the names of inputs: one that is assigned becomes another value."""

    ends_bare = True
    """Whether an expression at the end is the result, as it is in a text and is not in a Python function."""

    def __init__(self, build: Builder, source: Source, dims: frozenset[str] = frozenset()) -> None:
        super().__init__(build, source, dims)
        self.provenance = Provenance()
        self.inputs: set[str] = set()
        self.bindings: dict[str, int] = {}
        self.local_names: dict[Node, str] = {}

    def result(self, body: Sequence[ast.stmt]) -> Value:
        """Runs a whole body and gives what it returns. Raises ParseError if that is nothing."""
        return self._chosen(self._run(body), body[-1])

    def run_helper(self, tree: ast.FunctionDef) -> Value:
        _, body = title(tree.body)
        return self.result(body)

    def declaration(self, tree: ast.AnnAssign) -> None:
        """A statement `name: annotation`. Raises UnsupportedError where inputs are declared elsewhere."""
        raise UnsupportedError("an annotation is not part of the language here", self.span(tree), "write: name = ...")

    def _chosen(self, returned: list[Returned], last: ast.stmt) -> Value:
        if not returned or returned[-1].guard is not None:
            how = "end with an expression, or `return` one" if self._may_end_bare else "write: return ..."
            hint = how if not returned else "return something in every case"
            raise ParseError(
                "there is no result" if not returned else "not every case has a result", self.span(last), hint
            )
        value = returned[-1].value
        for r in reversed(returned[:-1]):
            assert r.guard is not None
            value = self._select(r.guard, r.value, value, self.span(last))
        return value

    def _run(self, body: Sequence[ast.stmt]) -> list[Returned]:
        """Runs statements until one of them returns in every case."""
        returned: list[Returned] = []
        for position, statement in enumerate(body):
            if returned and returned[-1].guard is None:
                raise ParseError("this is never reached", self.span(statement), "the result is returned before")
            before = len(self.build.graph.nodes)
            try:
                returned += self._statement(statement, last=position == len(body) - 1)
            except RecursionError:
                raise ParseError("nested too deeply", self.span(statement), "give parts of it names") from None
            if not self.inside_helper:
                self._record(statement, before)
        return returned

    def _statement(self, statement: ast.stmt, last: bool) -> list[Returned]:
        match statement:
            case ast.Assign():
                if len(statement.targets) != 1:
                    raise UnsupportedError(
                        "one name is assigned at a time", self.span(statement), "write each on a line of its own"
                    )
                target = statement.targets[0]
                if isinstance(target, ast.Tuple | ast.List):
                    if not target.elts:
                        raise ParseError("no name is assigned", self.span(target), "write: name = expression")
                    names = [self._target(t) for t in target.elts]
                    for name, value in zip(names, self._unpacked(target, statement.value), strict=True):
                        self._assign(name, value)
                elif not self.alias(self._target(target), statement.value):
                    self._assign(self._target(target), self.lower(statement.value))
            case ast.AugAssign():
                name = self._target(statement.target)
                current = ast.copy_location(ast.Name(name, ast.Load()), statement.target)
                updated = ast.copy_location(ast.BinOp(current, statement.op, statement.value), statement)
                self._assign(name, self.lower(updated))
            case ast.AnnAssign():
                self.declaration(statement)
            case ast.If():
                return self._if(statement)
            case ast.FunctionDef():
                if self.inside_helper or self.inside_arm:
                    raise UnsupportedError(
                        "a helper inside another block", self.span(statement), "define it further out"
                    )
                self.define(statement)
            case ast.Return():
                if statement.value is None:
                    raise ParseError("return without a value", self.span(statement), "return the result")
                return [Returned(self.lower(statement.value), None)]
            case ast.Expr():
                return self._bare(statement, last)
            case ast.Pass():
                pass
            case _:
                message, hint = STATEMENTS.get(
                    type(statement), (f"{type(statement).__name__} is not part of the language", None)
                )
                raise UnsupportedError(message, self.span(statement), hint)
        return []

    def _bare(self, statement: ast.Expr, last: bool) -> list[Returned]:
        value = self.lower(statement.value)
        if not self._may_end_bare:
            raise ParseError("an expression alone does nothing", self.span(statement), "write: return ...")
        if not last:
            hint = "assign it to a name"
            raise ParseError("only the last statement can be the result", self.span(statement), hint)
        return [Returned(value, None)]

    @property
    def _may_end_bare(self) -> bool:
        return self.ends_bare and not self.inside_helper and not self.inside_arm

    # assignment

    def _target(self, target: ast.expr) -> str:
        if not isinstance(target, ast.Name):
            message, hint = TARGETS.get(type(target), ("only names can be assigned", "write: name = expression"))
            raise UnsupportedError(message, self.span(target), hint)
        self.check_name(target.id, target)
        return target.id

    def _unpacked(self, target: ast.Tuple | ast.List, tree: ast.expr) -> Sequence[Value]:
        """A value for each of several names: of a list as long, of a shape, or along the first axis of an array."""
        count, span = len(target.elts), self.span(target)
        if isinstance(tree, ast.Tuple | ast.List) and not any(isinstance(e, ast.Starred) for e in tree.elts):
            values = [self.lower(e) for e in tree.elts]
        elif isinstance(tree, ast.Attribute) and tree.attr == "shape":
            values = [Value(self.build.length(length)) for length in self.lower(tree.value).shape]
        else:
            value = self.lower(tree)
            if not value.axes:
                raise ShapeError(f"{_counted(count, 'name')} for a number", span)
            self.arrays.agree(value.shape[0], Poly.const(count), _counted(count, "name"), span, stretch=False)
            turns = (Value(self.build.const(k)) for k in range(count))
            values = [subscript(self.arrays, value, [k], span) for k in turns]
        if len(values) != count:
            raise ShapeError(f"{_counted(count, 'name')} for {_counted(len(values), 'value')}", span)
        return values

    def _assign(self, name: str, value: Value) -> None:
        self.bind(name, value)
        if value.node.op in ("const", "dim", "index", "input"):
            return
        if self.inside_helper or self.inside_arm:
            self.local_names.setdefault(value.node, name)
            return
        times = self.bindings[name] = self.bindings.get(name, 0) + 1
        shown = name if times == 1 and name not in self.inputs else f"{name}_{times + (name in self.inputs)}"
        self.provenance.names.setdefault(value.node, shown)

    def _record(self, statement: ast.stmt, before: int) -> None:
        """Every node the statement made comes from it, unless a statement inside it made the node."""
        span = self.span(statement)
        text = self.source.line(span.line).split("#")[0].strip()
        if statement.end_lineno not in (None, statement.lineno):
            text += " ..."
        target = getattr(statement, "target", None) or getattr(statement, "targets", [None])[0]
        if isinstance(target, ast.Tuple | ast.List):
            target = target.elts[0]
        origin = Origin(text, span, target.id if isinstance(target, ast.Name) else "result")
        for node in self.build.graph.nodes[before:]:
            self.provenance.origins.setdefault(node, origin)
            if len(node.indices) > MOST_LOOPS:
                raise UnsupportedError(f"more than {MOST_LOOPS} loops inside one another", span, "use fewer axes")
        if not self.inside_arm:
            for node, name in self.local_names.items():
                self.provenance.names.setdefault(node, name)
            self.local_names.clear()

    # if

    def _if(self, tree: ast.If) -> list[Returned]:
        """All arms are lowered; what they assign and return is selected, so that only the arm taken counts.

        An `elif` is an `if` in the other arm of the one before; a chain of them is put together from its end.
        """
        first, *others = _chain(tree)
        tests = [self._test(first)]
        for link in others:
            with self._otherwise(link):
                tests.append(self._test(link))
        no = self._arm([first, *others][-1].orelse)
        for link, test in zip(reversed(others), reversed(tests[1:]), strict=True):
            with self._otherwise(link) as before:
                returned = self._chosen_arm(test, no)
                no = Arm(returned, {name: self.names[name] for name in before if name in self.names})
        return self._chosen_arm(tests[0], no)

    def _test(self, tree: ast.If) -> Test:
        condition = self.lower(tree.test)
        condition = Value(self.build.convert(condition.node, "bool"), condition.axes)
        opposite = Value(self.build.op("not", condition.node), condition.axes)
        return Test(condition, opposite, self._arm(tree.body), self.span(tree))

    @contextmanager
    def _otherwise(self, tree: ast.If) -> Iterator[dict[str, Value | None]]:
        """Lowers a part of a statement that stands in the other arm of an `if`."""
        made = len(self.build.graph.nodes)
        with self.arm() as before:
            yield before
            if not self.inside_helper:
                self._record(tree, made)

    def _chosen_arm(self, test: Test, no: Arm) -> list[Returned]:
        """What an `if` with these arms returns; assigns what they assign."""
        yes, condition, span = test.yes, test.condition, test.span
        over_yes, over_no = (bool(arm.returned) and arm.returned[-1].guard is None for arm in (yes, no))
        for name in {**yes.assigned, **no.assigned}:
            a, b = (arm.assigned.get(name) or self.names.get(name) for arm in (yes, no))
            if over_yes and over_no:
                continue
            value = b if over_yes else a if over_no else None
            if value is None and a is not None and b is not None:
                value = self._merged(name, condition, a, b, span)
                self.local_names.pop(a.node, None)
                self.local_names.pop(b.node, None)
            if value is None:
                self.unassign(name, f"'{name}' is assigned in one arm of the `if` alone", span)
            else:
                self._assign(name, value)
        taken, other = (self._joined(arm.returned, span) for arm in (yes, no))
        return self._either(condition, test.opposite, taken, other, span)

    def _joined(self, returned: list[Returned], span: Span) -> Returned | None:
        """What is returned, as one: where guards overlap, by the first."""
        if not returned:
            return None
        joined = returned[-1]
        for r in reversed(returned[:-1]):
            assert r.guard is not None
            value = self._select(r.guard, r.value, joined.value, span)
            guard = joined.guard and self.arrays.elementwise("or", [r.guard, joined.guard], span)
            joined = Returned(value, guard)
        return joined

    def _either(
        self, condition: Value, opposite: Value, yes: Returned | None, no: Returned | None, span: Span
    ) -> list[Returned]:
        """What an `if` returns whose arms return these."""
        guarded = [self._under(r, c, span) for r, c in ((yes, condition), (no, opposite)) if r is not None]
        if yes is None or no is None:
            return guarded
        value = self._select(condition, yes.value, no.value, span)
        if yes.guard is None and no.guard is None:
            return [Returned(value, None)]
        guards = [r.guard for r in guarded if r.guard is not None]
        return [Returned(value, self.arrays.elementwise("or", guards, span))]

    def _arm(self, body: Sequence[ast.stmt]) -> Arm:
        """What an arm returns and assigns; the names are then what they were."""
        with self.arm() as before:
            returned = self._run(body)
            return Arm(returned, {name: self.names[name] for name in before if name in self.names})

    def _merged(self, name: str, condition: Value, a: Value, b: Value, span: Span) -> Value:
        if not condition.axes and len(a.axes) != len(b.axes):
            message = f"'{name}' has {len(a.axes)} axes in one arm of the `if` and {len(b.axes)} in the other"
            raise ShapeError(message, span, "give it the same shape in both")
        return self._select(condition, a, b, span)

    def _select(self, condition: Value, a: Value, b: Value, span: Span) -> Value:
        return a if a == b else self.arrays.select(condition, a, b, span)

    def _under(self, r: Returned, condition: Value, span: Span) -> Returned:
        guard = condition if r.guard is None else self.arrays.elementwise("and", [condition, r.guard], span)
        return Returned(r.value, guard)


def _chain(tree: ast.If) -> list[ast.If]:
    """An `if` with its `elif`s."""
    links = [tree]
    while len(links[-1].orelse) == 1 and isinstance(links[-1].orelse[0], ast.If):
        links.append(links[-1].orelse[0])
    return links


def _counted(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"
