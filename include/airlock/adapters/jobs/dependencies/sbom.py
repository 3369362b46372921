"""The software bill of materials: what the environment is made of, as CycloneDX 1.6 JSON.

It is checked against CycloneDX's own schema before anybody sees it, and has no time and no chance
in it: the same packages give the same bytes.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.adapters.jobs.errors import LabFailure

if TYPE_CHECKING:
    from cyclonedx.model.component import Component


def write(subject: str, version: str, packages: Iterable[Mapping[str, Any]], out: Path) -> Path:
    """Write the bill of *packages* for one version of a model.

    Raises:
        LabFailure: if what came out is not valid.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    bom = Bom(components=[_component(package) for package in packages])
    about = Component(
        name=subject,
        version=version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"{subject}@{version}",
    )
    bom.metadata.component = about
    bom.register_dependency(about, bom.components)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    document["metadata"].pop("timestamp", None)
    document.pop("serialNumber", None)
    plain = json.dumps(document, sort_keys=True)
    document["serialNumber"] = uuid.uuid5(uuid.NAMESPACE_URL, plain).urn
    text = json.dumps(document, sort_keys=True, indent=1)
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise LabFailure(f"the bill of materials is not valid CycloneDX: {wrong}"[:500])
    out.write_text(text, "utf-8")
    return out


def _component(package: Mapping[str, Any]) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

    licence = str(package["licence"])
    purl = PackageURL("pypi", name=package["name"], version=package["version"])
    return Component(
        name=package["name"],
        version=package["version"],
        purl=purl,
        bom_ref=str(purl),
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
        properties=[Property(name="airlock:where", value=", ".join(package["where"]))],
    )
