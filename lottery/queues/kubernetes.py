"""Write the manifest of a sweep for Kubernetes: an Indexed Job, and the commands of its indexes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from lottery.errors import DAMAGED, DIVERGED, REQUEUE, TERMINATED, USAGE, UsageError
from lottery.experiment.dense import in_order
from lottery.experiment.single import Single, command
from lottery.queues.settings import NAME, NUMBER, Setting

KNOWN = {
    "image": Setting("", NAME, "registry/lottery:1", "what lottery is installed in"),
    "claim": Setting("", r"[a-z0-9][a-z0-9.-]*", "runs", "the volume claim that all pods share"),
    "mount": Setting("/work", r"/[\w./-]*", "/work", "where it lies: outputs/ and data in it"),
    "cpus": Setting("1", NUMBER, "4", "cores of a run, and its threads; 1 by default"),
    "gpus": Setting("0", r"\d+", "1", "GPUs of a run (nvidia.com/gpu)"),
    "memory": Setting("", r"\d+([EPTGMk]i?)?", "16Gi", "of a run"),
    "namespace": Setting("", r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", "research", "where the Job is"),
    "at_a_time": Setting("", NUMBER, "20", "pods at work at most"),
    "retries": Setting("6", r"\d+", "6", "further tries of a run whose pod failed"),
}
GRACE = 120  # seconds from TERM to KILL
MOST = 900_000  # bytes of commands: a ConfigMap holds 1 MiB
AT = "/etc/lottery"  # where a pod finds them
FINAL = [USAGE, DAMAGED, DIVERGED]  # exit codes after which another try would end alike
AGAIN = [REQUEUE, TERMINATED]  # of a run that was asked to stop, with a checkpoint
TASK = """\
# Line JOB_COMPLETION_INDEX + 1 of the commands beside this file is what a pod does.
line=$((JOB_COMPLETION_INDEX + 1))
command=$(sed -n "${line}p" "$(dirname "$0")/commands")
if [ -z "$command" ]; then
  echo "lottery: there is no command $line" >&2
  exit 2
fi
echo "$command"
eval "exec $command"
"""


class Dumper(yaml.SafeDumper):
    """Writes text of several lines as it reads."""


def lines_as_they_read(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    """Return text as a node of YAML."""
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, lines_as_they_read)


def manifest(settings: Mapping[str, str], jobs: Sequence[Single]) -> str:
    """Return the YAML of a ConfigMap and of a Job with an index for each run.

    Raises UsageError where the image or the claim is not named, where a run would not lie on the
    volume, where two are one run, and for more commands than a ConfigMap holds.
    """
    for key in ("image", "claim"):
        if not settings[key]:
            what, example = KNOWN[key].what, KNOWN[key].example
            raise UsageError(f"kubernetes.{key}: {what}; name it: kubernetes.{key}={example}")
    jobs = in_order(jobs)
    refuse_one_run(jobs)
    for job in jobs:
        refuse_elsewhere(job.settings["outputs"], settings["mount"])
    text = "".join(f"{line(job, settings['cpus'])}\n" for job in jobs)
    if len(text.encode()) > MOST:
        raise UsageError(
            f"submit: {len(jobs):,} commands are more than a ConfigMap holds; hand in a part at a "
            "time, as by replicate="
        )
    name = f"lottery-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    where = {"namespace": settings["namespace"]} if settings["namespace"] else {}
    about = {"name": name, **where, "labels": {"app.kubernetes.io/name": "lottery"}}
    commands = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": about,
        "data": {"task.sh": TASK, "commands": text},
    }
    indexed = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": about,
        "spec": spec(settings, name, len(jobs)),
    }
    return yaml.dump_all(
        [commands, indexed], Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10**6
    )


def spec(settings: Mapping[str, str], name: str, number: int) -> dict[str, Any]:
    """Return the spec of an Indexed Job of so many runs."""
    return {
        "completionMode": "Indexed",
        "completions": number,
        "parallelism": min(number, int(settings["at_a_time"] or number)),
        "backoffLimitPerIndex": int(settings["retries"]),
        "podReplacementPolicy": "Failed",  # not while the pod before still holds the run
        "podFailurePolicy": {
            "rules": [
                rule("FailIndex", FINAL),
                rule("Ignore", AGAIN),
                {
                    "action": "Ignore",
                    "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                },
            ]
        },
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": GRACE,
                "containers": [container(settings)],
                "volumes": [
                    {
                        "name": "work",
                        "persistentVolumeClaim": {"claimName": settings["claim"]},
                    },
                    {"name": "commands", "configMap": {"name": name}},
                ],
            }
        },
    }


def rule(action: str, codes: Sequence[int]) -> dict[str, Any]:
    """Return what becomes of a pod whose run ended with one of some exit codes."""
    asked = {"containerName": "lottery", "operator": "In", "values": list(codes)}
    return {"action": action, "onExitCodes": asked}


def container(settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the container of a run, which gets the signals of its pod."""
    limits = {"memory": settings["memory"]} if settings["memory"] else {}
    asked = {"cpu": settings["cpus"], **limits}
    if settings["gpus"] != "0":
        limits["nvidia.com/gpu"] = settings["gpus"]
    return {
        "name": "lottery",
        "image": settings["image"],
        "command": ["/bin/sh", f"{AT}/task.sh"],
        "workingDir": settings["mount"],
        "env": [{"name": "OMP_NUM_THREADS", "value": settings["cpus"]}],
        "resources": {"requests": asked, **({"limits": limits} if limits else {})},
        "volumeMounts": [
            {"name": "work", "mountPath": settings["mount"]},
            {"name": "commands", "mountPath": AT},
        ],
    }


def line(job: Single, threads: str) -> str:
    """Return what a pod does for a run, which gets its cores as threads unless they are typed."""
    words = (*job.words, *(() if job.settings["host"]["threads"] else (f"host.threads={threads}",)))
    return command(words)


def refuse_elsewhere(outputs: str, mount: str) -> None:
    """Raise UsageError for outputs that would be lost with their pod."""
    path = PurePosixPath(mount) / outputs
    if not path.is_relative_to(mount) or ".." in path.parts or outputs.startswith("~"):
        raise UsageError(
            f"outputs={outputs}: it is not on the volume, which lies at {mount} "
            "(kubernetes.mount); type outputs=outputs"
        )


def refuse_one_run(jobs: Sequence[Single]) -> None:
    """Raise UsageError where two jobs are one run, which is at work once at a time."""
    seen: dict[Any, str] = {}
    for job in jobs:
        if job.folder in seen:
            raise UsageError(
                f"submit: {seen[job.folder]} and {job.told} are one run, and no pod waits for "
                "another; hand in one of them, and the other when that is done"
            )
        seen[job.folder] = job.told
