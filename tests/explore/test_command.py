"""The command `synfab explore` and the function that it calls."""

import re
import socket
import subprocess
import sys

import pytest
from explorer import answer

import synfab as sf
from synfab.explore.page import serve


def synfab(*arguments, before=""):
    code = f"import sys\n{before}\nfrom synfab.cli.app import main\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_a_missing_package_is_one_line_with_its_cure():
    done = synfab("explore", before="sys.modules['bokeh'] = None")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert 'pip install "synfab[explore]"' in done.stderr


def test_a_port_that_is_taken_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = synfab("explore", "--no-show", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_model_is_one_line():
    done = synfab("explore", "none.json", "--no-show")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("synfab: none.json: cannot read")


@pytest.mark.parametrize("arguments", [("bad.csv",), ("published", "bad.csv")])
def test_a_measurement_that_cannot_be_read_is_one_line(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text("a,b\nx,y\n")
    done = synfab("explore", *arguments, "--no-show")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("synfab: bad.csv: ")
    assert "Traceback" not in done.stderr


def test_columns_without_a_measurement_are_refused():
    done = synfab("explore", "--columns", "voltage=a", "--no-show")
    assert done.returncode == 2
    assert done.stderr == "synfab: --columns: expected a measurement with it\n"


def test_a_measurement_is_served_with_the_published_model(tmp_path):
    rows = "\n".join(f"D,{k},{90_000 + k},-0.7,5000,0.7" for k in range(30))
    (tmp_path / "my.csv").write_text(f"device,cycle,r_hrs,u_set,r_lrs,u_reset\n{rows}\n")
    code = "from synfab.cli.app import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "explore", "my.csv", "--no-show"], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        port = int(re.match(r"http://127\.0\.0\.1:(\d+)/", server.stdout.readline())[1])
        status, _, text = answer(port)
        assert status == 200
        assert "Explorer: published" in text
        assert '"name":"my.csv"' in text
    finally:
        server.terminate()
        try:
            server.wait(120)
        except subprocess.TimeoutExpired:  # a busy machine
            server.kill()
            server.wait(120)
        server.stdout.close()


def test_the_server_needs_a_model_and_its_own_source(published):
    with pytest.raises(sf.InvalidTypeError, match=r"^model: "):
        serve("published")
    other = published.replace(name="other", failure=None, population=published.population)
    altered = other.replace(histories={1: published.histories[1]})
    with pytest.raises(sf.InvalidValueError, match=r"^source: published holds another model"):
        serve(altered, source="published", show=False)
