"""What settings are called elsewhere."""

SETTINGS = {  # of the same meaning, in the same unit
    "train.optimizer.lr": "lr learning_rate base_lr init_lr initial_lr start_lr max_lr lr0 eta eta0 step_size_init",
    "train.optimizer.weight_decay": "wd weight_decay l2 l2_reg l2_penalty decay",
    "train.optimizer.momentum": "mom sgd_momentum",
    "train.batch_size": "bs bsz batch_size batchsize train_batch_size train_batch mini_batch_size minibatch_size "
    "minibatch per_device_train_batch_size per_gpu_batch_size n_batch",
    "train.label_smoothing": "smoothing label_smooth label_smoothing_factor ls",
    "train.clip": "clip_norm grad_clip clip_grad clip_grad_norm max_grad_norm gradient_clip gradient_clip_val "
    "gradient_clipping clipnorm grad_norm_clip",
    "train.precision": "dtype mixed_precision torch_dtype",
    "train.channels_last": "memory_format",
    "replicate": "seed random_seed manual_seed global_seed rng_seed random_state rng seed_everything run_seed rep replica",
    "levels": "level n_levels num_levels level_count pruning_levels prune_levels max_levels prune_iterations "
    "pruning_iterations n_prune_iterations imp_iterations imp_rounds n_rounds num_rounds pruning_rounds lth_iterations",
    "host.device": "dev accelerator gpu_id gpu_ids device_id device_ids cuda_visible_devices",
    "host.threads": "num_threads n_threads nthreads omp_num_threads cpu_threads cpus n_cpus cpus_per_task ncpus",
    "host.progress": "progress_bar bar tqdm progressbar enable_progress_bar",
    "dataset.workers": "num_workers n_workers nworkers dataloader_num_workers dataloader_workers data_workers loader_workers",
    "dataset.validation": "n_val val_size validation_size num_val",
    "dataset.subsample": "subset n_samples num_samples max_train_samples limit_train n_train num_train train_size max_samples "
    "train_samples num_train_samples limit_train_samples",
    "dataset.size": "img_size image_size imsize resolution input_size crop_size",
    "dataset.flip": "hflip horizontal_flip random_flip",
    "dataset.path": "image_dir images_dir image_folder_path",
    "model.init": "initialization initialisation initializer initialiser init_method weight_init",
    "outputs": "output output_dir outdir out_dir out output_path output_folder save_dir savedir save_path save "
    "results_dir result_dir results_path results work_dir workdir root_dir default_root_dir run_dir runs_dir exp_dir "
    "checkpoint_dir ckpt_dir dest logs_dir",
    "data": "data_dir data_path data_root datadir dataset_dir dataset_root root data_folder cache_dir download_dir datasets_dir",
    "name": "run_name exp expt exp_name expname experiment_name exp_id expid task_name project_name job_name jobname trial_name folder_name",
    "prune.include": "layers_to_prune include_layers prune_layers target_layers",
    "prune.exclude": "exclude_layers ignored_layers ignore_layers skip_layers ignore",
    "checkpoint_every": "save_every save_interval checkpoint_interval checkpoint_freq save_freq",
    "evaluate_every": "eval_every eval_interval eval_freq val_every test_every validate_every val_freq valid_freq val_interval "
    "test_interval test_freq evaluation_interval",
}  # fmt: skip
COUNTED = {  # of the same meaning, as a count of epochs (ep) or steps (it)
    ("train.length", "ep"): "epochs epoch n_epochs num_epochs nb_epoch nb_epochs max_epochs max_epoch num_train_epochs "
    "train_epochs training_epochs total_epochs nepochs n_epoch ep end_iter end_epoch post_epochs",
    ("train.length", "it"): "max_steps num_steps n_steps train_steps training_steps total_steps max_iters max_iter num_iters "
    "train_iterations training_iterations num_training_steps training_length steps num_train_steps nsteps max_iterations max_train_steps",
    ("train.warmup", "ep"): "warmup_epochs warm_up_epochs num_warmup_epochs warmup_epoch",
    ("train.warmup", "it"): "warmup_steps warm_up_steps num_warmup_steps warmup_iters warmup_iterations",
    ("train.warmup", ""): "warmup_ratio warmup_fraction",
    ("evaluate_every", "ep"): "check_val_every_n_epoch eval_every_n_epochs",
    ("evaluate_every", "it"): "eval_steps val_check_interval evaluation_steps",
    ("checkpoint_every", "it"): "save_steps checkpoint_steps",
}  # fmt: skip
VALUES = {  # of settings, where people write another word for the same
    "host.device": {"cuda": "gpu true", "cpu": "none false", "auto": "default"},
    "train.precision": {"bf16": "bf16-mixed bfloat16 bf16-true amp mixed", "fp32": "32 float32 32-true full float"},
    "host.progress": {"none": "false off quiet 0", "auto": "true on 1"},
    "train.clip": {"null": "none false off no"},
    "train.channels_last": {"yes": "true on channels_last", "no": "false off contiguous"},
}  # fmt: skip
SWITCHES = {  # words that are on or off; "" for the value that takes another word
    "host.device=cuda": "cuda use_cuda gpu use_gpu gpus cuda_available",
    "host.device=cpu": "cpu use_cpu no_cuda disable_cuda cpu_only no_gpu",
    "host.device=mps": "mps use_mps",
    "train.precision=bf16": "bf16 bfloat16 use_bf16",
    "prune/structure=channel": "structured",
    "train.optimizer.nesterov=true": "use_nesterov",
    "host.progress=none": "no_progress no_progress_bar disable_tqdm quiet silent q",
    "host.deterministic=true": "cudnn_deterministic use_deterministic_algorithms reproducible",
}  # fmt: skip
REMOVED = (  # the share that is to be pruned in the end, or at each level
    "sparsity target_sparsity final_sparsity sparsity_level sparsity_ratio sparsities final_ratio sparse "
    "target_ratio target_pruning_ratio end_sparsity model_sparsity weight_sparsity"
)
REMOVED_EACH = "amount pruning_ratio prune_ratio prune_rate pruning_rate prune_amount pruning_amount prune_percent percent p"
EACH_LEVEL = (
    "pruning_fraction prune_fraction percent_per_level prune_percent_per_round per_round_rate"
)
KEPT = "density target_density final_density remaining keep_ratio kept keep_rate target_keep keep_percent percent_kept"
TIMES = "compression compression_ratio target_compression compression_factor compression_rate"
SEVERAL = (
    "seeds n_seeds num_seeds trials n_trials num_trials runs n_runs num_runs repeats n_repeats num_repeats "
    "repetitions replicates n_replicates num_replicates folds ensembles n_reps reps"
)
SHORT = {  # flags of one letter
    "e": "epochs", "b": "batch_size", "a": "arch", "d": "dataset", "o": "outputs", "n": "name", "s": "seed", "g": "gpu",
    "j": "num_workers", "q": "quiet", "V": "version", "w": "num_workers", "l": "levels", "f": "force", "y": "yes",
    "t": "threads", "lr": "lr", "wd": "wd", "bs": "bs",
}  # fmt: skip
BOARDS = {  # settings of boards
    "wandb": {
        "project": "project_name", "entity": "user team username", "mode": "offline online", "dir": "save_dir path folder",
    },
    "mlflow": {
        "uri": "tracking_uri url server", "experiment": "experiment_name project name",
    },
    "tensorboard": {"dir": "log_dir logdir save_dir path folder"},
}  # fmt: skip
FOREIGN = (  # parts of the config of other tools, under which anything may stand
    "trainer", "training", "args", "cfg", "config", "opt", "opts", "hparams", "hp", "params", "param", "experiment", "exp",
    "main", "general", "global", "common", "base", "defaults", "default", "datamodule", "dm", "data", "net", "network", "system", "env",
    "environment", "runtime", "hardware", "logging", "logger", "paths", "path", "extras", "lightning", "pl_trainer", "engine", "solver",
    "optim", "optimizer", "scheduler", "lr_scheduler", "loader", "dataloader", "train_loader", "test_loader", "pruning", "pruner", "lottery",
)  # fmt: skip
