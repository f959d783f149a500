"""Write the script of an array for SLURM. It hands nothing in: see `handing`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lottery.errors import UsageError
from lottery.experiment.single import Single, command
from lottery.machine.parents import LOG
from lottery.queues.arrays import Array
from lottery.queues.settings import NAME, NUMBER, Setting

TIME = r"\d+(:\d\d?){0,2}|\d+-\d\d?(:\d\d?){0,2}|UNLIMITED"
KNOWN = {
    "partition": Setting("", rf"{NAME}(,{NAME})*", "gpu", "where they run"),
    "time": Setting("", TIME, "02:00:00", "of a task, until it is put back into the queue"),
    "cpus": Setting("1", NUMBER, "4", "cores of a run, and its threads; 1 by default"),
    "gpus": Setting("", rf"\d+|{NAME}:{NUMBER}", "1", "GPUs of a run, as a100:1 of a kind"),
    "memory": Setting("", r"\d+[KMGT]?", "16G", "of a run"),
    "account": Setting("", NAME, "mylab", "who pays"),
    "at_a_time": Setting("", NUMBER, "20", "tasks of an array at work at most"),
    "extra": Setting("", r"-.*", "'--qos=low --mail-type=END'", "further options of sbatch"),
}
OURS = {  # options that the script and the command set, by their other names
    "--array": "-a", "--dependency": "-d", "--signal": "", "--requeue": "", "--no-requeue": "",
    "--output": "-o", "--open-mode": "", "--parsable": "", "--wrap": "",
}  # fmt: skip
FLAGS = {  # of sbatch -> the setting that says the same
    "--partition": "partition", "-p": "partition", "partition": "partition",
    "--time": "time", "-t": "time", "time": "time",
    "--cpus-per-task": "cpus", "-c": "cpus", "cpus-per-task": "cpus",
    "--gres": "gpus", "--gpus": "gpus", "-G": "gpus",
    "--mem": "memory", "mem": "memory",
    "--account": "account", "-A": "account", "account": "account",
}  # fmt: skip
OTHERS = (  # of sbatch, that have no setting
    "qos", "constraint", "exclude", "nodelist", "nodes", "ntasks", "mail-type", "mail-user",
    "reservation", "exclusive", "licenses", "nice", "comment", "job-name", "mem-per-cpu",
)  # fmt: skip
THREADS = "host.threads=${SLURM_CPUS_PER_TASK:-1}"  # filled in by the script
GRACE = 120  # seconds before the end at which a run is told of it
LEAST = 1  # task of an array

SCRIPT = r"""#!/bin/bash
{directives}

# Line FIRST + SLURM_ARRAY_TASK_ID of this file is what a task does, FIRST the script's argument.
commands={commands}
cd -- {folder} || exit 5
line=$((${{1:-0}} + SLURM_ARRAY_TASK_ID + 1))
command=$(sed -n "${{line}}p" "$commands")
if [[ -z $command ]]; then
  echo "lottery: $commands has no line $line; type the command of the sweep again" >&2
  exit 2
fi
echo "$command"
export OMP_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-1}}" MKL_NUM_THREADS="${{SLURM_CPUS_PER_TASK:-1}}"
export {log}="{sweep}/${{SLURM_ARRAY_JOB_ID:-0}}_$SLURM_ARRAY_TASK_ID.log" # under outputs/

# USR1 comes to this script alone, {grace} s before the end, and is passed on: the run saves a
# checkpoint and ends with 75. TERM comes to both, and a second one would end the run at once.
run='' asked=''
pass_on() {{
  asked=yes
  if [[ -n $run ]]; then kill -USR1 "$run" 2>/dev/null; else asked=early; fi
}}
trap pass_on USR1
trap : TERM

for pause in 30 30 30 30 30 ''; do
  eval "exec $command" &
  run=$!
  if [[ $asked == early ]]; then pass_on; fi
  while kill -0 "$run" 2>/dev/null; do wait "$run"; done # a signal ends `wait` before the run has
  wait "$run" # bash has kept the code it ended with
  code=$?
  run=''
  [[ $code == 3 && -n $pause && -z $asked ]] || break # 3: another process is at work on this run
  sleep "$pause" &
  wait "$!"
  [[ -z $asked ]] || break
done
# 138: USR1 came before the run could answer it; 3: it came in a pause
if [[ -n $asked && ($code == 138 || $code == 3) ]]; then code=75; fi
# by both numbers: the job's own may be that of the whole array, all of which would be put back
if [[ $code == 75 ]]; then scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"; fi
exit "$code"
"""


def line(words: Sequence[str], job: Single) -> str:
    """Return what a task does, for the shell of the script: this very Python, our program.

    A run gets the cores of its task as threads, unless they are typed.
    """
    said = command(words, (sys.executable, "-m", "lottery"))
    return said if job.settings["host"]["threads"] else f"{said} {THREADS}"


def lines(dealt: Sequence[Array]) -> list[str]:
    """Return the file of commands, a line a task, the arrays in their order."""
    return [
        line(words, job)
        for array in dealt
        for words, job in zip(array.words, array.jobs, strict=True)
    ]


def script(settings: Mapping[str, str], commands: Path, folder: Path) -> str:
    """Return the script of every array; it runs in `folder` the lines of a file of commands."""
    asked = {
        "partition": settings["partition"],
        "account": settings["account"],
        "time": settings["time"],
        "mem": settings["memory"],
        "gres": f"gpu:{settings['gpus']}" if settings["gpus"] not in ("", "0") else "",
    }
    options = [
        "--job-name=lottery",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={settings['cpus']}",
        *(f"--{key}={value}" for key, value in asked.items() if value),
        f"--signal=B:USR1@{GRACE}",
        "--requeue",
        "--open-mode=append",
        *further(settings["extra"]),
    ]
    return SCRIPT.format(
        directives="\n".join(f"#SBATCH {option}" for option in options),
        commands=shlex.quote(str(commands)),
        log=LOG,
        sweep="/".join(commands.parts[-3:-1]),
        folder=shlex.quote(str(folder)),
        grace=GRACE,
    )


def further(typed: str) -> list[str]:
    """Return further options of sbatch, each with its value behind it, quoted as sbatch reads it.

    Raises UsageError for those that are not the user's, and for what is no option.
    """
    try:
        words = shlex.split(typed)
    except ValueError as error:
        raise UsageError(f"slurm.extra={typed}: {error}; a quote has no second one") from None
    found: list[str] = []
    for word in words:
        name = word.partition("=")[0]
        if name in OURS or name in OURS.values() or "\n" in word:
            raise UsageError(f"slurm.extra: {name} is set by lottery submit; take it out")
        if word.startswith("-"):
            found.append(shlex.quote(word))
        else:  # -C gpu
            found[-1] += f" {shlex.quote(word)}"
    return found


def options(array: Array, logs: Path, at_a_time: str) -> list[str]:
    """Return what sbatch is told of one array besides the script."""
    many = f"0-{len(array.words) - 1}" + (f"%{at_a_time}" if at_a_time else "")
    where = str(logs).replace("%", "%%")
    return ["--parsable", f"--array={many}", f"--output={where}/%A_%a.log"]
