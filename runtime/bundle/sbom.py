"""What a bundle holds, as CycloneDX 1.6 in JSON: the list that scanners of vulnerabilities and licences read."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.spdx import fixup_id, is_expression, is_supported_id
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from runtime.bundle.wheel import NOT_STATED, Wheel
from runtime.recipe import Recipe

SBOM = "sbom.cdx.json"
NAMESPACE = "proctor"  # of the properties


def sbom(
    wheels: Sequence[Wheel], extras: Sequence[str], installer: Wheel, detector: tuple[str, str, Recipe], commit: str
) -> str:
    """The document. `wheels` begin with Proctor's own; `installer` is pip's, which stays in the bundle.

    `detector` is its file name, the SHA-256 of the file, and its recipe.
    """
    bom = Bom()
    bom.metadata.timestamp = datetime.now(timezone.utc)
    components = {wheel.name: _component(wheel) for wheel in wheels}
    root = components[wheels[0].name]
    root.type = ComponentType.APPLICATION
    root.properties.add(Property(name=f"{NAMESPACE}:commit", value=commit))
    bom.metadata.component = root
    model, pip = _model(*detector), _component(installer)
    pip.scope = ComponentScope.EXCLUDED  # it installs, and is not installed
    bom.components.update([*(each for each in components.values() if each is not root), model, pip])
    asked = _asked(wheels, extras)
    for wheel in wheels:
        needed = {name for name, _ in _needs(wheel, asked[wheel.name]) if name in components}
        own = [model] if wheel is wheels[0] else []
        bom.register_dependency(components[wheel.name], [*(components[name] for name in sorted(needed)), *own])
    return str(JsonV1Dot6(bom).output_as_string(indent=1))


def _component(wheel: Wheel) -> Component:
    return Component(
        name=wheel.name,
        version=wheel.version,
        bom_ref=f"{wheel.name}=={wheel.version}",
        description=wheel.summary or None,
        purl=PackageURL("pypi", name=wheel.name, version=wheel.version),
        hashes=[_sha256(wheel.sha256)],
        licenses=_licences(wheel),
        properties=[Property(name=f"{NAMESPACE}:wheel", value=wheel.path.name)],
    )


def _model(name: str, sha256: str, recipe: Recipe) -> Component:
    known = {
        "recipe_sha256": recipe.sha256,
        "graph_sha256": recipe.graph_sha256,
        "method": recipe.method.name,
        "looks_at": recipe.method.looks_at,
        "precision": recipe.precision,
        "threshold": f"{recipe.threshold.value:.9g}",
        "images_sha256": recipe.provenance.images_sha256,
        "made_by_commit": recipe.provenance.commit,
        "made_at": recipe.provenance.created,
        **{f"made_with_{package}": version for package, version in recipe.provenance.versions.items()},
    }
    return Component(
        name=name,
        version=recipe.sha256[:12],
        bom_ref=f"detector:{recipe.sha256}",
        type=ComponentType.MACHINE_LEARNING_MODEL,
        hashes=[_sha256(sha256)],
        properties=[Property(name=f"{NAMESPACE}:{key}", value=value) for key, value in known.items()],
    )


def _licences(wheel: Wheel) -> list[DisjunctiveLicense | LicenseExpression]:
    """As the package declares it: an SPDX name or expression where it is one, else its own words."""
    declared = LicenseAcknowledgement.DECLARED
    if wheel.licence == NOT_STATED:
        return []
    spdx = wheel.licence if is_supported_id(wheel.licence) else fixup_id(wheel.licence)
    if spdx is not None:
        return [DisjunctiveLicense(id=spdx, acknowledgement=declared)]
    if wheel.is_expression and is_expression(wheel.licence):
        return [LicenseExpression(wheel.licence, acknowledgement=declared)]
    return [DisjunctiveLicense(name=wheel.licence, acknowledgement=declared)]


def _asked(wheels: Sequence[Wheel], extras: Sequence[str]) -> dict[str, set[str]]:
    """The extras that are asked for of each package, by Proctor's or by another's needs."""
    by_name = {wheel.name: wheel for wheel in wheels}
    asked: dict[str, set[str]] = {wheel.name: set() for wheel in wheels}
    asked[wheels[0].name] = set(extras)
    waiting = [wheels[0].name]
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        for needed, more in _needs(by_name[name], asked[name]):
            if needed in by_name and (needed not in seen or not more <= asked[needed]):
                asked[needed] |= more
                seen.add(needed)
                waiting.append(needed)
    return asked


def _needs(wheel: Wheel, extras: set[str]) -> Iterator[tuple[str, set[str]]]:
    """The packages that a wheel needs on this machine with these extras, each with the extras that it asks of them."""
    for need in wheel.needs:
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield canonicalize_name(need.name), set(need.extras)


def _sha256(value: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=value)
