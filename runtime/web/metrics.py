"""``/metrics`` for Prometheus, from the counts that the stream itself keeps: a page that starts anew loses none."""

from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from runtime.versions import release
from runtime.web.desk import Asked, Desk, Route
from runtime.web.live import state_of
from runtime.web.totals import LATENCY_MS
from runtime.web.users import Role

ENDS = [*(f"{each / 1e3:g}" for each in LATENCY_MS), "+Inf"]  # seconds, as Prometheus has times
COUNTS = {
    "drops": "frames that the camera delivered and nobody took in time",
    "lost": "frames that the camera took and that did not arrive",
    "reconnects": "how often a lost camera was opened again",
}


class StationCollector(Collector):
    """One station's metrics as they are now."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def collect(self) -> Iterable[Metric]:
        """See `Collector`."""
        state, labels = state_of(self._desk), self._desk.serving.labels
        names, values = list(labels), list(labels.values())
        info = InfoMetricFamily("proctor", "the station's software", labels=names)
        info.add_metric(values, {"version": release()})
        yield info
        for name, meaning, value in (
            ("up", "whether the stream sends its state", state["fresh"]),
            ("paused", "whether somebody paused it", state.get("paused_by") is not None),
            ("viewers", "pages that watch", self._desk.viewers),
        ):
            gauge = GaugeMetricFamily(f"proctor_{name}", meaning, labels=names)
            gauge.add_metric(values, float(value))
            yield gauge
        yield from _of_cameras(state["cameras"], names, values)
        yield _temperatures(state["temperatures"], names, values)
        yield from _of_controller(state.get("controller"), names, values)
        yield from _of_drift(state.get("drift"), names, values)


def _of_cameras(cameras: Mapping[str, Any], names: list[str], values: list[str]) -> Iterable[Metric]:
    verdicts = CounterMetricFamily(
        "proctor_verdicts", "parts by verdict and kind of reason", labels=[*names, "camera", "code", "reason"]
    )
    latency = HistogramMetricFamily(
        "proctor_latency_seconds", "from capture, or a line's trigger, to verdict", labels=[*names, "camera"]
    )
    threshold = GaugeMetricFamily("proctor_threshold", "parts that score above are rejected", labels=[*names, "camera"])
    counts = {key: CounterMetricFamily(f"proctor_{key}", why, labels=[*names, "camera"]) for key, why in COUNTS.items()}
    for camera, each in cameras.items():
        here = [*values, camera]
        for code, kind, count in each.get("verdicts", []):
            verdicts.add_metric([*here, code, kind], count)
        if "latency_ms" in each:
            buckets = list(zip(ENDS, accumulate(each["latency_ms"]["counts"]), strict=True))
            latency.add_metric(here, buckets, each["latency_ms"]["sum"] / 1e3)
        if each.get("threshold") is not None:
            threshold.add_metric(here, each["threshold"])
        for key, family in counts.items():
            if each.get(key) is not None:
                family.add_metric(here, each[key])
    return [verdicts, latency, threshold, *counts.values()]


def _temperatures(found: Mapping[str, float], names: list[str], values: list[str]) -> Metric:
    family = GaugeMetricFamily("proctor_temperature_celsius", "of a thermal zone", labels=[*names, "zone"])
    for zone, degrees in found.items():
        family.add_metric([*values, zone], degrees)
    return family


def _of_controller(controller: Mapping[str, Any] | None, names: list[str], values: list[str]) -> Iterable[Metric]:
    if controller is None:
        return
    ready = GaugeMetricFamily("proctor_trigger_ready", "whether a trigger would be accepted", labels=names)
    ready.add_metric(values, float(controller["ready"]))
    yield ready
    for key, meaning in (
        ("accepted", "triggers accepted"),
        ("missed", "triggers refused"),
        ("too_late", "answers after their deadline"),
    ):
        family = CounterMetricFamily(f"proctor_controller_{key}", meaning, labels=names)
        family.add_metric(values, controller[key])
        yield family


def _of_drift(drift: Mapping[str, Any] | None, names: list[str], values: list[str]) -> Iterable[Metric]:
    """What a watch of the scores says of each camera: ``state`` in words, numbers as they are called."""
    if not drift:
        return
    state = GaugeMetricFamily("proctor_drift_state", "1 for the state that is", labels=[*names, "camera", "state"])
    number = GaugeMetricFamily("proctor_drift", "what the watch of drift measures", labels=[*names, "camera", "name"])
    for camera, each in drift.items():
        for key, value in each.items():
            if key == "state":
                state.add_metric([*values, camera, str(value)], 1.0)
            elif isinstance(value, int | float):
                number.add_metric([*values, camera, key], float(value))
    yield from (state, number)


async def metrics(asked: Asked) -> Response:
    """All metrics as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StationCollector(asked.desk))
    return Response(await run_in_threadpool(generate_latest, registry), headers={"content-type": CONTENT_TYPE_LATEST})


ROUTES = (
    Route(
        "GET", "/metrics", Role.VIEW, "counts, latencies and temperatures for Prometheus", metrics, gives="text/plain"
    ),
)
