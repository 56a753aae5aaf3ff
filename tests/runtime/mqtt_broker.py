"""What tests of MQTT have beside the broker and its client (`benchmarks.line.broker`): schemas, and certificates by
openssl."""

import json
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

from benchmarks.line.broker import Peer


def check_all(seen: Peer) -> None:
    """Everything that a peer got keeps to the schema that it got."""
    schema = seen.wait("schema")
    jsonschema.Draft202012Validator.check_schema(schema)
    kinds = set()
    for topic, payload, _ in list(seen.messages):
        if topic in ("schema", "command"):
            continue
        document = json.loads(payload)
        one = schema | {"oneOf": [{"$ref": f"#/$defs/{document['kind']}"}]}
        jsonschema.Draft202012Validator(one).validate(document)
        kinds.add(document["kind"])
    assert kinds >= {"status"}


def make_certificates(folder: Path, name: str = "localhost") -> Path:
    """A certificate authority, a server's certificate for `name`, and a client's, in a new folder."""
    folder.mkdir(parents=True)

    def openssl(*words: str) -> None:
        made = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, timeout=60)
        assert made.returncode == 0, made.stderr

    if shutil.which("openssl") is None:
        pytest.skip("TLS IS NOT TESTED here: apt-get install openssl")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-days", "1", "-subj", "/CN=ca of a test", "-keyout", "ca.key", "-out", "ca.crt")
    for which, subject in (("server", name), ("client", "station")):
        openssl("req", *new, "-subj", f"/CN={subject}", "-keyout", f"{which}.key", "-out", f"{which}.csr")
        (folder / f"{which}.ext").write_text(f"subjectAltName=DNS:{subject}\n")
        openssl(
            "x509", "-req", "-days", "1", "-in", f"{which}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
            "-extfile", f"{which}.ext", "-out", f"{which}.crt",
        )  # fmt: skip
        (folder / f"{which}.key").chmod(0o600)
    return folder
