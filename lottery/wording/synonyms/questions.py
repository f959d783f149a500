"""What is no setting here, and what to type in its place."""

from lottery.wording.synonyms.answer import Answer

PRETRAINED = (
    "the weights of a net that was trained before are a start; those of a torch file come in by "
    "`lottery import net.pth to=net.safetensors masks=zeros`"
)
IMPORTED = "weights of another tool come in as a ticket: `lottery import {path} to={to}`"
STARTED = (
    "weights of another tool are a start once they are safetensors: "
    "`lottery import {path} to={to} masks=zeros`"
)
RESUMES = "an interrupted run goes on where it was by the same command; nothing is to be set"
REWINDS = "the rewind point is that of a group"
ANSWERS: dict[str, Answer] = {
    "rounds": (
        "rounds are two things here",
        [("levels={v}", "prune, rewind and train again so often"), ("prune.rounds={v}", "score so often in one pruning")],
    ),
    "iterations iteration iters n_iterations num_iterations n_iters cycles": (
        "iterations are two things here",
        [("levels={v}", "prune, rewind and train again so often"), ("train.length={v}it", "training steps")],
    ),
    "batch": ("", [("train.batch_size={v}", "examples a training step")]),
    "amp fp16 half float16 use_amp use_fp16 mixed_precision_training autocast": (
        "half precision is bf16 here, which needs no scaling of the loss", [("train.precision=bf16", "")]
    ),
    "resume resume_from resume_from_checkpoint checkpoint ckpt ckpt_path checkpoint_path load load_path load_from "
    "restart continue auto_resume restore load_checkpoint resume_path": (RESUMES, [("", "the same command")]),
    "log_dir logdir logging_dir tb_dir tensorboard_dir": (
        "runs and event files lie apart",
        [("outputs={v}", "where runs go"), ("log=[tensorboard] loggers.tensorboard.dir={v}", "event files for TensorBoard")],
    ),
    "tag tags group notes note description comment job_type memo": ("a run has a name, no tags", [("name={v}", "its folder under outputs/")]),
    "wandb use_wandb log_wandb wandb_project with_wandb wandb_log": ("boards are a list", [("log=[wandb]", "")]),
    "tensorboard use_tensorboard tb use_tb": ("boards are a list", [("log=[tensorboard]", "")]),
    "mlflow use_mlflow": ("boards are a list", [("log=[mlflow]", "")]),
    "n_jobs dp fsdp deepspeed strategy_ddp multi_gpu data_parallel dataparallel jobs njobs num_jobs parallel num_processes nproc n_procs max_parallel n_gpus num_gpus devices nodes num_nodes "
    "world_size nproc_per_node distributed ddp local_rank": (
        "a run is on one device; of a sweep several run at a time, each in a process of its own",
        [("-m replicate=0,1 host.workers=2", "two at a time"), ("host.threads=1", "threads of one")],
    ),
    "early_stopping early_stop patience early_stopping_patience es": (
        "levels train in full: the best validation step is kept in metrics.csv, and "
        "`lottery plot figure=early_stop` draws it",
        [("", "")],
    ),
    "pretrained use_pretrained weights from_pretrained pretrained_path init_from finetune_from init_checkpoint pretrained_weights "
    "load_weights model_path weights_path": (
        PRETRAINED,
        [
            ("start=pretrained start.path=net.safetensors", "a file"),
            ("start=pretrained start.weights=DEFAULT model=torchvision", "those that torchvision publishes"),
        ],
    ),
    "loss loss_fn loss_function criterion_fn objective": ("the loss is cross-entropy, with train.label_smoothing", [("", "")]),
    "dropout drop dropout_rate drop_rate p_dropout": ("these models have no dropout; docs/add-a-model.md adds one", [("", "")]),
    "augment augmentation data_aug aug transforms transform use_augmentation autoaugment randaugment mixup cutmix random_crop "
    "random_erasing color_jitter": (
        "augmentation is settings of the data set", [("dataset.crop=4 dataset.flip=true", "")]
    ),
    "num_classes n_classes classes nclasses num_labels": ("the number of classes comes from the data set", [("", "")]),
    "in_channels channels num_channels": ("the number of channels comes from the data set", [("", "")]),
    "val_split validation_split val_ratio val_fraction valid_size": (
        "the validation split is a count of training examples", [("dataset.validation=144", "")]
    ),
    "gamma lr_gamma lr_decay_factor drop_factor lr_decay_rate": ("the drop belongs to a schedule", [("train/lr=milestones train.lr.factor={v}", "")]),
    "lr_step_size step_size milestones lr_milestones lr_steps decay_epochs lr_drop lr_decay_epochs milestone_steps lr_drops": (
        "the drops belong to a schedule", [("train/lr=milestones 'train.lr.at=[{v}ep]'", "")]
    ),
    "debug debug_mode fast_dev_run smoke_test smoke sanity_check num_sanity_val_steps limit_train_batches overfit_batches": (
        "a plan trains a few steps in memory and writes nothing", [("plan:", "")]
    ),
    "dry_run dryrun plan_only no_op noop simulate": ("a plan says what would be done, and writes nothing", [("plan:", "")]),
    "test_only eval evaluate eval_only do_eval do_train do_test evaluate_only validate test": (
        "every level is evaluated as it is trained; `lottery show` prints the numbers", [("", "")]
    ),
    "verbose verbosity log_level v": ("to see where an error comes from", [("-v", "")]),
    "help usage h ?": ("what can be typed", [("help:", "")]),
    "config cfg conf config_file config_path yaml params_file hydra_config conf_file": (
        "a file of your own is an option of a group, as DIR/experiment/mine.yaml",
        [("--config-dir DIR experiment=mine", "")],
    ),
    "version": ("", [("version:", "")]),
    "print_config show_config print_cfg list_settings": ("the whole config", [("--cfg job", "")]),
    "multirun sweep grid grid_search search": ("-m runs every combination of values", [("-m", "")]),
    "rewind_to rewind_epoch rewind_epochs rewinding_epoch rewinding_epochs late_reset_epoch late_resetting late_rewinding k_epoch pre_epochs": (REWINDS, [("rewind=step rewind.to={v}ep", "")]),
    "rewind_step rewinding_steps rewind_steps rewind_iteration rewind_it rewind_point late_reset_step": (
        REWINDS, [("rewind=step rewind.to={v}it", "")]
    ),
    "save_model save_checkpoint save_best save_total_limit": ("every level is kept, its masks and end weights too", [("", "")]),
    "download": ("data sets are fetched at first use", [("", "")]),
    "overwrite force f force_rerun overwrite_output_dir clean restart_from_scratch": (
        "the same config is the same run, with the same numbers; to train it again elsewhere", [("outputs=again", "")]
    ),
    "yes y": ("nothing is asked before a run", [("", "")]),
    "criterion_name": ("", [("prune={v}", "")]),
    "global global_pruning use_global prune_global": ("", [("prune/allocation=globally", "")]),
    "layerwise local_pruning": ("", [("prune/allocation=layerwise", "")]),
    "n_m nm m n sparsity_n_m": ("n of m is a structure", [("prune/structure=n_m", "2 of 4")]),
    "tune hpo optuna sweeper": (
        "`lottery search` chooses by validation, and -m runs every combination of values", [("-m train.optimizer.lr=0.1,0.01", "")]
    ),
    "user_dir package plugin import_module": ("files of your own", [("--config-dir DIR", "")]),
    "print_freq print_every log_every log_every_n_steps log_interval log_freq logging_steps report_every display_interval": (
        "what is shown comes by itself, and every epoch is written", [("host.progress=lines", "a line at a time, as in a log")]
    ),
    "accumulate_grad_batches gradient_accumulation_steps grad_accum accumulation_steps accum_steps accum_iter accumulate": (
        "a step is one batch, whose gradients are not added up over several", [("train.batch_size=256", "")]
    ),
    "eval_batch_size test_batch_size val_batch_size valid_batch_size per_device_eval_batch_size prune_batch_size": (
        "evaluating takes batches of its own size, which changes no number", [("", "")]
    ),
    "ema use_ema swa model_ema teacher distill distillation kd knowledge_distillation alpha_kd": (
        "neither averages of weights nor a teacher are brought", [("", "")]
    ),
    "compile torch_compile jit benchmark cudnn_benchmark pin_memory persistent_workers prefetch prefetch_factor drop_last cache "
    "use_cache profiler": ("how fast a run is takes no setting of this kind", [("", "")]),
    "callbacks callback": ("there are no callbacks: levels, checkpoints and tables come by themselves", [("", "")]),
    "trainer engine runner": (
        "what a trainer is told is settings here, which `lottery run --cfg job` prints", [("", "")]
    ),
    "freeze freeze_bn frozen freeze_backbone": ("no part of these nets is frozen; docs/add-a-model.md adds one that is", [("", "")]),
    "activation act nonlinearity norm norm_layer bn batchnorm batch_norm use_bn normalization head": (
        "that belongs to the net: lottery run --help lists them", [("", "")]
    ),
    "num_layers n_layers hidden_size hidden_dim hidden_units hidden_sizes lin1_size layer_sizes": (
        "sizes of layers are a list of the perceptron", [("model=lenet_300_100 'model.hidden=[300,100]'", "")]
    ),
    "normalize normalise standardize": ("images are always standardised", [("'dataset.mean=[0.5]' 'dataset.std=[0.25]'", "")]),
    "train_test_split cv fold k_fold kfold split test_size test_split": (
        "data sets bring their test split; the validation split is a count of training examples", [("dataset.validation=144", "")]
    ),
    "limit max_examples": ("a part of the training examples is a count", [("dataset.subsample={v}", "")]),
    "shuffle": (
        "training examples are always shuffled; the control that shuffles masks is a branch", [("branch=shuffle", "")]
    ),
    "invert": ("the control that inverts masks is a branch", [("branch=invert", "")]),
    "reinitialize reinitialise reinitialization": (
        "weights drawn anew are two things here", [("branch=reinit", "as a control of the ticket"), ("rewind=reinit", "at every level")]
    ),
    "baseline": ("what is compared is run as well", [("-m prune=imp,random", "")]),
    "dense dense_only no_prune no_pruning unpruned": ("the dense net alone is level 0", [("levels=0", "")]),
    "prune_bias prune_biases prune_bn prune_batchnorm": ("biases and BatchNorm are never pruned", [("", "")]),
    "prune_first prune_last prune_last_layer prune_first_layer prune_fc prune_classifier prune_output skip_first skip_last "
    "pruning_layers_to_ignore layers layer": (
        "layers are picked by patterns of their names", [("'prune.exclude=[fc]'", "all but these"), ("'prune.include=[conv*]'", "these alone")]
    ),
    "prune_epochs score_epochs": ("scoring again is rounds", [("prune.rounds={v}", "")]),
    "prune_dataset_ratio prune_samples scoring_samples": (
        "how many examples score is a setting of the criterion", [("prune=snip prune.criterion.per_class={v}", "")]
    ),
    "prune_at prune_epoch prune_step pruning_epoch": ("when is scored is a step", [("prune.at={v}", "")]),
    "pai prune_at_init prune_before_training pruning_at_initialization foresight single_shot singleshot": (
        "several methods prune before training", [("prune=snip", ""), ("prune=grasp", ""), ("prune=synflow", "")]
    ),
    "initial_sparsity start_sparsity begin_step end_step start_step frequency pruning_frequency prune_freq prune_every prune_interval "
    "start_iter start_epoch begin_epoch": (
        "pruning is between trainings, a level each, and begins at the dense net", [("", "")]
    ),
    "filters filter": ("what goes together is prune/structure", [("prune/structure=filter", "")]),
    "step": (
        "steps are counted in two places", [("train.length={v}", "how long a level trains"), ("rewind=step rewind.to={v}", "where it goes back to")]
    ),
    "t_max tmax total_iters": ("a schedule of the learning rate spans train.length", [("", "")]),
    "min_lr lr_min eta_min end_lr final_lr lr_end": (
        "the end of a schedule is a share of the learning rate", [("train/lr=cosine train.lr.end=0.01", "")]
    ),
    "beta1 beta2 adam_beta1 adam_beta2": ("they are a list", [("train/optimizer=adam 'train.optimizer.betas=[0.9,0.999]'", "")]),
    "transformation_seed data_seed data_order_seed data_order_init_seed": ("one number seeds all", [("replicate={v}", "")]),
    "split_init": ("", [("dataset.split_seed={v}", "")]),
    "model_init init_mode": ("", [("model.init={v}", "")]),
    "batchnorm_init bn_init": ("", [("model.bn_scale={v}", "")]),
    "batchnorm_frozen output_frozen others_frozen bn_only": ("BatchNorm alone is trained in a control", [("branch=bn_only", "")]),
    "others evaluate_only_at_end": ("levels are evaluated as evaluate_every says", [("evaluate_every=1ep", "")]),
    "default_hparams hparams_search subcommand platform display_output_location": (
        "net, data and recipe are chosen by name: `lottery run --help` lists them", [("", "")]
    ),
    "project": ("that is a folder here, and a setting of the board", [("name={v}", ""), ("'log=[wandb]' loggers.wandb.project={v}", "")]),
    "entity": ("boards are a list", [("'log=[wandb]' loggers.wandb.entity={v}", "")]),
    "tracking_uri mlflow_uri mlflow_tracking_uri": ("boards are a list", [("'log=[mlflow]' loggers.mlflow.uri={v}", "")]),
    "track log_metrics csv": ("every number is written as CSV; boards besides", [("log=[tensorboard]", "")]),
}  # fmt: skip
OFF = (  # what nothing is to be typed for where it is off
    "resume resume_from resume_from_checkpoint checkpoint auto_resume wandb use_wandb log_wandb tensorboard "
    "use_tensorboard tb use_tb mlflow use_mlflow early_stopping early_stop pretrained ema mixup cutmix compile torch_compile benchmark callbacks freeze baseline dense pin_memory test_only eval evaluate test split persistent_workers amp teacher distill use_pretrained dropout debug "
    "fast_dev_run dry_run dryrun overwrite force distributed ddp multirun sweep verbose"
)
