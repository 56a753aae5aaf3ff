"""What other programs read: metrics that Prometheus can parse, a description that is the routes, a dashboard."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from web_samples import browsing, server_alone

from runtime.web.app import ROUTES, application
from runtime.web.metrics import ENDS
from runtime.web.serving import Serving
from runtime.web.thermal import temperatures
from runtime.web.totals import LATENCY_MS, Totals

WEB = Path(__file__).parents[3] / "runtime" / "web"
STATE = {
    "kind": "state",
    "cameras": {
        "camera": {
            "verdicts": [["OK", "", 90], ["NG", "judged", 7], ["NO_DECISION", "late", 3]],
            "latency_ms": {"counts": [0, 0, 10, 80, *[0] * 8, 2], "sum": 1234.5},
            "drops": 5, "lost": 0, "reconnects": 2, "waits_for": None, "last_age_s": 0.1,
        }
    },
    "paused_by": "otto",
    "controller": {"ready": False, "state": "NOT_READY", "accepted": 100, "missed": 4, "too_late": 1},
    "drift": {"camera": {"state": "drifting", "statistic": 3.5, "limit": 3.0}},
}  # fmt: skip


def scraped(state: dict[str, object]) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Samples by name and by labels other than the station's."""
    with TemporaryDirectory() as folder:
        zone = Path(folder) / "thermal_zone0"
        zone.mkdir()
        (zone / "temp").write_text("48500")
        return _scraped(state, folder)


def _scraped(state: dict[str, object], thermal: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    serving = Serving("127.0.0.1", 0, site="north", line="7", station="caps", thermal=thermal)
    with server_alone(serving) as alone:
        alone.desk.board.take(dict(state), b"")
        answer = httpx.get(f"{alone.base}/metrics", trust_env=False)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert [labels.pop(name) for name in ("site", "line", "station")] == ["north", "7", "caps"]
            found.setdefault(sample.name, {})[tuple(sorted(labels.items()))] = sample.value
    return found


def test_metrics_are_the_counts_of_the_stream() -> None:
    found = scraped(STATE)
    camera = ("camera", "camera")
    assert found["proctor_verdicts_total"] == {
        (camera, ("code", "OK"), ("reason", "")): 90,
        (camera, ("code", "NG"), ("reason", "judged")): 7,
        (camera, ("code", "NO_DECISION"), ("reason", "late")): 3,
    }
    buckets = {dict(key)["le"]: value for key, value in found["proctor_latency_seconds_bucket"].items()}
    assert (buckets["0.002"], buckets["0.005"], buckets["0.01"], buckets["5"], buckets["+Inf"]) == (0, 10, 90, 90, 92)
    assert found["proctor_latency_seconds_sum"] == {(camera,): 1.2345}
    assert found["proctor_latency_seconds_count"] == {(camera,): 92}
    assert [found[f"proctor_{name}_total"][(camera,)] for name in ("drops", "lost", "reconnects")] == [5, 0, 2]
    assert (found["proctor_up"], found["proctor_paused"], found["proctor_trigger_ready"]) == ({(): 1}, {(): 1}, {(): 0})
    assert found["proctor_controller_missed_total"] == {(): 4}
    assert found["proctor_temperature_celsius"] == {(("zone", "thermal_zone0"),): 48.5}
    assert found["proctor_drift_state"] == {(camera, ("state", "drifting")): 1}
    assert found["proctor_drift"][(camera, ("name", "statistic"))] == 3.5


def test_a_stream_without_controller_and_drift_has_none_of_their_metrics() -> None:
    found = scraped({key: value for key, value in STATE.items() if key not in ("controller", "drift")})
    assert not [name for name in found if "drift" in name or "controller" in name or "trigger" in name]


def test_the_buckets_have_the_ends_that_are_said() -> None:
    assert [float(end) for end in ENDS[:-1]] == [each / 1e3 for each in LATENCY_MS]
    assert len(Totals().as_dict()["latency_ms"]["counts"]) == len(ENDS)


def test_the_description_is_the_routes_that_are_served() -> None:
    with server_alone(Serving("127.0.0.1", 0)) as alone, browsing(alone.base) as browser:
        document = browser.get("/openapi.json").json()
        routes = application(alone.desk)._app.routes  # type: ignore[attr-defined]
    assert document["openapi"] == "3.1.0"
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    served = {
        (method, re.sub(r":\w+\}", "}", route.path))
        for route in routes
        for method in route.methods - {"HEAD"}
        if not (route.path == "/" or route.path.startswith("/static/"))
    }
    assert described == served
    assert len(described) == len(ROUTES)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))
            assert operation["summary"]
    identities = [each["operationId"] for methods in document["paths"].values() for each in methods.values()]
    assert len(set(identities)) == len(identities)


def test_posts_say_what_they_take_and_that_they_take_a_token() -> None:
    with server_alone(Serving("127.0.0.1", 0)) as alone, browsing(alone.base) as browser:
        paths = browser.get("/openapi.json").json()["paths"]
    schema = paths["/api/marks"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["record", "mark"]
    assert schema["properties"]["mark"]["enum"] == ["none", "false reject", "real defect", "missed"]
    assert all("csrf" in each["post"]["security"][0] for each in paths.values() if "post" in each)
    assert "Takes the role engineer" in paths["/api/threshold"]["post"]["summary"]


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    dashboard = json.loads((WEB / "grafana.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
        for name in re.findall(r"proctor_\w+", target["expr"])
    }
    served = set(scraped(STATE))
    assert len(asked) >= 8
    assert asked <= served
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    assert {"site", "line", "station"} <= variables
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            assert 'site=~"$site",line=~"$line",station=~"$station"' in target["expr"]


def test_a_zone_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    for number, text in enumerate(("41000\n", "broken", "39500")):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "temp").write_text(text)
        (zone / "type").write_text("cpu\n")
    (tmp_path / "thermal_zone3").mkdir()
    assert temperatures(str(tmp_path)) == {"cpu": 41.0, "thermal_zone2": 39.5}
    assert temperatures(str(tmp_path / "none")) == {}


@pytest.mark.parametrize("page", ["README.md", "MONITORING.md"])
def test_the_pages_name_metrics_that_there_are(page: str) -> None:
    served = set(scraped(STATE))
    assert set(re.findall(r"`(proctor_\w+)`", (WEB / page).read_text())) <= served
