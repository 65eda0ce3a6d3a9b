"""An evaluation on a real Ray cluster of two nodes, one of which goes on the way."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from edgehr.assets import packaged_model
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.pieces import evaluate_in_pieces
from edgehr.runtimes import load
from edgehr.spread import open_crew
from edgehr.spread.models import SentModel
from edgehr.zoo import DEFAULT_MODEL
from tests.calib.dataset.test_workers import by_detector
from tests.spread.conftest import NODE
from tests.spread.predictions import NotedPrediction
from tests.spread.works import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MODEL = packaged_model(DEFAULT_MODEL)


def test_a_node_is_killed_and_the_figures_are_those_of_one_machine(
    cluster: Any,
    few_people: tuple[Path, Path],
    edgehr_command: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with load(MODEL) as runtime:
        evaluator = Evaluator.for_card(runtime.card)
        dataset = evaluator.read(*few_people)
        alone = evaluator.evaluate(runtime, dataset)
    second = cluster.add_node(**NODE)
    nodes = [second]
    done: list[int] = []

    def progress(people: int) -> None:
        done.append(people)
        if nodes:
            wait_for(lambda: len([*tmp_path.glob("ready-*")]) == 2)
            cluster.remove_node(nodes.pop(), allow_graceful=False)

    caplog.set_level(logging.INFO, "edgehr.spread")
    with open_crew(ray=cluster.address) as crew:
        assert crew.size == 2
        model = SentModel.of(str(MODEL), crew)
        work = NotedPrediction(model, load, runtime.card, folder=tmp_path)
        metrics = evaluate_in_pieces(crew, work, evaluator, dataset, progress)
    assert metrics == alone
    assert sum(done) == len(dataset)
    assert "tried again" in caplog.text
    assert "a worker of the cluster ended" in caplog.text

    # Calibration crops, and the command line, on the node that is left.
    with open_crew(ray=cluster.address) as crew, open_crew() as here:
        assert by_detector(few_people[1], crew).manifest_file() == by_detector(few_people[1], here).manifest_file()
    images, annotations = few_people[1], few_people[0]
    shown = edgehr_command(
        "eval", MODEL, "--annotations", annotations, "--images", images, "--ray", cluster.address, "--json"
    )
    assert shown.returncode == 0, shown.stderr
    told = json.loads(shown.stdout)
    assert {name: told[name] for name in alone.to_dict()} == alone.to_dict()
