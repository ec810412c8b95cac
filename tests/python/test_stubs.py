"""Stubs, docstrings and the module are in step; a user's program passes mypy --strict."""
import ast
import importlib.util
import inspect
import os
import pathlib
import re
import subprocess
import sys

import pytest

import shoal
from shoal import _shoal

HERE = pathlib.Path(__file__).parent
PACKAGE = pathlib.Path(os.path.realpath(shoal.__file__)).parent
STUB = ast.parse((PACKAGE / "_shoal.pyi").read_text())
PUBLIC = {
    "Actor", "Context", "Error", "Node", "Pending", "Promise", "RESUME", "Reason", "Ref", "STOP", "Timer", "handler", "sim", "sleep",
    "__version__", "Timeout", "NotFound", "NotRunning", "MailboxFull", "NoHandler", "BadValue", "HandlerError", "Unreachable",
    "Refused", "NameTaken", "BadAddress", "Closed", "LimitReached", "Unsupported", "Usage",
}


def mypy(*args):
    return subprocess.run(["/usr/bin/python3", "-m", "mypy", "--cache-dir=/dev/null", "--python-version=3.11", *args],
                          capture_output=True, text=True, cwd="/", env={**os.environ, "MYPYPATH": str(PACKAGE.parent)})


def test_public_names():
    assert set(shoal.__all__) == PUBLIC
    assert {n for n in vars(shoal) if not n.startswith("_")} - {"annotations"} == PUBLIC - {"__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", shoal.__version__)


def test_stub_names_what_the_module_has():
    top = {n.name: n for n in STUB.body if isinstance(n, (ast.ClassDef, ast.FunctionDef))}
    values = {n.target.id for n in STUB.body if isinstance(n, ast.AnnAssign)}
    real = {n for n in dir(_shoal) if not n.startswith("__")}
    assert real == {n for n in top if not n.startswith("_")} | values
    for name, node in top.items():
        if name.startswith("_") or not isinstance(node, ast.ClassDef) or name in ("Verb", "Task", "Spec", "ActorBase"):
            continue
        stub = {m.name for m in node.body if isinstance(m, ast.FunctionDef)}
        stub |= {m.target.id for m in node.body if isinstance(m, ast.AnnAssign)}
        members = {m for m in vars(getattr(_shoal, name)) if not m.startswith("__")}
        assert members == {m for m in stub if not m.startswith("__")}, name


def test_docstrings():
    """What it does, its errors or since, for every public function; the first line is its signature for C functions."""
    for name in PUBLIC - {"RESUME", "STOP", "__version__"}:
        thing = getattr(shoal, name)
        assert inspect.getdoc(thing), name
        if not inspect.isclass(thing) or issubclass(thing, BaseException):
            assert "Since 0.1.0" in inspect.getdoc(thing) or issubclass(thing, BaseException), name
            continue
        for member in dir(thing):
            if member.startswith("_") or member == "cx" or name == "Reason":
                continue
            doc = inspect.getdoc(getattr(thing, member)) or ""
            assert "Since 0.1.0" in doc, f"{name}.{member}"


@pytest.mark.skipif(not pathlib.Path("/usr/lib/python3/dist-packages/mypy").exists(), reason="mypy is not installed")
def test_mypy_strict():
    done = mypy("--strict", str(HERE / "typed_program.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    bad = HERE / "typed_program.py"
    assert "kind" in bad.read_text()
    done = mypy("--strict", "-c", "import shoal\nn = shoal.Node(lissten=[])\nn.spawn(int)\nx: int = n.peer_id\n")
    assert done.returncode == 1 and done.stdout.count("error:") == 3, done.stdout


def test_typed_program_runs():
    done = subprocess.run([sys.executable, "-W", "error", str(HERE / "typed_program.py")], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr


def test_bindings_cover_the_abi():
    tool = HERE.parents[1] / "tools" / "bindcov.py"
    spec = importlib.util.spec_from_file_location("bindcov", tool)
    bindcov = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bindcov)
    assert bindcov.faults(HERE.parents[1], ["python"]) == []
