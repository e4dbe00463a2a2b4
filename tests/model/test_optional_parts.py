"""Parts of a model that the published one does not have: files, identity, errors."""

import json
import pickle

import numpy as np
import pytest
from optional_models import model_with_every_part

import synfab as sf
from synfab.model.model_file import document, parse


@pytest.fixture(scope="module")
def whole():
    return model_with_every_part()


def test_a_file_holds_every_part(whole, tmp_path):
    sf.save_model(whole, tmp_path / "model.json")
    loaded = sf.load_model(tmp_path / "model.json")
    assert loaded == whole
    assert loaded.fingerprint == whole.fingerprint
    assert loaded.scales == whole.scales
    assert loaded.failure == whole.failure
    assert loaded.population.log_spread
    np.testing.assert_array_equal(loaded.wear_in.shift, whole.wear_in.shift)
    np.testing.assert_array_equal(loaded.history().couplings, whole.history().couplings)
    assert pickle.loads(pickle.dumps(whole)) == whole


def test_each_part_changes_the_fingerprint(whole):
    prints = {whole.fingerprint}
    for part in ("scales", "wear_in", "failure"):
        prints.add(whole.replace(**{part: None}).fingerprint)
    assert len(prints) == 4


def test_models_without_parts_are_written_as_before(published):
    content = document(published)
    assert content["version"] == 1
    assert not {"scales", "population_spread", "wear_in", "failure"} & content.keys()
    assert all(h.keys() == {"order", "innovation", "lags"} for h in content["histories"])


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("scales",), [], "scales"),
        (("scales", 0, "type"), "cubic", "scales[0].kind"),
        (("scales", 1, "low"), 9.0, "scales[1].low"),
        (("scales", 2, "high"), None, "scales[2].low"),
        (("population_spread",), "variance", "population_spread"),
        (("wear_in", "cycles"), [-1.0, 2.0], "wear_in.cycles"),
        (("wear_in", "shift"), [[1.0, 2.0]], "wear_in.shift"),
        (("failure", "share"), 2.0, "failure.share"),
        (("failure", "scale"), 0.0, "failure.scale"),
        (("histories", 0, "rates"), [2.0], "histories[0].rates"),
        (("version",), 1, "'"),
    ],
)
def test_a_wrong_part_is_named(whole, path, value, field):
    content = json.loads(json.dumps(document(whole)))
    node = content
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    with pytest.raises(sf.FileFormatError) as error:
        parse(json.dumps(content).encode(), "model.json")
    assert str(error.value).startswith(f"model.json: {field}")
