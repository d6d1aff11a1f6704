"""The methods and prompt styles as a user types them."""

import json

from tests.client.train.test_commands import _options, _run


def test_a_run_with_plain_prompts_says_how_to_buy_them(experiment, tmp_path):
    study = str(experiment.manifest.root)
    done = _run("train", study, *_options(tmp_path / "run"), "--prompts", "plain")
    assert done.exit_code == 1
    assert "--prompts plain --budget USD" in " ".join(done.stderr.split())


def test_the_weight_of_the_divergence_is_an_option(experiment, tmp_path):
    study = str(experiment.manifest.root)
    words = _options(tmp_path / "run", **{"--method": "kd-text", "--kd-weight": "0.25"})
    done = _run("train", study, *words, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["args"]["kd_weight"] == 0.25
