#!/usr/bin/env python3
"""Compares our .proto files with the descriptors that the published Python packages carry.

    pip install -r tests/wire/requirements.txt
    python3 tests/wire/check_descriptors.py [OURS] [--against FILE]

OURS is an encoded FileDescriptorSet; without it `cargo run -p wire --example descriptors` makes one. FILE is another
one to compare with instead of the packages, which have neither the control plane nor pluggable components.

Each file, message, field, enum, enum value, service and method is one fact. Facts that differ are printed and make the
exit status 1, except those of EXPECTED; an entry of EXPECTED that no longer differs does so too.
"""

import argparse
import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

from google.protobuf import descriptor_pb2

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["dapr", "dapr-ext-workflow"]

# Facts that may differ, with the reason.
EXPECTED = {
    "field WorkflowState.parentAppId": "the engine of 1.18.3 has it, the Python package was generated before",
    "field WorkflowState.startedAt": "the engine of 1.18.3 has it, the Python package was generated before",
    "field dapr.proto.runtime.v1.Job.data": "a message is optional with or without the word",
}

TYPE = descriptor_pb2.FieldDescriptorProto.Type
LABEL = descriptor_pb2.FieldDescriptorProto.Label


def name_of(field):
    """The type of a field: that of a message or enum by its full name, any other by its keyword."""
    return field.type_name or TYPE.Name(field.type).removeprefix("TYPE_").lower()


def field_facts(message, field):
    nested = {n.name: n for n in message.nested_type if n.options.map_entry}
    entry = nested.get(field.type_name.split(".")[-1])
    if entry:
        kind = f"map<{', '.join(name_of(f) for f in entry.field)}>"
    else:
        kind = " ".join([LABEL.Name(field.label).removeprefix("LABEL_").lower(), name_of(field)])
    group = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
    return {
        "number": field.number,
        "type": kind,
        "oneof": group,
        "presence": field.proto3_optional,
        "json": field.json_name,
        "deprecated": field.options.deprecated,
    }


def facts(files):
    """All facts of some files, by what they are about."""
    out = {}

    def enum(proto, prefix):
        out[f"enum {prefix}{proto.name}"] = {"deprecated": proto.options.deprecated}
        for value in proto.value:
            out[f"value {prefix}{proto.name}.{value.name}"] = {"number": value.number}

    def message(proto, prefix):
        if proto.options.map_entry:
            return
        path = prefix + proto.name
        out[f"message {path}"] = {
            "deprecated": proto.options.deprecated,
            "reserved": sorted((r.start, r.end) for r in proto.reserved_range) + sorted(proto.reserved_name),
        }
        for field in proto.field:
            out[f"field {path}.{field.name}"] = field_facts(proto, field)
        for nested in proto.nested_type:
            message(nested, path + ".")
        for nested in proto.enum_type:
            enum(nested, path + ".")

    for file in files:
        prefix = file.package + "." if file.package else ""
        names = [x.name for kind in (file.message_type, file.enum_type, file.service) for x in kind]
        out[f"file {file.name}"] = {
            "package": file.package,
            "imports": sorted(file.dependency),
            "defines": sorted(names),
        }
        for proto in file.message_type:
            message(proto, prefix)
        for proto in file.enum_type:
            enum(proto, prefix)
        for service in file.service:
            for method in service.method:
                out[f"method {prefix}{service.name}.{method.name}"] = {
                    "input": ("stream " if method.client_streaming else "") + method.input_type,
                    "output": ("stream " if method.server_streaming else "") + method.output_type,
                    "deprecated": method.options.deprecated,
                }
    return out


def decode(data):
    """Our own files of an encoded FileDescriptorSet, those of others that they import left out."""
    files = descriptor_pb2.FileDescriptorSet.FromString(data).file
    return [f for f in files if f.name.startswith("dapr/") or "/" not in f.name]


def ours(path):
    if path:
        return decode(path.read_bytes())
    command = ["cargo", "run", "--quiet", "--package", "wire", "--example", "descriptors"]
    return decode(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def published():
    """The files that the modules `*_pb2` of the packages describe."""
    out = []
    for package in PACKAGES:
        try:
            distribution = importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            sys.exit(f"{package} is not installed: pip install -r tests/wire/requirements.txt")
        for path in sorted(p for p in distribution.files if p.name.endswith("_pb2.py")):
            module = importlib.import_module(".".join(path.with_suffix("").parts))
            out.append(descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb))
        print(f"{package} {distribution.version}")
    return out


def with_json_names(files):
    """Fills in the JSON names that a Python module leaves out: those that follow from the field's name."""

    def visit(message):
        for field in message.field:
            if not field.json_name:
                head, *rest = field.name.split("_")
                field.json_name = head + "".join(part[:1].upper() + part[1:] for part in rest)
        for nested in message.nested_type:
            visit(nested)

    for file in files:
        for message in file.message_type:
            visit(message)
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ours", nargs="?", type=Path)
    parser.add_argument("--against", type=Path, metavar="FILE")
    arguments = parser.parse_args()

    theirs = decode(arguments.against.read_bytes()) if arguments.against else published()
    present = {file.name for file in theirs}
    left = ours(arguments.ours)
    skipped = sorted(file.name for file in left if file.name not in present)
    left = facts(file for file in left if file.name in present)
    right = facts(with_json_names(theirs))

    failed = 0
    differing = set()
    for key in sorted(left.keys() | right.keys()):
        a, b = left.get(key), right.get(key)
        if a == b:
            continue
        differing.add(key)
        if key in EXPECTED:
            print(f"expected  {key}: {EXPECTED[key]}")
            continue
        failed += 1
        if a is None or b is None:
            print(f"{'missing' if a is None else 'extra'}  {key}: {b if a is None else a}")
        else:
            for part in (p for p in a if a[p] != b[p]):
                print(f"differs  {key}: {part} is {a[part]!r}, published {b[part]!r}")
    for key in EXPECTED.keys() - differing if not arguments.against else ():
        failed += 1
        print(f"stale  {key}: expected to differ, and does not")

    print(f"{len(present)} files, {len(right)} facts compared, {failed} unexpected differences")
    if skipped:
        print(f"not compared: {', '.join(skipped)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
