import pytest

from pipeline.common.syntax import EMPTY, parsed

SAME = {
    "comments and layout": ("x = f(1,\n      2)", "# why\nx = f(1, 2)  # how\n"),
    "docstrings": ('"""A."""\nclass A:\n    """B."""\n    x = 1\n', "class A:\n    x = 1\n"),
    "dots": ('def f():\n    """Do."""\n', "def f(): ...\n"),
    "annotations of functions": (
        "def f(x: int, *y: int, z: str = 'a') -> int: return x",
        "def f(x, *y, z='a'): return x",
    ),
    "annotations of variables": (
        "def f():\n    x: int = 1\n    self.y: int = 2",
        "def f():\n    x = 1\n    self.y = 2",
    ),
    "an error's words": ("raise ValueError(f'no {x}')", "raise ValueError('none: ' + str(y))"),
    "an error's words, joined": ("raise E(', '.join(x))", "raise E('; '.join(y) if z else f'{y}')"),
    "an error that is raised elsewhere": ("return UserError(f'no {x}')", "return UserError('none')"),
    "a message of a keyword": ("raise E(code, text='a')", "raise E(code, text='b')"),
    "what is printed": ("print(f'{x} done', file=out)", "print('did %s' % x, file=out)"),
    "what is logged": ("log.warning('a')", "log.warning('b')"),
    "what is said beside a bar": ("progress.say(f'{a}')", "progress.say('a')"),
    "what should not happen": ("assert x, 'no x'", "assert x"),
    "imports for type checkers": ("if typing.TYPE_CHECKING:\n    import a\nelse:\n    x = 1", "x = 1"),
}
OTHER = {
    "a constant": ("x = 1", "x = 2"),
    "a constant's type": ("x = 1", "x = 1.0"),
    "an operator": ("x = a + b", "x = a - b"),
    "a comparison": ("x = a < b", "x = a <= b"),
    "an op": ("x = torch.relu(a)", "x = torch.gelu(a)"),
    "a default": ("def f(x=1): return x", "def f(x=2): return x"),
    "a field": ("class A:\n    x: int = 1", "class A:\n    x: int = 2"),
    "a field's type": ("class A:\n    x: int", "class A:\n    x: str"),
    "the order of fields": ("class A:\n    x: int\n    y: int", "class A:\n    y: int\n    x: int"),
    "text that is no message": ("x = torch.zeros(1, device='cpu')", "x = torch.zeros(1, device='cuda')"),
    "what an error carries beside text": ("raise Overflow(cuts)", "raise Overflow(others)"),
    "which error is raised": ("raise ValueError('a')", "raise KeyError('a')"),
    "what is asserted": ("assert x, 'a'", "assert y, 'a'"),
    "what a function prints of": ("y = print('a')", "y = print('b')"),  # its result is used: it may be anything
    "a decorator": ("@a\ndef f(): return 1", "@b\ndef f(): return 1"),
    "the order of steps": ("f()\ng()", "g()\nf()"),
    "what is run outside of type checking": ("if not TYPE_CHECKING:\n    x = 1", "if not TYPE_CHECKING:\n    x = 2"),
}


def does(text: str) -> str:
    return parsed(text.replace("return ", "x = ") if text.startswith("return") else text).does


@pytest.mark.parametrize("change", SAME)
def test_what_people_alone_read_does_not_count(change):
    before, after = SAME[change]
    assert does(before) == does(after)


@pytest.mark.parametrize("change", OTHER)
def test_what_code_does_counts(change):
    before, after = OTHER[change]
    assert does(before) != does(after)


def test_imports_are_distinguished_and_those_for_annotations_alone_are_known():
    text = "import a.b\nfrom c import d as e, f\nfrom .g import h\n"
    found = parsed(text + "def x(y: f) -> f:\n    from i import j\n    return e(j)\n").imports
    assert [(each.module, each.level, each.name, each.bound, each.used) for each in found] == [
        ("a.b", 0, "", "a.b", True),
        ("c", 0, "d", "e", True),
        ("c", 0, "f", "f", False),
        ("g", 1, "h", "h", False),
        ("i", 0, "j", "j", True),
    ]
    assert parsed("import a\nfrom b import c\n").does == parsed('"""A package."""\n').does == EMPTY


def test_a_field_s_annotation_uses_its_import():
    assert parsed("from a import B\nclass C:\n    x: B\n").imports[0].used
