"""Small valid inputs of every target, made by the writers of this package and of the libraries."""

import functools
import gzip
import io

import numpy as np
from int16 import as_int16

from fuzz.archives import bundle, pack

CELLS, PULSES = 12, 4
# What the resumed runs were begun with; as of ``Simulation``, whose results hold no more.
RUN = {"job": "program"}
SETTINGS = {"cells": CELLS, "block": 5, "reads": 2, "pulses": 2, "program": "p", "seed": 1}


def models(folder):
    """A file of our own, one with marginals in pieces, and one in the published layout."""
    import synfab as sf
    from synfab.model.published import GREEK

    made = sf.load_model()
    small = _small(made)
    pieces = sf.CellModel(
        "pieces", np.repeat(small.marginals[:, None, :], 3, axis=1), small.histories,
        small.population, small.conduction,
    )  # fmt: skip
    found = []
    for k, model in enumerate((small, pieces)):
        sf.save_model(model, folder / f"{k}.json")
        found.append((folder / f"{k}.json").read_bytes())
    return [*found, _published(small, GREEK)]


def _small(model):
    import synfab as sf

    histories = {p: model.history(p) for p in (1, 2)}
    return sf.CellModel("small", model.marginals, histories, model.population, model.conduction)


def _published(model, greek):
    import json

    conduction, population = model.conduction, model.population
    document = {
        "HHRS": conduction.hhrs.tolist(), "LLRS": conduction.llrs.tolist(),
        "Umax": conduction.u_max, "wk": population.weights.tolist(),
        greek["marginals"]: model.marginals.tolist(), greek["means"]: population.means.T.tolist(),
        greek["factors"]: np.concatenate(list(population.factors), axis=1).tolist(),
        greek["eta"]: conduction.eta, greek["u_0"]: conduction.u_0,
    }  # fmt: skip
    for p, history in model.histories.items():
        blocks = [history.innovation, *history.lags[::-1]]
        document[f"VAR_{p:03d}"] = np.concatenate(blocks, axis=1).tolist()
    return json.dumps(document).encode()


def arrays(folder):
    import synfab as sf

    small, found = _small(sf.load_model()), []
    for engine, history in (("numba", "float32"), ("numba", "compact"), ("array", "float32")):
        cells = sf.CellArray(small, (2, 3), seed=3, engine=engine, history=history)
        cells.apply_voltage(-2.0).apply_voltage(0.9)
        cells.save(folder / "cells.npz")
        found.append((folder / "cells.npz").read_bytes())
        if (engine, history) == ("numba", "float32"):
            as_int16(folder / "cells.npz")
            found.append((folder / "cells.npz").read_bytes())
    return found


def course():
    """Write and verify of four cells, between two passes."""
    import synfab as sf
    from synfab.programming.pulser import DirectPulser
    from synfab.programming.write_verify import WriteVerify

    cells = sf.CellArray(_small(sf.load_model()), (2, 2), seed=3)
    return WriteVerify(DirectPulser(cells), 1e-4, tolerance=3e-6, retries=5, max_passes=2)


def checkpoints(folder):
    import synfab as sf

    made = course()
    with sf.Checkpoints(folder / "kept", interval=0.0, keep=None).open(RUN) as run:
        made.run(checkpoints=run)
    return [path.read_bytes() for path in sorted((folder / "kept").glob("step-*"))]


def shards(folder):
    import json

    import synfab as sf
    from synfab.model.model_file import document

    small = _small(sf.load_model())
    home = folder / "shards"
    home.mkdir()
    for k in range(2):
        (home / f"shard-{k:06d}.npz").write_bytes(b"read by the workers")
    manifest = {
        "format": "synfab-sharded-cells", "version": 1, "shape": [4, 3], "pulses": 7,
        "read_number": 0, "readout_number": 2, "shards": [[2, 3], [2, 3]],
        "options": {"seed": 1, "order": None, "history": "float32"}, "model": document(small),
    }  # fmt: skip
    (home / "manifest.json").write_text(json.dumps(manifest))
    return [bundle(home)]


def _program():
    return np.linspace(-2.0, 1.5, PULSES * CELLS, dtype=np.float32).reshape(PULSES, CELLS)


def voltages_npy(folder):
    found = []
    for table in (_program(), np.asfortranarray(_program().astype(np.float64))):
        file = io.BytesIO()
        np.save(file, table)
        found.append(file.getvalue())
    return found


def voltages_zarr(folder):
    import zarr
    from numcodecs import Blosc, GZip

    makers = (
        {"compressors": zarr.codecs.ZstdCodec(checksum=True)},
        {"compressors": zarr.codecs.GzipCodec()},
        {"compressors": zarr.codecs.BloscCodec(typesize=4)},
        {"compressors": None},
        {"zarr_format": 2, "compressors": GZip()},
        {"zarr_format": 2, "compressors": Blosc()},
    )
    found = []
    for k, options in enumerate(makers):
        path = folder / f"{k}.zarr"
        made = zarr.create_array(
            store=str(path), shape=(PULSES, CELLS), dtype="f4", chunks=(2, 7), **options
        )
        made[:] = _program()
        found.append(bundle(path))
    return found


def simulations(folder):
    from synfab.simulate.store import Results

    path = folder / "o.zarr"
    path.mkdir()
    results = Results.create(path, SETTINGS)
    for read in range(SETTINGS["reads"]):
        results.write("current", read, 0, np.ones(5))
        results.write("cycle", read, 0, np.ones(5))
    results.finish(0)
    return [bundle(path)]


def programs_csv(folder):
    return [b"voltage\n-2\n1.5\n", b"pulse,voltage,note\n0,-2,set\n1,0.9,\n"]


def programs_parquet(folder):
    import pandas as pd

    frame = pd.DataFrame({"voltage": [-2.0, 0.9, 1.5], "note": ["set", "", "reset"]})
    frame.to_parquet(folder / "p.parquet")
    return [(folder / "p.parquet").read_bytes()]


def expressions(folder):
    return [b"-2, 1.5 x100", b"(-2, (0.9, -1) x 10, 1.5) x 3", b"  -2 , 1e-1 x2 "]


@functools.cache
def points():
    """A table of points of two devices, three loops each."""
    import pandas as pd

    wave = np.concatenate([np.linspace(0, -1.5, 8), np.linspace(-1.5, 1.4, 12),
                           np.linspace(1.4, 0, 8)])  # fmt: skip
    rows = []
    for device in ("A1", "B2"):
        for cycle in range(3):
            current = wave * np.where(np.arange(28) < 8, 1e-6, 1e-4)
            rows.append(pd.DataFrame(
                {"device": device, "cycle": cycle, "voltage": wave, "current": current}
            ))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


@functools.cache
def table():
    """A table of features of two devices, four cycles each."""
    import pandas as pd

    return pd.DataFrame(
        {
            "device": np.repeat([1, 2], 4), "cycle": np.tile(np.arange(4), 2),
            "r_hrs": np.linspace(1e5, 2e5, 8), "r_lrs": np.linspace(4e3, 5e3, 8),
            "u_set": np.full(8, -0.8), "u_reset": np.full(8, 0.7),
        }
    )  # fmt: skip


def texts(folder):
    renamed = points().rename(columns={"voltage": "V [mV]", "current": "I (uA)"})
    renamed["V [mV]"] *= 1e3
    return [
        points().head(60).to_csv(index=False).encode(),
        renamed.head(60).to_csv(index=False, sep=";", decimal=",").encode(),
        table().to_csv(index=False).encode(),
        points().drop(columns=["device", "cycle"]).to_csv(index=False, sep="\t").encode(),
        _instrument(points().drop(columns=["device"]).head(60)),
        _wide().to_csv(index=False, sep=";").encode(),
        b"c1,0,(0;1),SET,1\nc1,1,(0;1),READ,5000\nc1,2,(0;1),RESET,1\nc1,3,(0;1),READ,90000\n" * 2,
    ]


def _instrument(frame):
    """A table below an instrument's own lines, with a line of units, in Windows' letters."""
    above = "Setup;Messger\xe4t 4\r\n# Temp.;25 \xb0C\r\n\r\n"
    units = ";".join({"voltage": "V", "current": "\xb5A"}.get(name, "") for name in frame)
    head, _, rows = frame.to_csv(index=False, sep=";", lineterminator="\r\n").partition("\r\n")
    return f"{above}{head}\r\n{units}\r\n{rows}".encode("cp1252")


def _wide():
    """Three sweeps of one device, a column of current each."""
    import pandas as pd

    first = points().head(28)
    currents = {f"I{k} (uA)": 1e6 * k * first["current"] for k in (1, 2, 3)}
    return pd.DataFrame({"V": first["voltage"], **currents})


def folders(folder):
    """A file a device, and a file a loop."""
    found = []
    for k, part in enumerate((["cycle", "voltage", "current"], ["voltage", "current"])):
        home = folder / str(k)
        home.mkdir()
        for name, frame in points().groupby(["device", "cycle"][: 1 + k]):
            text = "-".join(map(str, name))
            frame[part].to_csv(home / f"{text}.csv", index=False)
        found.append(bundle(home))
    return found


def instruments(folder):
    """Tables with units in lines and columns of their own, blocks, pulses, and no names at all."""
    one = points().head(28)
    v, i = one["voltage"], one["current"]
    pairs = [f"{a},{b}" for a, b in zip(v, i, strict=True)]
    pulses = "".join(f"{v},{v / r}\n0,0\n.2,{.2 / r}\n0,0\n"
                     for _ in range(4) for v, r in ((-1.5, 5e3), (1.2, 9e4)))  # fmt: skip
    return [
        "\n".join(["D1,,D2,", "V,I,V,I", *(f"{p},{p}" for p in pairs)]).encode(),
        "\n".join(["V1,I1,V2,I2,V3,I3", *(",".join([p] * 3) for p in pairs)]).encode(),
        "\n".join(["X,CH1,CH2,Start,", "Sequence,Volt,Ampere,-6e-2,", *(f"0,{p}," for p in pairs)]
                  ).encode(),
        "\n".join(["Reading,Unit,Value,Unit", *(f"{b},Amp DC,{a},Volt DC"
                                                for a, b in zip(v, i, strict=True))]).encode(),
        "\n".join(["Y_Unit_Label\tV\tmA\t", "***End_of_Header***\t",
                   "X_Value\tUntitled\tUntitled 1\tComment",
                   *(f"0\t{p}".replace(",", "\t") for p in pairs)]).encode(),
        "\n".join(["wl,bl,R (ohm),V", *(f"1,{k % 2},{9e3 + k},{a}" for k, a in enumerate(v))]
                  ).encode(),
        "\n".join(["V,I", *pairs, "V,I", *pairs, "V,I", *pairs]).encode(),
        f"V,I\n{pulses}".encode(),
        b"HRS,LRS,HRS,LRS\n" + b"90000,5000,80000,4000\n" * 5,
    ]  # fmt: skip


def easyexperts(folder):
    block = "DataName, V1, I1\n" + "".join(
        f"DataValue, {v}, {i}\n" for v, i in points()[["voltage", "current"]].head(28).to_numpy()
    )
    above = "SetupTitle, IV Sweep\nTestParameter, Channel.IName, I1, I2\n"
    return [f"{above}{block}{block}".encode()]


def packed_texts(folder):
    return [gzip.compress(data, mtime=0) for data in texts(folder)[:3]]


def xlss(folder):
    import xlwt

    found = []
    for frames in ([points().head(28)], [table()], [points().head(28)[["voltage", "current"]]] * 2):
        book = xlwt.Workbook()
        for k, frame in enumerate(frames):
            page = book.add_sheet(f"Append{k}")
            for n, row in enumerate([list(frame.columns), *frame.to_numpy(object).tolist()]):
                for m, value in enumerate(row):
                    page.write(n, m, value)
        book.save(str(folder / "t.xls"))
        found.append((folder / "t.xls").read_bytes())
    return found


def odss(folder):
    space = "urn:oasis:names:tc:opendocument:xmlns"
    found = []
    for frame in (points().head(28), table()):
        rows = "".join(
            "<t:table-row>" + "".join(
                f'<t:table-cell o:value="{value}"/>' if isinstance(value, (int, float)) else
                f"<t:table-cell><x:p>{value}</x:p></t:table-cell>" for value in row)
            + '<t:table-cell t:number-columns-repeated="99"/></t:table-row>'
            for row in [list(frame.columns), *frame.to_numpy(object).tolist()]
        )  # fmt: skip
        content = (
            f'<o:document-content xmlns:o="{space}:office:1.0" xmlns:t="{space}:table:1.0" '
            f'xmlns:x="{space}:text:1.0"><t:table t:name="A">{rows}<t:table-row '
            't:number-rows-repeated="9000"/></t:table></o:document-content>'
        )
        found.append(pack({"content.xml": content.encode()}))
    return found


def tdmss(folder):
    import nptdms

    units = {"voltage": "V", "current": "A"}
    loop = {name: points()[name].to_numpy() for name in units}
    found = []
    for groups in (("Data",), ("D1", "D2"), ("Cycle 1", "Cycle 2")):
        with nptdms.TdmsWriter(folder / "t.tdms") as file:
            file.write_segment([
                nptdms.ChannelObject(group, name, values, {"unit_string": units[name]})
                for group in groups for name, values in loop.items()
            ])  # fmt: skip
        found.append((folder / "t.tdms").read_bytes())
    return found


def mats(folder):
    import scipy.io

    loop = points()["voltage"].to_numpy().reshape(2, 3, 28)
    columns = {name: table()[name].to_numpy() for name in table()}
    found = []
    for content, options in (
        ({"V": loop[0].T, "I": loop[0].T * 1e-5}, {}),
        ({"V": loop[0, 0], "I": loop[0].T * 1e-5}, {"do_compression": True}),
        ({"data": {"V": loop.ravel(), "I": loop.ravel() * 1e-5}}, {"do_compression": True}),
        ({"V": loop.ravel(), "I": loop.ravel() * 1e-5}, {"format": "4"}),
        (columns, {}),
    ):
        scipy.io.savemat(folder / "t.mat", content, **options)
        found.append((folder / "t.mat").read_bytes())
    return found


def blanks(folder):
    return [
        points().head(60).to_csv(index=False, sep=" ").encode(),
        table().to_string(index=False).encode(),
    ]


def excels(folder):
    import pandas as pd

    found = []
    for frame in (points().head(40), table()):
        frame.to_excel(folder / "t.xlsx", index=False)
        found.append((folder / "t.xlsx").read_bytes())
    with pd.ExcelWriter(folder / "t.xlsx") as book:
        for name, frame in points().groupby("device"):
            frame[["voltage", "current"]].head(28).to_excel(book, sheet_name=name, index=False)
    return [*found, (folder / "t.xlsx").read_bytes()]


def parquets(folder):
    import pandas as pd

    loops = pd.DataFrame(
        {"device": ["a", "a"], "voltage": [list(np.linspace(-1, 1, 9))] * 2,
         "current": [list(np.linspace(-1, 1, 9) * 1e-4)] * 2}
    )  # fmt: skip
    numbered = points().assign(device=points()["device"].map({"A1": 1, "B2": 2}))
    found = []
    for frame, packing in (
        (points(), "snappy"), (numbered, "zstd"), (table(), None), (loops, "gzip"),
        (table(), "brotli"),
    ):  # fmt: skip
        frame.to_parquet(folder / "t.parquet", compression=packing)
        found.append((folder / "t.parquet").read_bytes())
    return found


def hdf5s(folder):
    import h5py

    loop = points()["voltage"].to_numpy().reshape(2, 3, 28)
    found = []
    for k, options in enumerate(
        ({}, {"compression": "gzip", "chunks": (1, 3, 28)}, {"compression": "lzf", "shuffle": True},
         {"fletcher32": True, "chunks": (1, 1, 28)})
    ):  # fmt: skip
        with h5py.File(folder / f"{k}.h5", "w") as file:
            file.create_dataset("voltage [mV]", data=loop * 1e3, **options)
            file.create_dataset("current", data=loop * 1e-5, **options)
        found.append((folder / f"{k}.h5").read_bytes())
    with h5py.File(folder / "groups.h5", "w") as file:
        for name in ("a", "b"):
            file[f"{name}/voltage"], file[f"{name}/current"] = loop[0], loop[0] * 1e-5
    return [*found, (folder / "groups.h5").read_bytes()]


def npzs(folder):
    loop = points()["voltage"].to_numpy().reshape(2, 3, 28)
    columns = {name: table()[name].to_numpy() for name in table()}
    found = []
    for save, content in (
        (np.savez, {"voltage": loop[0, 0], "current": loop * 1e-5}),
        (np.savez_compressed, {"voltage": loop, "current": loop * 1e-5}),
        (np.savez_compressed, columns),
        (np.savez, {"r_hrs": np.full((2, 3), 1e5), "r_lrs": np.full((2, 3), 1e4),
                    "u_set": np.full((2, 3), -1.0), "u_reset": np.full((2, 3), 1.0)}),
    ):  # fmt: skip
        file = io.BytesIO()
        save(file, **content)
        found.append(file.getvalue())
    return found


def raws(folder):
    def one(flags, kind):
        values = np.arange(6, dtype=kind).tobytes()
        return (
            f"Title: t\nDate: now\nPlotname: Transient Analysis\nFlags: {flags}\n"
            "No. Variables: 2\nNo. Points: 3\nVariables:\n\t0\ttime\ttime\n"
            "\t1\tv(@n1[r])\tvoltage\nBinary:\n"
        ).encode() + values

    return [one("real", "f8"), one("complex", "c16"), one("real", "f8") * 2]


def netlists(folder):
    return [b"* divider\nv1 a 0 1\nr1 a b 1k\nr2 b 0 1k\n.op\n.end\n"]


def idxs(folder):
    pictures = np.arange(2 * 5 * 4, dtype=np.uint8)
    return [
        bytes([0, 0, 8, 3]) + np.array((2, 5, 4), ">u4").tobytes() + pictures.tobytes(),
        bytes([0, 0, 8, 1]) + np.array((7,), ">u4").tobytes() + b"labels!",
    ]


def packed_idxs(folder):
    return [gzip.compress(data, mtime=0) for data in idxs(folder)]


def layer():
    """A layer of 2 x 3 weights, always the same."""
    import synfab.torch

    return synfab.torch.CrossbarLinear(3, 2, seed=1, order=2)


def states(folder):
    import torch

    torch.save(layer().get_extra_state(), folder / "s.pt")
    return [(folder / "s.pt").read_bytes()]
