"""What commands, and the options of those that look at runs, are called elsewhere."""

from lottery.wording.synonyms.answer import Answer
from lottery.wording.synonyms.questions import RESUMES

ALIASES = {
    "run": "train fit start go execute launch",
    "ls": "list dir runs experiments jobs all show_all list_runs results_list",
    "plan": "dry_run",
    "diff": "cmp compare_two",
    "submit": "sbatch slurm qsub bsub enqueue",
}
COMMANDS: dict[str, Answer] = {  # {rest} is what stood behind, {run} that or RUN
    "resume continue restart go_on retry requeue": (
        RESUMES, [("run {rest}", "")]
    ),
    "status state st ps top queue squeue history reflog log_list": (
        "all runs, or how far one is", [("ls", ""), ("tail {run}", "")]
    ),
    "rm rmi delete del remove purge uninstall destroy prune_runs erase drop": (
        "what may go is shown; with --yes behind it goes", [("clean run={run}", "")]
    ),
    "gc cleanup tidy": ("what may go is shown; with --yes behind it goes", [("clean", "")]),
    "check validate fsck health diagnose env repair fix lint freeze whoami": (
        "what is there is checked, and what it runs on", [("doctor", "")]
    ),
    "simulate preview estimate cost time try": ("a plan says what would be done", [("plan {rest}", "")]),
    "sweep multirun multi grid tune hpo agent batch hparams_search": ("-m runs every combination of values", [("run -m {rest}", "")]),
    "eval evaluate test predict score metrics inference": (
        "every level is evaluated as it is trained", [("show {run}", "")]
    ),
    "prune sparsify compress pruning imp lth lottery": ("pruning is part of a run", [("run {rest}", "")]),
    "init new create setup install configure add": ("nothing has to be set up", [("run {rest}", "")]),
    "info describe inspect get view details cat print head print_run": ("one run, all that is known", [("show {run}", "")]),
    "config cfg settings options params parameters defaults hparams hyperparameters": (
        "the whole config", [("run --cfg job", ""), ("run --help", "the groups")]
    ),
    "models datasets methods pruners criteria schedules nets architectures groups components list_models optimizers": (
        "the options of every group", [("run --help", "")]
    ),
    "analyse analysis connectivity instability stability sharpness hessian scaling scaling_law": ("an analysis is asked of finished runs", [("analyze", "")]),
    "results result summary leaderboard": ("a line a run, or means over replicates", [("ls", ""), ("compare", "")]),
    "table tables csv latex mean means average stats aggregate statistics": ("means over replicates", [("compare", "")]),
    "graph figure fig draw chart curve curves visualize visualise plots figures viz": (
        "figures are drawn by name", [("plot figure={figure}", "")]
    ),
    "logs log follow attach progress stream": ("a run at work is followed", [("tail {run}", "")]),
    "monitor live board_page status_page webui web_ui": ("a live page of all runs", [("watch", ""), ("tail {run}", "one run, in a terminal")]),
    "kill down stop cancel abort terminate scancel pause interrupt": (
        "Ctrl-C, or TERM, stops a run where it is started, with a checkpoint; how far it is", [("ls", "")]
    ),
    "dashboard ui serve server web": ("a live page of all runs", [("watch", ""), ("report {run}", "one to keep")]),
    "open html notebook browse pdf": ("a page of one run or several", [("report {run}", "")]),
    "tensorboard wandb mlflow tb board boards": (
        "boards are told while a run is at work", [("run 'log=[{word}]'", "")]
    ),
    "clone checkout switch push pull commit merge stash reset revert tag tags blame bisect remote rebase add_files": (
        "runs are folders, which nothing has to be put into; what there is", [("ls", "")]
    ),
    "fetch download data get_data prepare prepare_data": (
        "a data set is fetched when a run first needs it", [("run {rest}", "")]
    ),
    "images image container containers build up compose volume": ("a run needs no image", [("run {rest}", ""), ("ls", "what there is")]),
    "find where grep": ("runs are narrowed by what they are, as in `lottery ls prune=imp`", [("ls", "")]),
    "login sync online offline artifact artifacts": (
        "boards have commands of their own; a run tells them as it works", [("run 'log=[wandb]'", ""), ("run 'log=[mlflow]'", "")]
    ),
    "convert onnx save ticket save_ticket checkpoint": ("tickets and nets for elsewhere", [("export {run} level=last", "")]),
    "load restore convert_from load_ticket": ("nets and masks of other tools", [("import --help", "")]),
    "benchmark latency speed profile flops macs": ("what a pruned net takes", [("bench {run} level=last", "")]),
    "shrink slim": ("a smaller net", [("compact {run} level=last", "")]),
    "controls lottery_branch control shuffle reinit random sanity ablate ablation": (
        "controls of finished levels", [("branch {run} branch=shuffle", "")]
    ),
    "complete completion completions autocomplete": ("the shell completes after", [("-sc install=bash", "")]),
    "upgrade update self_update about license cite citation": ("lottery is installed by pip, not by itself", [("version", "")]),
    "docs doc man manual tutorial readme examples example demo quickstart hello begin hi explain why faq quit exit python shell": ("the words of every command", [("help", "")]),
    "replicate rerun repeat reproduce": ("replicates are repetitions", [("run -m {rest} replicate=0,1,2", "")]),
    "mv rename move cp copy": ("a run lies in a folder; its name is a setting", [("run {rest} name=mine", "")]),
}  # fmt: skip
LISTING = ("ls", "list", "all", "show")  # behind a noun: runs list
ANYWAY = {  # flags of other tools for what a command does anyway, or for another word of its own
    "ls": {"": "-l -a -la -al -lh --all --long -R -1"},
    "tail": {"": "-f -F --follow"},
    "clean": {"": "-n --dry-run --dry_run --list", "--yes": "-f --force -y -rf --confirm"},
    "doctor": {"--repair": "--fix --heal fix repair"},
    "report": {"": "--html --open"},
    "diff": {"": "--stat --color -u"},
}  # fmt: skip
HABITS = {  # options of the commands that look at runs
    "outputs": "output output_dir out_dir outdir dir folder path root save_dir",
    "format": "fmt output_format print",
    "format=json": "json as_json",
    "format=csv": "csv as_csv",
    "format=latex": "latex tex",
    "format=markdown": "markdown md",
    "sort": "sort_by order order_by sorted by s",
    "columns": "cols fields col show select",
    "to": "out outfile output_file file save o filename",
    "as": "format type kind fmt export_format",
    "as=onnx": "onnx",
    "as=ticket": "ticket",
    "level=last": "last latest newest",
    "level": "lvl l",
    "levels": "lvls",
    "branch": "control controls",
    "every": "interval refresh",
    "figure": "fig plot_type name kind type",
    "metric": "measure score m",
    "against": "baseline reference ref vs",
    "run": "runs id run_id",
    "device": "gpu cuda",
    "batch": "batch_size bs b",
    "repeats": "n_repeats iterations reps",
    "layers": "layer",
}  # fmt: skip
