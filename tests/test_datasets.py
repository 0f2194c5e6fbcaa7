"""Inputs from files, settings and draws: what they become, and what each mistake is told."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradc import datasets, tables
from gradc.errors import GradcError, InputError
from gradc.frontends.text import program
from gradc.program import Program

LOGISTIC = program("""
w: param[d]
b: param = 0.5
x: data[n, d]
t: data[n]
mean(bce(sigmoid(x @ w + b), t))
""")
LABELLED = program("""
w: param[d, K]
x: data[n, d]
t: index[n]
first: index
mean(cross_entropy(softmax(x @ w), t)) + w[0, first]
""")

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def load(path: Path, of: Program = LOGISTIC, **columns: list[str]) -> dict[str, Any]:
    return datasets.load([path], of.inputs, columns)


def refused(*parts: str) -> Any:
    """Expects an InputError whose text has all of these in this order."""
    return pytest.raises(InputError, match="(?s)" + ".*".join(map(_literal, parts)))


def _literal(text: str) -> str:
    return "".join(c if c.isalnum() or c == "'" else f"\\{c}" for c in text)


# settings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("w=2", 2),
        (" w = -1.5e-3 ", -1.5e-3),
        ("w=[1, 2.5]", [1.0, 2.5]),
        ("w=[[1,2],[3,4]]", [[1, 2], [3, 4]]),
        ("w=(1, 2)", [1, 2]),
        ("\uff57=1", 1),
        ("w=100000000000000000000", 1e20),
    ],
)
def test_setting(text: str, value: Any) -> None:
    name, given = datasets.setting(text)
    assert name == "w"
    assert np.array_equal(given, value)


@pytest.mark.parametrize(
    "value",
    [
        *("nan", "inf", "-inf", "abc", "'1'", "True", "1+2j", "{}", "[1, [2]]", "[1, None]", "1;2", "1e5_"),
        *("[" * 10_000, "9" * 5000, '__import__("os").system("touch pwned")', "().__class__", "1 if 1 else 2"),
    ],
)
def test_setting_of_anything_but_numbers(value: str) -> None:
    with refused("input 'w': expected a finite number or a list of them, given '"):
        datasets.setting(f"w={value}")


@pytest.mark.parametrize("text", ["w", "w=", "=3", ""])
def test_setting_that_is_none(text: str) -> None:
    with refused("cannot read the setting", "write NAME=VALUE"):
        datasets.setting(text)


def test_dimension() -> None:
    assert datasets.dimension("n=1000") == ("n", 1000)
    assert datasets.dimension(" n = 0 ") == ("n", 0)


@pytest.mark.parametrize("text", ["n", "n=", "n=-1", "n=1.5", "n=٣", "n=" + "9" * 40, "=3"])
def test_dimension_that_is_none(text: str) -> None:
    with refused("cannot read the length", "write DIM=LENGTH"):
        datasets.dimension(text)


def test_choice() -> None:
    assert datasets.choice("x=a, b,c") == ("x", ["a", "b", "c"])
    assert datasets.choice('x="a,b",c') == ("x", ["a,b", "c"])
    for text in ("x", "x=", "x=a,,b", "=a"):
        with refused("cannot read the columns", "write NAME=COLUMN"):
            datasets.choice(text)


# files


def test_npz(tmp_path: Path) -> None:
    x = np.arange(6.0).reshape(3, 2)
    np.savez(tmp_path / "a.npz", x=x, t=np.array([True, False, True]))
    found = load(tmp_path / "a.npz")
    assert list(found) == ["x", "t"]
    assert np.array_equal(found["x"], x)
    assert found["t"].dtype == np.float64
    assert np.array_equal(found["t"], [1, 0, 1])


def test_npz_with_something_else(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, xs=np.ones(2))
    with refused("unknown input 'xs' in", "a.npz", "did you mean 'x'?"):
        load(path)
    np.savez(path, x=np.array([["a"]]))
    with refused("input 'x': expected numbers, given text"):
        load(path)
    np.savez(path, x=np.array([[1j]]))
    with refused("input 'x': expected numbers, given complex numbers"):
        load(path)
    np.savez(path, x=np.array([[1, 2], [np.inf, 3]]))
    with refused("input 'x': expected a finite number, given inf at [1, 0]"):
        load(path)


class Trap:
    """Something that leaves a trace when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("pwned"),)


def test_npz_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", x=np.array([Trap()], dtype=object))
    Path("b.npz").write_bytes(pickle.dumps(Trap()))
    for name in ("a.npz", "b.npz"):
        with refused(f"cannot read '{name}': not a .npz file of number arrays"):
            load(Path(name))
    assert not Path("pwned").exists()


@pytest.mark.parametrize("name", ["a.npz", "a.csv", "a.parquet"])
def test_files_that_are_something_else(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff\x00PK\x03\x04" + bytes(range(256)))
    with refused("cannot read", name, "not a"):
        load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "missing" / name)


def test_unknown_kind_of_file(tmp_path: Path) -> None:
    with refused("cannot read", "a.xlsx", "expected a .npz, .csv or .parquet file"):
        load(tmp_path / "a.xlsx")


def test_csv(write: Write) -> None:
    path = write("a.csv", '\ufeffheight,t,"age, in years"\n1.5,0,3\n\n-2e3,1, 4 \n')
    found = load(path, x=["age, in years", "height"])
    assert list(found) == ["x", "t"]
    assert np.array_equal(found["x"], [[3, 1.5], [4, -2000]])
    assert np.array_equal(found["t"], [0, 1])
    assert np.array_equal(load(path, t=["height"])["t"], [1.5, -2000])


def test_csv_without_rows(write: Write) -> None:
    found = load(write("a.csv", "a,b,t\n"), x=["a", "b"])
    assert found["x"].shape == (0, 2)
    assert found["t"].shape == (0,)


def test_csv_column_of_a_scalar_or_a_matrix_is_left_alone(write: Write) -> None:
    assert load(write("a.csv", "b,x\n1,2\n")) == {}


@pytest.mark.parametrize("cell", ["", " ", "nan", "NaN", "inf", "-Infinity", "1e999", "one", "1_000", "0x10"])
def test_csv_cell_that_is_no_number(cell: str, write: Write) -> None:
    path = write("a.csv", f"a,b,t\n1,2,0\n3,{cell},1\n")
    given = f"'{cell}'" if cell.strip() else "nothing"
    with refused(f"input 'x': expected a finite number, given {given} (", "a.csv:3, row 2, column 'b')"):
        load(path, x=["a", "b"])
    assert np.array_equal(load(path)["t"], [0, 1])


def test_csv_mistakes(write: Write) -> None:
    path = write("a.csv", "height,weight,t\n1,2,0\n3,1\n")
    with refused("a.csv:3: row 2 has 2 cells, expected 3"):
        load(path)
    path = write("a.csv", "height,weight,t\n1,2,0\n")
    with refused("input 'x': ", "a.csv has no column 'hight'", "did you mean 'height'?"):
        load(path, x=["hight", "weight"])
    with refused("input 'x': ", "a.csv has no column 'q'", "it has: height, weight, t"):
        load(path, x=["height", "q"])
    with refused("unknown input 'xx' in --columns", "did you mean 'x'?"):
        load(path, xx=["height"])
    with refused("input 't': expected t: data[n], 2 columns do not make one"):
        load(path, t=["height", "weight"])
    with refused("input 'b': expected b: param = 0.5, 1 column does not make one"):
        load(path, b=["height"])
    with refused("expected a first row with the names"):
        load(write("b.csv", ""))
    with refused("input 't': ", "c.csv has 2 columns 't'"):
        load(write("c.csv", "t,t\n1,2\n"))
    with refused("input 'x': there is no table to take columns from"):
        datasets.load([], LOGISTIC.inputs, {"x": ["a"]})


def test_the_same_input_in_two_files(write: Write) -> None:
    paths = [write("a.csv", "t\n1\n"), write("b.csv", "t\n2\n")]
    with refused("input 't' is given twice, the second time in", "b.csv"):
        datasets.load(paths, LOGISTIC.inputs)


def test_columns_of_two_tables(write: Write) -> None:
    paths = [write("a.csv", "a,b\n1,2\n"), write("b.csv", "label\n3\n")]
    found = datasets.load(paths, LOGISTIC.inputs, {"t": ["label"], "x": ["a", "b"]})
    assert np.array_equal(found["x"], [[1, 2]])
    assert np.array_equal(found["t"], [3])


def test_parquet(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"a": [1.5, 2.5], "b": [1, 2], "t": [True, False], "hole": [1.0, None]}), path)
    found = load(path, x=["a", "b"])
    assert np.array_equal(found["x"], [[1.5, 1], [2.5, 2]])
    assert np.array_equal(found["t"], [1, 0])
    with refused("input 't': expected a finite number, given nothing (", "a.parquet, row 2, column 'hole')"):
        load(path, t=["hole"])
    with refused("input 't': ", "a.parquet has no column 'c'"):
        load(path, t=["c"])


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(tables.importlib, "import_module", missing)
    with refused("need pyarrow", "pip install gradc[parquet]"):
        load(tmp_path / "a.parquet")


# completion


GIVEN = {"w": np.ones(2), "x": np.ones((3, 2)), "t": np.zeros(3)}


def test_defaults_fill_and_order_is_that_of_the_program() -> None:
    found = datasets.complete(LOGISTIC, {"t": np.zeros(3), "x": [[1, 2]] * 3, "w": (1, 2)})
    assert list(found) == ["w", "b", "x", "t"]
    assert found["b"] == 0.5
    assert type(found["b"]) is float
    assert found["x"].dtype == np.float64
    assert datasets.complete(LOGISTIC, {**GIVEN, "b": np.array(2)})["b"] == 2


def test_what_is_wrong_is_named() -> None:
    with refused("input 'x' is missing: expected x: data[n, d]", "--set x=..."):
        datasets.complete(LOGISTIC, {"w": np.ones(2)})
    with refused("unknown input 'y'", "inputs: w, b, x, t"):
        datasets.complete(LOGISTIC, {**GIVEN, "y": 1})
    with refused("input 'x': expected x: data[n, d], given an array of shape (3,)"):
        datasets.complete(LOGISTIC, {**GIVEN, "x": np.ones(3)})
    with refused("input 'w': expected w: param[d], given a number"):
        datasets.complete(LOGISTIC, {**GIVEN, "w": 1.0})
    with refused("input 'x': expected shape (3, 4), given (3, 2) (d = 4 by 'w')"):
        datasets.complete(LOGISTIC, {**GIVEN, "w": np.ones(4)})
    with refused("input 't': expected shape (3,), given (5,) (n = 3 by 'x')"):
        datasets.complete(LOGISTIC, {**GIVEN, "t": np.ones(5)})
    with refused("input 'x': expected shape (7, 2), given (3, 2) (n = 7 by --dim)"):
        datasets.complete(LOGISTIC, GIVEN, {"n": 7})
    with refused("there is no dim 'nn'", "did you mean 'n'?"):
        datasets.complete(LOGISTIC, GIVEN, {"nn": 7})
    with refused("input 'b': expected a finite number, given nan"):
        datasets.complete(LOGISTIC, {**GIVEN, "b": np.nan})
    with refused("input 'w': expected w: param[d], given rows of different lengths"):
        datasets.complete(LOGISTIC, {**GIVEN, "w": [1, [2]]})


def test_a_missing_input_is_shown_where_it_is_declared() -> None:
    with pytest.raises(GradcError) as caught:
        datasets.complete(LOGISTIC, {"w": np.ones(2)})
    assert (caught.value.line, caught.value.column) == (4, 1)


def test_index_inputs_are_integers() -> None:
    rest = {"w": np.ones((2, 4)), "x": np.ones((3, 2)), "first": 1.0}
    found = datasets.complete(LABELLED, {**rest, "t": [0.0, 3.0, 2.0]})
    assert found["t"].dtype == np.int64
    assert type(found["first"]) is int
    with refused("input 't': expected an integer, given 0.5 at [1]"):
        datasets.complete(LABELLED, {**rest, "t": [0.0, 0.5, 2.0]})
    with refused("input 't': expected an integer, given 1e+30 at [0]"):
        datasets.complete(LABELLED, {**rest, "t": [1e30, 0.5, 2.0]})


def test_lengths_that_are_made_of_dims() -> None:
    packed = program("q: param[d]\nl: param[d*(d-1)//2]\nsum(q)*sum(l)")
    assert datasets.complete(packed, {}, {"d": 4}, seed=1)["l"].shape == (6,)
    with refused("input 'l': expected shape (3,), given (4,) (d = 3 by 'q')"):
        datasets.complete(packed, {"q": np.ones(3), "l": np.ones(4)})
    divided = program("q: param[d]\nl: param[6//d]\nsum(q)*sum(l)")
    assert datasets.complete(divided, {}, {"d": 0}, seed=1)["l"].shape == (0,)


# draws


def test_draws() -> None:
    found = datasets.complete(LOGISTIC, {"x": np.ones((500, 2))}, seed=3)
    assert np.array_equal(found["x"], np.ones((500, 2)))
    assert found["w"].shape == (2,)
    assert found["b"] == 0.5
    assert found["t"].shape == (500,)
    assert abs(found["t"].mean()) < 0.2
    assert abs(found["t"].std() - 1) < 0.2


def test_a_draw_depends_on_the_seed_and_not_on_the_other_inputs() -> None:
    sizes = {"n": 3, "d": 2}
    one = datasets.complete(LOGISTIC, {}, sizes, seed=3)
    assert np.array_equal(one["t"], datasets.complete(LOGISTIC, {"w": np.ones(2)}, sizes, seed=3)["t"])
    assert not np.array_equal(one["t"], datasets.complete(LOGISTIC, {}, sizes, seed=4)["t"])
    assert not np.array_equal(one["t"], one["x"].ravel()[:3])


def test_index_inputs_are_drawn_within_the_axes_they_index() -> None:
    found = datasets.complete(LABELLED, {}, {"n": 300, "d": 2, "K": 5}, seed=0)
    assert found["t"].dtype == np.int64
    assert sorted(set(found["t"].tolist())) == [0, 1, 2, 3, 4]
    assert found["first"] in range(5)


def test_the_shortest_axis_counts() -> None:
    both = program("a: data[n]\nb: data[m]\ni: index[k]\nsum(a[i])*sum(b[i])")
    found = datasets.complete(both, {}, {"n": 1000, "m": 2, "k": 50}, seed=0)
    assert set(found["i"].tolist()) == {0, 1}


def test_what_cannot_be_drawn() -> None:
    with refused("input 'w': the length d is not known", "give it with --dim d=..."):
        datasets.complete(LOGISTIC, {}, {"n": 3}, seed=1)
    counted = program("a: data[n]\ni: index\nsum(a)*i")
    with refused("input 'i': cannot tell the range", "--set i=..."):
        datasets.complete(counted, {}, {"n": 3}, seed=1)
    with refused("input 'first': the axis K it is a position on is empty"):
        datasets.complete(LABELLED, {"t": np.zeros(0)}, {"n": 0, "d": 2, "K": 0}, seed=1)
    for length in (10**15, 10**17):
        with refused(f"input 'x': an array of shape ({length}, 100) is too large"):
            datasets.complete(LOGISTIC, {"w": np.ones(100)}, {"n": length}, seed=1)
