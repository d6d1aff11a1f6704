"""Prometheus' and Grafana's files: they parse, and name only metrics that the vendor has."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from vendor_api.alerts import SEVERITIES
from vendor_api.metrics import Metrics

FILES = Path(__file__).parents[2] / "vendor_api" / "monitoring"
RULES = yaml.safe_load((FILES / "rules.yml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((FILES / "grafana/dashboards/vl2v.json").read_text(encoding="utf-8"))
ALL_RULES = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in ALL_RULES if "alert" in rule]
RECORDED = {rule["record"] for rule in ALL_RULES if "record" in rule}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [rule["expr"] for rule in ALL_RULES] + [
    target["expr"] for panel in PANELS for target in panel["targets"]
]
PROMTOOL = shutil.which("promtool")


def find_series() -> dict[str, set[str]]:
    """Every series that the registry can have, with its labels."""
    series: dict[str, set[str]] = {"up": {"job", "instance"}}
    for metric in Metrics().registry._names_to_collectors.items():
        name, collector = metric
        labels = set(collector._labelnames)  # type: ignore[attr-defined]
        series[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    return series | {name: set() for name in RECORDED}


SERIES = find_series()


def select(expression: str) -> Iterator[Any]:
    """Every selector in the expression. Raises ValueError when it is not PromQL."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    parsed = promql_parser.parse(expression.replace("$__rate_interval", "5m"))
    promql_parser.walk(parsed, visit)
    yield from found


@pytest.mark.parametrize("expression", sorted(set(EXPRESSIONS)))
def test_an_expression_parses_and_names_only_metrics_and_labels_that_exist(expression: str) -> None:
    selectors = list(select(expression))
    assert selectors
    for selector in selectors:
        assert selector.name in SERIES
        used = {matcher.name for matcher in selector.matchers.matchers}
        assert used <= SERIES[selector.name] | {"job", "instance"}
    grouped = re.findall(r"by \(([^)]*)\)", expression)
    known = set().union(*(SERIES[selector.name] for selector in selectors))
    assert {label.strip() for group in grouped for label in group.split(",")} <= known


def test_what_is_no_promql_is_found() -> None:
    for wrong in (
        "sum(rate(vl2v_items_total[5m])",
        "rate(vl2v_items_total[5m)",
        "vl2v_items_total >",
    ):
        with pytest.raises(ValueError):  # noqa: PT011  (its own words are the parser's affair)
            list(select(wrong))


def test_every_rate_is_of_a_counter_and_no_gauge_is_summed_over_time() -> None:
    for expression in EXPRESSIONS:
        for name in re.findall(r"(?:rate|increase)\((\w+)", expression):
            assert name.endswith(("_total", "_bucket", "_sum", "_count")), expression


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_what_to_do(rule: Any) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"].endswith(".")
    shown = re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])
    known = set().union(*(SERIES[each.name] for each in select(rule["expr"])))
    assert set(shown) <= known | {"instance"}


def test_alerts_have_names_of_their_own() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(set(names)) == len(names)


def test_prometheus_scrapes_the_vendor_with_its_token() -> None:
    config = yaml.safe_load((FILES / "prometheus.yml").read_text(encoding="utf-8"))
    assert config["rule_files"] == ["rules.yml"]
    (job,) = config["scrape_configs"]
    assert job["authorization"]["credentials_file"] == "/run/secrets/metrics_token"
    assert job["static_configs"] == [{"targets": ["vendor:8000"]}]


def test_a_panel_asks_the_data_source_that_is_provisioned() -> None:
    folder = FILES / "grafana/provisioning"
    sources = yaml.safe_load((folder / "datasources/prometheus.yml").read_text(encoding="utf-8"))
    known = {source["uid"] for source in sources["datasources"]}
    assert len(PANELS) > 15
    for panel in PANELS:
        assert panel["title"]
        assert panel["datasource"]["uid"] in known
        assert {target["datasource"]["uid"] for target in panel["targets"]} <= known
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
class TestPromtool:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Any:
        """promtool in a folder with the two files, and a token where the config expects one."""
        (tmp_path / "token").write_text("token", encoding="utf-8")
        shutil.copy(FILES / "rules.yml", tmp_path)
        config = (FILES / "prometheus.yml").read_text(encoding="utf-8")
        config = config.replace("/run/secrets/metrics_token", str(tmp_path / "token"))
        (tmp_path / "prometheus.yml").write_text(config, encoding="utf-8")

        def call(*arguments: str) -> str:
            done = subprocess.run(
                [str(PROMTOOL), *arguments],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout + done.stderr

        return call

    def test_it_takes_the_configuration_and_the_rules(self, run: Any) -> None:
        assert f"{len(ALL_RULES)} rules found" in run("check", "config", "prometheus.yml")

    @pytest.mark.parametrize(
        ("name", "series"),
        [
            ("VendorDown", {"up": "0x20"}),
            ("VendorCritical", {'vl2v_alert{name="engine_down",severity="critical"}': "1x20"}),
            ("VendorWarning", {'vl2v_alert{name="cap_reached",severity="warning"}': "1x20"}),
            (
                "VendorFailing",
                {
                    'vl2v_http_requests_total{status="200"}': "0+90x20",
                    'vl2v_http_requests_total{status="503"}': "0+10x20",
                },
            ),
            (
                "VendorSlow",
                {
                    f'vl2v_http_request_duration_seconds_bucket{{route="/v1/embeddings",le="{le}"}}': (
                        f"0+{count}x20"
                    )
                    for le, count in (("10", 60), ("30", 90), ("+Inf", 90))
                },
            ),
            ("EngineDown", {'vl2v_engine_alive{model="m"}': "0x20"}),
            ("EngineQueueLong", {'vl2v_queue_seconds{model="m"}': "9x20"}),
            ("BooksWrong", {"vl2v_ledger_invariant_violations": "1x20"}),
            ("BooksUnchecked", {"vl2v_audit_timestamp_seconds": "1x20"}),
            (
                "LedgerUnavailable",
                {'vl2v_ledger_tx_total{op="reserve",outcome="ledger_unavailable"}': "0+5x20"},
            ),
            (
                "LedgerSlow",
                {
                    f'vl2v_ledger_commit_duration_seconds_bucket{{le="{le}"}}': f"0+{count}x20"
                    for le, count in (("1", 60), ("2.5", 90), ("+Inf", 90))
                },
            ),
            ("WorkersDie", {"vl2v_holds_expired_total": "0+1x20"}),
            ("RedisDegraded", {"vl2v_redis_degraded": "1x20"}),
        ],
    )
    def test_an_alert_fires(self, run: Any, tmp_path: Path, name: str, series: Any) -> None:
        run("test", "rules", write_test(tmp_path, series, {name}))

    def test_none_fires_while_all_is_well(self, run: Any, tmp_path: Path) -> None:
        well = {
            "up": "1x20",
            'vl2v_http_requests_total{status="200"}': "0+60x20",
            'vl2v_http_requests_total{status="503"}': "0x20",
            **{
                f'vl2v_alert{{name="{alert}",severity="{severity}"}}': "0x20"
                for alert, severity in SEVERITIES.items()
            },
            'vl2v_engine_alive{model="m"}': "1x20",
            'vl2v_queue_seconds{model="m"}': "0.5x20",
            "vl2v_ledger_invariant_violations": "0x20",
            "vl2v_audit_timestamp_seconds": "0+60x20",
            "vl2v_holds_expired_total": "3x20",
            "vl2v_redis_degraded": "0x20",
            'vl2v_ledger_tx_total{op="reserve",outcome="ok"}': "0+60x20",
            'vl2v_ledger_tx_total{op="reserve",outcome="ledger_unavailable"}': "2x20",
        }
        run("test", "rules", write_test(tmp_path, well, set()))


def write_test(folder: Path, series: dict[str, str], firing: set[str]) -> str:
    """A test of promtool's own: after 20 minutes of these series, just these alerts fire."""
    job = 'job="vl2v-vendor",instance="vendor:8000"'
    named = {
        name.replace("}", f",{job}}}") if name.endswith("}") else f"{name}{{{job}}}": values
        for name, values in series.items()
    }
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(firing)]
    document = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": k, "values": v} for k, v in named.items()],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": "20m",
                        "exp_samples": expected,
                    }
                ],
            }
        ],
    }
    (folder / "test.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return "test.yml"
