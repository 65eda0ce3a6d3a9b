"""`edgehr inspect`: print what a converted model says of itself."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.card import ModelCard
from edgehr.cli.common.output import SubParsers, print_json, print_table
from edgehr.errors import EdgehrError

if TYPE_CHECKING:
    from edgehr.runtimes.tflite.delegates import DelegateReport


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("inspect", help="show what a converted model is")
    parser.add_argument("file", type=Path, help=".onnx, .xml, .tflite, .plan or .trtbundle, or grpc://HOST:PORT/MODEL")
    parser.add_argument(
        "--delegate",
        choices=["gpu", "xnnpack"],
        help="of a .tflite: what this delegate would leave to the CPU, and why",
    )
    parser.add_argument("--json", action="store_true", help="print everything, the full card too, as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Describe the file."""
    from edgehr.runtimes.formats import describe, format_of

    if args.delegate and format_of(args.file).name != "tflite":
        raise EdgehrError(f"{args.file}: delegates are TFLite's: --delegate goes with a .tflite")
    description = describe(args.file)
    report = _delegate_report(args.file, args.delegate) if args.delegate else None
    if args.json:
        delegate = {"delegate": {**asdict(report), "refused_share": report.refused_share}} if report else {}
        print_json({**description, **delegate})
        return
    for label, value in _lines(description):
        print(f"{label:<12} {value}")
    if report:
        _print_delegate(report)


def _delegate_report(path: Path, delegate: str) -> DelegateReport:
    from edgehr.runtimes.tflite.delegates import check_delegate
    from edgehr.runtimes.tflite.graph import read_graph

    return check_delegate(read_graph(path), delegate)


def _print_delegate(report: DelegateReport) -> None:
    taken = report.operators - len(report.refused)
    parts = f"{report.partitions} part{'' if report.partitions == 1 else 's'}"
    print(f"\n{report.delegate} takes {taken} of {report.operators} operators in {parts}")
    rest = "TFLite's own kernels" if report.delegate == "xnnpack" else "the CPU"
    print(f"left to {rest}: {report.refused_share:.1%} of {report.macs / 1e6:.1f} million multiply-adds\n")
    groups: dict[tuple[str, str], list[int]] = {}
    for refusal in report.refused:
        groups.setdefault((refusal.operator, refusal.reason), []).append(refusal.macs)
    if groups:
        ranked = sorted(groups.items(), key=lambda group: (-sum(group[1]), -len(group[1])))
        rows = [[len(macs), name, f"{sum(macs) / max(report.macs, 1):.1%}", why] for (name, why), macs in ranked]
        print_table(["", "OPERATOR", "WORK", "WHY"], rows)
        print()
    for note in report.notes:
        print(f"note: {note}")
    print(f"list: {report.source}")


def _lines(description: dict[str, Any]) -> list[tuple[str, str]]:
    lines = [("file", f"{f['name']}  {f['bytes'] / 1e6:.2f} MB  sha256 {f['sha256']}") for f in description["files"]]
    if "address" in description:
        version = f", version {description['version']}" if description["version"] else ""
        lines.append(("address", f"{description['address']}{version}"))
        lines.append(("server", f"{description['server']}{', shared memory' * description['shared_memory']}"))
    lines.append(("runs on", description["backend"] or f"nothing here: {description['problem']}"))
    for kind in ("inputs", "outputs"):
        for tensor in description[kind]:
            shape = ", ".join("N" if size is None else str(size) for size in tensor["shape"])
            lines.append((kind.removesuffix("s"), f"{tensor['name']} {tensor['dtype']} ({shape}){_quantized(tensor)}"))
    artifact = description["artifact"]
    lines += _artifact_lines(artifact) if artifact else [("card", "none: edgehr did not convert this model")]
    for name, part in description.get("parts", {}).items():
        lines += [(f"part {name}", value) for label, value in _lines(part) if label in ("file", "input", "output")]
    if "built_on" in description:
        return lines + _plan_lines(description)
    if "address" in description:
        return lines
    if "onnx_sha256" in description:
        return [*lines, ("graph", f"sha256 {description['onnx_sha256']}")]
    counts = description["operators"]
    listed = (
        ", ".join(f"{count} {name}" for name, count in counts.items())
        if counts
        else "not shown here: pip install 'edgehr[convert]'"
    )
    lines.append(("operators", f"{sum(counts.values())}: {listed}" if counts else listed))
    return lines


def _quantized(tensor: dict[str, Any]) -> str:
    return f"  real = (integer - {tensor['zero_point']}) * {tensor['scale']:.6g}" if "scale" in tensor else ""


def _plan_lines(plan: dict[str, Any]) -> list[tuple[str, str]]:
    counts = ", ".join(f"{count} {name}" for name, count in plan["precisions"].items())
    return [
        ("built on", plan["built_on"]),
        ("convolutions", f"{counts} ({plan['precision_source']})"),
        *(("profile", f"{name} {' / '.join(map(str, shapes))}") for name, shapes in plan["profiles"].items()),
    ]


def _artifact_lines(artifact: dict[str, Any]) -> list[tuple[str, str]]:
    card = artifact["card"]
    spec, weights = card["input"], card["weights"]
    values = ", ".join(f"{value:g}" for value in spec["mean"]), ", ".join(f"{value:g}" for value in spec["std"])
    lines = [
        ("model", f"{card['name']} ({card['task']}, {card['architecture']} {card['parameters']})"),
        ("precision", artifact["precision"]),
        ("weights", f"{weights['origin']}: {weights['file']}  sha256 {artifact['weights_sha256']}"),
        ("normalize", f"{spec['color']}, mean {values[0]}, std {values[1]} (0-255 scale)"),
        *ModelCard.from_dict(card).lines(),
        ("made by", ", ".join(f"{name} {version}" for name, version in artifact["tools"].items())),
    ]
    if weights["metric"]:
        lines.append(("metric", f"{weights['metric']} (published, not of this file)"))
    if artifact.get("form"):
        lines.append(("form", artifact["form"]))
    if artifact["calibration_sha256"]:
        images = f"{len(artifact['calibration_images'])} images, " if artifact["calibration_images"] else ""
        lines.append(("calibrated", f"{images}manifest sha256 {artifact['calibration_sha256']}"))
    return lines
