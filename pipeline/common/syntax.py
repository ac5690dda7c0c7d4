"""What a module does, as a syntax tree, without what people alone read.

Comments and layout are in no tree. Docstrings, annotations of arguments and results, and the wording of messages are
taken out; so are imports, which are told apart from the rest.
"""

import ast
import hashlib
from dataclasses import dataclass
from functools import cache

# Calls for their effect alone that show text to a person, by the last part of their names.
SAYING = {"print", "say", "warn", "debug", "info", "warning", "error", "exception", "critical"}


@dataclass(frozen=True)
class Import:
    """One name that an import binds: a name in `module`, or `module` itself."""

    module: str  # dotted, as it is written
    level: int  # of packages above the one it is imported in; 0 where `module` is absolute
    name: str  # in the module; empty for the module itself
    bound: str  # what it is called here
    used: bool  # by anything but annotations


@dataclass(frozen=True)
class Parsed:
    """What is known of a module from its text alone."""

    does: str  # a hash of its tree; EMPTY where it holds nothing but imports
    imports: tuple[Import, ...]


@cache
def parsed(text: str) -> Parsed:
    """Return what a module's text says; raise SyntaxError where it is no Python."""
    reader = _Reader()
    tree = reader.visit(ast.parse(text))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    imports = tuple(Import(*each, used=not each[2] or each[3] in names) for each in reader.imports)
    return Parsed(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports)


class _Reader(ast.NodeTransformer):
    """Take imports out of a tree, and what people alone read."""

    def __init__(self) -> None:
        self.imports: list[tuple[str, int, str, str]] = []
        self._fields: set[int] = set()

    def visit_Import(self, node: ast.Import) -> None:
        """Note what is imported."""
        self.imports += [(each.name, 0, "", each.asname or each.name) for each in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Note what is imported."""
        self.imports += [(node.module or "", node.level, each.name, each.asname or each.name) for each in node.names]

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Drop what type checkers alone read."""
        if ast.unparse(node.test).split(".")[-1] != "TYPE_CHECKING":
            return self.generic_visit(node)
        node.body = []
        self.generic_visit(node)
        return node.orelse

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Drop the annotation of the result."""
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Drop the annotation of an argument."""
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Note the fields: dataclasses and pydantic make code of their annotations."""
        self._fields |= {id(each) for each in node.body if isinstance(each, ast.AnnAssign)}
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Drop the annotation of a variable."""
        if id(node) not in self._fields and node.value is not None:
            return self.generic_visit(ast.Assign([node.target], node.value, lineno=node.lineno))
        if id(node) not in self._fields:
            node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Drop docstrings and dots, and the wording of what is shown."""
        if isinstance(node.value, ast.Constant):
            return None
        if isinstance(node.value, ast.Call) and _called(node.value) in SAYING:
            _reword(node.value)
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Drop the wording of an error."""
        if isinstance(node.exc, ast.Call):
            _reword(node.exc)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Drop the wording of an error that is made here and raised elsewhere."""
        if _called(node).endswith(("Error", "Warning")):
            _reword(node)
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """Drop the wording of what should not happen."""
        node.msg = None
        return self.generic_visit(node)


def _called(node: ast.Call) -> str:
    """Return the last part of the name that is called; empty where it has none."""
    return getattr(node.func, "attr", "") or getattr(node.func, "id", "")


def _reword(node: ast.Call) -> None:
    """Empty the arguments of a call that are text; an error may carry more than text."""
    node.args = [ast.Constant("") if _is_text(each) else each for each in node.args]
    for keyword in node.keywords:
        keyword.value = ast.Constant("") if _is_text(keyword.value) else keyword.value


def _is_text(node: ast.expr) -> bool:
    """Say whether an expression can be nothing but text."""
    match node:
        case ast.Constant(value=str()) | ast.JoinedStr():
            return True
        case ast.BinOp(left=left, op=ast.Add() | ast.Mod(), right=right):
            return _is_text(left) or _is_text(right)
        case ast.IfExp(body=body, orelse=orelse):
            return _is_text(body) and _is_text(orelse)
        case ast.Call(func=ast.Attribute(value=value)):  # " ".join(...)
            return _is_text(value)
    return False


EMPTY = parsed("").does
